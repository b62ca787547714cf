"""The socket by which tests have power over the emulated Pico; `control.mjs` says what it takes."""

import json
import socket
import time
from pathlib import Path
from typing import Any, Self


class Power:
    """A connection to that socket.

    Args:
        path: what the emulator's `--control` names.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        until = time.monotonic() + 60
        while self._socket.connect_ex(str(path)):  # the emulator has not made it yet
            assert time.monotonic() < until, f"no {path}"
            time.sleep(0.01)

    def answer(self, request: object) -> dict[str, Any]:
        """Return the whole answer, which may be an error."""
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        text = b""
        while not text.endswith(b"\n"):
            text += self._socket.recv(1 << 16)
        answer: dict[str, Any] = json.loads(text)
        return answer

    def __call__(self, *request: object) -> Any:
        answer = self.answer(request)
        assert "error" not in answer, answer
        return answer["ok"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
