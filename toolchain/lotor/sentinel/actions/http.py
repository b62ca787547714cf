"""`kind = "http"`: a request to switch on, one to switch off: Shelly, Tasmota, Home Assistant."""

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.secret import read_secret

_PLACES = re.compile(r"\{(secret|seconds|label|camera)\}")


@dataclass(frozen=True)
class Options:
    """Two requests. `{secret}` in an address, a body or a header stands for the secret.

    `{seconds}` stands for the seconds on (a whole number, rounded up), `{label}` and `{camera}` for
    what was seen and where: for bodies in JSON, as letters, digits, - and _ alone.

    Attributes:
        url_on: that switches on.
        url_off: that switches off.
        method: of both.
        body_on: sent with `url_on`; a JSON object is sent as JSON, anything else as text.
        body_off: sent with `url_off`.
        headers: of both.
        secret_file: a file whose first line is the secret.
        timeout_s: seconds to wait for an answer.
    """

    url_on: str
    url_off: str
    method: Literal["GET", "POST", "PUT"] = "GET"
    body_on: str = ""
    body_off: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_file: str = ""
    timeout_s: float = 5.0


class Http:
    """Switches a device in the network by HTTP."""

    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        self._name, self._options = name, options
        for key in ("url_on", "url_off"):
            parts = urlsplit(getattr(options, key))
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise LotorError(
                    f"action '{name}': 'options.{key}' is '{getattr(options, key)}'; it must begin "
                    "with http:// or https:// and a host"
                )
        if not 0.1 <= options.timeout_s <= 10:
            raise LotorError(
                f"action '{name}': 'options.timeout_s' is {options.timeout_s:g}; it must be "
                "0.1 to 10"
            )
        if options.method == "GET" and (options.body_on or options.body_off):
            raise LotorError(f"action '{name}': GET has no body; set 'options.method'")
        used = (options.url_on, options.url_off, options.body_on, options.body_off)
        if any("{secret}" in text for text in (*used, *options.headers.values())):
            if not options.secret_file:
                raise LotorError(f"action '{name}': '{{secret}}' needs 'options.secret_file'")
            read_secret(name, folder, options.secret_file)  # a mistake is told at once
        self._folder = folder
        # Devices are in the house: a proxy for the world does not know them.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def describe(self) -> str:
        """Return which address it asks."""
        return f"{self._options.method} {self._options.url_on}"

    def on(self, cause: Cause, seconds: float) -> None:
        """Ask to switch on.

        Raises:
            LotorError: no answer, or one that is no success.
        """
        values = {"seconds": str(-int(-seconds // 1)), "label": cause.label, "camera": cause.camera}
        self._ask(self._options.url_on, self._options.body_on, values)

    def off(self) -> None:
        """Ask to switch off.

        Raises:
            LotorError: no answer, or one that is no success.
        """
        self._ask(self._options.url_off, self._options.body_off, {})

    def close(self) -> None:
        """Nothing stays open."""

    def _ask(self, url: str, body: str, values: Mapping[str, str]) -> None:
        options, secret = self._options, ""
        if options.secret_file:
            secret = read_secret(self._name, self._folder, options.secret_file)

        def fill(text: str) -> str:
            return _PLACES.sub(
                lambda place: (
                    secret
                    if place[1] == "secret"
                    else re.sub(r"[^\w-]", "_", values.get(place[1], ""), flags=re.ASCII)
                ),
                text,
            )

        headers = {key: fill(value) for key, value in options.headers.items()}
        data = fill(body).encode() if body else b"" if options.method != "GET" else None
        if body.lstrip().startswith("{") and not any(k.lower() == "content-type" for k in headers):
            headers["Content-Type"] = "application/json"
        where = f"action '{self._name}': {options.method} {url}"  # without the secret
        try:
            request = urllib.request.Request(fill(url), data, headers, method=options.method)
            with self._opener.open(request, timeout=options.timeout_s) as answer:
                answer.read(65536)
        except urllib.error.HTTPError as error:
            error.close()
            raise LotorError(f"{where}: the answer is {error.code} {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            # Of a wrong address the error says all of it, with the secret.
            text = str(reason) or type(error).__name__
            text = text.replace(secret, "{secret}") if secret else text
            raise LotorError(f"{where}: {' '.join(text.split())}") from None
