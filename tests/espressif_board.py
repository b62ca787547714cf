"""Boards of Espressif played by this machine: a stand-in of their platform, and of a board."""

import json
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lotor.platformio import provide_scons

_STANDIN = Path(__file__).with_name("espressif")


def provide_platform(core: Path, version: str = "6.12.0") -> None:
    """Install the stand-in into a folder that PlatformIO then takes for its own."""
    provide_scons(core)
    for kind, name, source, number in (
        ("platform", "espressif32", "platform", version),
        ("framework", "framework-arduinoespressif32", "framework", "3.20017.0"),
    ):
        folder = core / ("platforms" if kind == "platform" else "packages") / name
        shutil.copytree(_STANDIN / source, folder)
        (folder / "boot_app0.bin").write_bytes(b"\1" + b"choice " * 1000)
        spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
        meta = {"type": kind, "name": name, "version": number, "spec": spec}
        (folder / ".piopm").write_text(json.dumps(meta), encoding="utf-8")


class PlayedBoard:
    """A board at a TCP port: whoever connects powers up the program that was flashed last.

    Args:
        flash: the file that an upload writes.
    """

    def __init__(self, flash: Path) -> None:
        self._flash = flash
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with line:
                    number = line.fileno()
                    self._process = subprocess.Popen([self._flash], stdin=number, stdout=number)
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._process and self._process.poll() is None:
            self._process.kill()
        self._thread.join(10)
