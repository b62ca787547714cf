"""How the process ends: a signal asks for it, a second one does not wait for anything.

The first SIGINT or SIGTERM lets everything end in order. A second one, or an end that takes longer
than `END_S`, switches deterrents off and leaves at once: what a power cut leaves is mended at the
next start anyway (`store.py`), and helpers switch off what is still on (`actions/supervised.py`).
"""

import contextlib
import os
import select
import signal
import threading
from types import FrameType, TracebackType
from typing import Protocol, Self

END_S = 60.0
"""Seconds that an orderly end may take; a service manager's patience is 90."""
OFF_S = 3.0
"""Seconds that switching off may take when it is left at once."""


class Switches(Protocol):
    """What is switched off before the process is left: the guard."""

    def close(self, wait_s: float, /) -> None:
        """Switch off, and switch nothing on any more."""
        ...

    def settle(self, wait_s: float, /) -> bool:
        """Wait until everything is off."""
        ...


class Ending:
    """Takes SIGINT and SIGTERM for as long as it is entered; of the main thread.

    Attributes:
        asked: whether a signal came.
        switches: to be switched off first; None while there are none.
    """

    def __init__(self) -> None:
        self.asked = False
        self.switches: Switches | None = None
        self._code = 1
        self._before: dict[int, object] = {}
        self._others: set[threading.Thread] = set()

    def __enter__(self) -> Self:
        self._others = set(threading.enumerate())
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        thread = threading.Thread(target=self._watch, name="ending", daemon=True)
        thread.start()
        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = [t for t in set(threading.enumerate()) - self._others if not t.daemon]
        if self.asked and left:
            return  # the interpreter will wait for them: no longer than `END_S`
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]  # what it was
        os.close(self._wake)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; nothing here takes a lock, as what was interrupted may hold it."""
        self.asked, self._code = True, 128 + number
        with contextlib.suppress(OSError):
            os.write(self._wake, b"!")

    def _watch(self) -> None:
        try:
            if not os.read(self._woken, 1):
                return
            again, _, _ = select.select([self._woken], [], [], END_S)
            if again and not os.read(self._woken, 1):
                return
        finally:
            os.close(self._woken)
        why = "asked a second time" if again else f"not ended within {END_S:g} s"
        os.write(2, f"{why}: switching off and leaving at once\n".encode())
        off = threading.Thread(target=self._off, name="ending off", daemon=True)
        off.start()
        off.join(2 * OFF_S)
        os._exit(self._code)

    def _off(self) -> None:
        if self.switches is not None:
            self.switches.close(OFF_S)  # comes back at once where somebody is at it
            self.switches.settle(OFF_S)
