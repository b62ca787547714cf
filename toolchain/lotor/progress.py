"""Progress of long work, on stderr."""

import sys
import time
from types import TracebackType
from typing import Self


class Progress:
    """A line that says how far a piece of work has come.

    On a terminal one line is redrawn, from the first second on; elsewhere a line appears every five
    seconds, so that a log stays short. Nothing is printed for work that ends before that.

    Args:
        label: what is being done.
        total: number of steps, in `unit`.
        unit: what a step is, e.g. "samples".
    """

    def __init__(self, label: str, total: int, unit: str = "") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._tty = sys.stderr.isatty()
        self._next = time.monotonic() + (1.0 if self._tty else 5.0)
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn and self._tty:
            sys.stderr.write("\n")

    def advance(self, n: int = 1) -> None:
        """Count `n` more steps as done."""
        self.done += n
        now = time.monotonic()
        finished = self._drawn and self.done >= self.total
        if now >= self._next or finished:
            self._next = now + (0.2 if self._tty else 5.0)
            self._drawn = True
            text = f"{self.label}: {self.done}/{self.total} {self.unit}".rstrip()
            sys.stderr.write(f"\r\033[K{text}" if self._tty else f"{text}\n")
            sys.stderr.flush()
