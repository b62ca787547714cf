"""A real MQTT broker (Debian's mosquitto) that a test starts, stops and starts again."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_mosquitto = pytest.mark.skipif(
    PROGRAM is None, reason="no mosquitto: apt-get install mosquitto"
)


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Mosquitto:
    """One broker with a port and a folder of its own.

    Args:
        folder: for its configuration and what it keeps.
        settings: lines of `mosquitto.conf` besides the port, e.g. of passwords.
        persistent: whether it keeps what is retained over a restart.
    """

    def __init__(
        self, folder: Path, settings: tuple[str, ...] = (), persistent: bool = True
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._folder = folder
        lines = [
            f"listener {self.port} 127.0.0.1",
            *(settings or ("allow_anonymous true",)),
            f"persistence {'true' if persistent else 'false'}",
            f"persistence_location {folder}/",
            "user root",
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM and self._process is None
        command = [PROGRAM, "-c", str(self._folder / "mosquitto.conf")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, self.log
                time.sleep(0.02)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It keeps its connections, takes more, and says nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.stop()
