"""The firmware's server as a process of this machine, with a port that a session can use."""

import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from lotor.errors import LotorError


class HostServer:
    """Runs the program that `build_host_server` made; is itself the port of a session."""

    def __init__(self, program: Path) -> None:
        self.url = str(program)
        self._log = program.with_suffix(".log").open("w+b")
        self.process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )

    def read(self, timeout: float) -> bytes:
        """Wait up to `timeout` seconds for bytes; say what the sanitizers said when it died."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(timeout, 0))
        data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
        if ready and not data:
            raise LotorError(f"the server died: {self._said()}")
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        assert self.process.stdin is not None
        try:
            while data:
                data = data[self.process.stdin.write(data) or 0 :]
        except BrokenPipeError as error:
            raise LotorError(f"the server died: {self._said()}") from error

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
        self._log.close()

    def _said(self) -> str:
        self.process.wait(10)
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
