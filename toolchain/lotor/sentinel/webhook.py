"""Every event as JSON by POST: `[[webhook]]`.

Each address has a thread of its own, so a slow one delays no other. Ends of events come out of an
outbox and are sent until they are taken; that a visit was confirmed is sent while it lasts.
"""

import base64
import hashlib
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from lotor import __version__
from lotor.errors import LotorError
from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Config
from lotor.sentinel.config import Webhook as Options
from lotor.sentinel.outbox import Journal, Outbox
from lotor.sentinel.store import StoreError
from lotor.sentinel.worker import Worker

_BACK_OFF_S = (2.0, 600.0)
_REFUSED = (400, 406, 409, 410, 413, 415, 422)
"""Answers that say that this content will never be taken; every other failure may pass."""


class _Failed(Exception):
    """It was not taken; the text says why, without a secret."""

    def __init__(self, text: str, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take content and secrets to somebody whom the configuration never named."""

    def redirect_request(self, *arguments: Any, **keys: Any) -> None:
        return None


class Webhook:
    """Tells one address.

    Args:
        options: of it.
        number: of it in the configuration, from 1; it is called "webhook NUMBER".
        sentinel: name of the sentinel.
        bus: whose events are told; hears of its health.
        journal: has the events.
        clock: of the back-off.

    Raises:
        LotorError: the address has no host.
    """

    def __init__(
        self, options: Options, number: int, sentinel: str, bus: Bus, journal: Journal, clock: Clock
    ) -> None:
        self._part = f"webhook {number}"
        self.place = place_of(options.url, number)
        parts = urlsplit(options.url)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"lotor/{__version__}",
        }
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        netloc = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))
        self._options, self._bus, self._clock = options, bus, clock
        digest = hashlib.sha256(options.url.encode()).hexdigest()[:16]
        self._outbox = Outbox(journal, f"webhook {digest}", sentinel, options.labels)
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._health: HealthChanged | None = None
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._leave: Callable[[], None] = lambda: None
        self._thread = Worker(self._part, self._run, bus.tell)

    def start(self) -> None:
        """Begin; call it before the first event."""
        self._outbox.begin()
        self._leave = self._bus.subscribe(self._take)
        self._thread.start()

    def close(self) -> None:
        """End; what was not taken is sent after the next start."""
        self._leave()
        self._stop.set()
        self._changed.set()
        self._thread.end(self._options.timeout_s + 1)

    def _take(self, message: Message) -> None:
        if self._outbox.take(message):
            self._changed.set()

    def _run(self) -> None:
        delay = _BACK_OFF_S[0]
        while not self._stop.is_set():
            try:
                self._changed.clear()
                while not self._stop.is_set() and self._send_next():
                    delay = _BACK_OFF_S[0]
            except (_Failed, StoreError) as error:
                text = str(error)
            else:
                self._thread.turn()
                self._changed.wait()
                continue
            self._tell_health(False, f"{self.place}: {text}; trying again")
            self._clock.wait(self._stop, delay)
            delay = min(2 * delay, _BACK_OFF_S[1])

    def _tell_health(self, well: bool, text: str = "") -> None:
        state = HealthChanged(self._part, well, text)
        if state == self._health:
            return
        self._health = state
        self._bus.tell(state)

    def _send_next(self) -> bool:
        """Send the oldest thing that was not told; return whether there was one.

        Raises:
            _Failed: it was not taken.
        """
        what = self._outbox.next()
        if what is None:
            return False
        self._send(what)
        self._outbox.done()
        return True

    def _send(self, what: dict[str, Any]) -> None:
        """Send; what will never be taken is left out, visibly."""
        try:
            self._post(json.dumps(what).encode())
        except _Failed as error:
            if not error.final:
                raise
            self._tell_health(False, f"{self.place}: {error}; left out")
        else:
            self._tell_health(True)

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._options.timeout_s):
                return
        except urllib.error.HTTPError as error:
            error.close()
            text = f"it answers {error.code}"
            if 300 <= error.code < 400:
                text += "; a redirect is not followed, write the new address into 'url'"
            raise _Failed(text, error.code in _REFUSED) from error
        except urllib.error.URLError as error:
            raise _Failed(_reason(error.reason)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Failed(_reason(error)) from error


def _reason(error: object) -> str:
    """Return why, in a line that cannot hold the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def place_of(url: str, number: int) -> str:
    """Return host and port of an address: paths hold secrets as often as passwords do.

    Raises:
        LotorError: it has no host; `number` names it.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise LotorError(f"webhook {number}: its 'url' names no host; write http://HOST/PATH")
    return f"{host}:{port}" if port else host


def webhooks(config: Config, bus: Bus, journal: Journal, clock: Clock) -> tuple[Webhook, ...]:
    """Return one for each `[[webhook]]`, not yet started.

    Raises:
        LotorError: an address makes no sense.
    """
    return tuple(
        Webhook(options, number, config.name, bus, journal, clock)
        for number, options in enumerate(config.webhook, 1)
    )
