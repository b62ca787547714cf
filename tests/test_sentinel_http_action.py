"""HTTP switches, against a server on this machine."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.http import Http, Options

CAUSE = Cause("raccoon", "garden", 1.0)


class Plug(ThreadingHTTPServer):
    """A socket that remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status, self.delay = 200, 0.0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Plug

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers.items()), body))
        time.sleep(self.server.delay)
        with contextlib.suppress(BrokenPipeError):  # who asked no longer waits
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = _take

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def plug() -> Iterator[Plug]:
    server = Plug()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_shelly(plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # the world's, which is not asked
    device = Http(
        "sprinkler",
        Options(f"{plug.url}/relay/0?turn=on&timer={{seconds}}", f"{plug.url}/relay/0?turn=off"),
        tmp_path,
    )
    device.on(CAUSE, 4.2)
    device.off()
    device.off()
    assert [(what, path) for what, path, *_ in plug.asked] == [
        ("GET", "/relay/0?turn=on&timer=5"),
        ("GET", "/relay/0?turn=off"),
        ("GET", "/relay/0?turn=off"),
    ]


def test_home_assistant(plug: Plug, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc.def\nanother line\n")
    device = Http(
        "light",
        Options(
            f"{plug.url}/api/services/switch/turn_on",
            f"{plug.url}/api/services/switch/turn_off",
            method="POST",
            body_on='{"entity_id": "switch.{label}", "at": "{camera}"}',
            body_off='{"entity_id": "switch.garden"}',
            headers={"Authorization": "Bearer {secret}"},
            secret_file="token",
        ),
        tmp_path,
    )
    device.on(Cause('ra"coon', "garden", 1.0), 3)
    device.off()
    (on, off) = plug.asked
    assert (on[0], on[1]) == ("POST", "/api/services/switch/turn_on")
    assert on[2]["Authorization"] == "Bearer abc.def"
    assert on[2]["Content-Type"] == "application/json"
    assert json.loads(on[3]) == {"entity_id": "switch.ra_coon", "at": "garden"}
    assert json.loads(off[3]) == {"entity_id": "switch.garden"}
    (tmp_path / "token").write_text("changed")  # a new one needs no restart
    device.off()
    assert plug.asked[-1][2]["Authorization"] == "Bearer changed"


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_answer_that_is_no_success_is_an_error(plug: Plug, tmp_path: Path, status: int) -> None:
    plug.status = status
    with pytest.raises(LotorError, match=f"the answer is {status}") as error:
        Http("x", Options(plug.url + "/on", plug.url + "/off"), tmp_path).off()
    assert "\n" not in str(error.value)


def test_no_answer_is_an_error(plug: Plug, tmp_path: Path) -> None:
    plug.delay = 1.0
    with pytest.raises(LotorError, match="timed out"):
        Http("x", Options(plug.url, plug.url, timeout_s=0.1), tmp_path).on(CAUSE, 1)
    with pytest.raises(LotorError, match=r"action 'x': GET http://127.0.0.1:1/: .*refused"):
        Http("x", Options("http://127.0.0.1:1/", plug.url), tmp_path).on(CAUSE, 1)


def test_no_message_shows_the_secret(plug: Plug, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    plug.status = 403
    for base in (plug.url, "http://127.0.0.1:1", "http://127.0.0.1:1/a b"):
        options = Options(f"{base}/?password={{secret}}", plug.url, secret_file="password")
        device = Http("x", options, tmp_path)
        with pytest.raises(LotorError) as error:
            device.on(CAUSE, 1)
        assert "s3cret" not in str(error.value) and "s3cret" not in device.describe()
        assert "{secret}" in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options("htp://x/", "http://x/"), "'options.url_on' is 'htp://x/'; it must begin with"),
        (Options("http://x/", ""), "'options.url_off' is ''"),
        (Options("http://x/", "http://x/", body_on="a"), "GET has no body"),
        (Options("http://x/", "http://x/", timeout_s=0), "'options.timeout_s' is 0"),
        (Options("http://x/{secret}", "http://x/"), "needs 'options.secret_file'"),
        (Options("http://x/{secret}", "http://x/", secret_file="no"), "cannot be read"),
        (Options("http://x/{secret}", "http://x/", secret_file="empty"), "must be the secret"),
    ],
)
def test_mistakes(tmp_path: Path, options: Options, said: str) -> None:
    (tmp_path / "empty").write_text("\nsecond line")
    with pytest.raises(LotorError, match=said):
        Http("x", options, tmp_path)
