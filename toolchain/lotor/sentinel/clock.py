"""The two times that the sentinel lives by, so that a test can live seven nights in a minute."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """`now` can jump, as a clock that is set does; `monotonic` cannot."""

    def now(self) -> float:
        """Return Unix time, in seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since any moment; it never goes back."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Return when an event is set (True) or seconds have passed (False)."""
        ...


class SystemClock:
    """This machine's."""

    def now(self) -> float:
        """Return Unix time, in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since any moment; it never goes back."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Return when an event is set (True) or seconds have passed (False)."""
        return event.wait(seconds)


class SetClock:
    """One that stands still until it is told to go on.

    Args:
        now: Unix time to begin with.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._monotonic = 0.0
        self._moved = threading.Condition()

    def now(self) -> float:
        """Return Unix time, in seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since it was made, as far as it was told."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._moved:
            self._now += seconds
            self._monotonic += seconds
            self._moved.notify_all()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; no time passes."""
        self._now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Return when an event is set, or as much time was let pass as told.

        The event is looked for every hundredth of a real second.
        """
        until = self._monotonic + seconds
        with self._moved:
            while not event.is_set() and self._monotonic < until:
                self._moved.wait(0.01)
        return event.is_set()
