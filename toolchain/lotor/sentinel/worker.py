"""A thread that does the work of a part, and does not die in silence.

Whatever escapes the work is logged with its traceback, is to be seen in the health, and the work
begins anew after a pause. Every thread of the sentinel that lasts is one, but for the guard's
timer, which nothing may begin anew (`guard.py`), and those that somebody gives up and replaces: a
camera's readers (`capture.py`), and those of devices (`actions/`).
"""

import logging
import threading
import time
from collections.abc import Callable

from lotor.errors import said
from lotor.sentinel.bus import HealthChanged

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds of real time before the work begins anew, the first time, the second..."""
STEADY_S = 60.0
"""Work that went on for so long begins with the first pause again."""


class Worker:
    """A daemon thread.

    Args:
        name: of the thread; "NAME thread" in the health.
        work: what it does; it returns when it shall end, and calls `turn` when something was done.
        tell: is told of its health.
        failed: is called with what escaped the work.
        blocks: whether nothing acts while it is not well.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        tell: Callable[[HealthChanged], None],
        *,
        failed: Callable[[BaseException], None] = lambda error: None,
        blocks: bool = False,
    ) -> None:
        self._name, self._work, self._tell = name, work, tell
        self._failed, self._blocks = failed, blocks
        self._ill = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def turn(self) -> None:
        """Say, in the thread, that something was done: it is well again."""
        if self._ill:
            self._ill = False
            self._say(HealthChanged(f"{self._name} thread", True))

    def is_alive(self) -> bool:
        """Return whether it has begun and not ended."""
        return self._thread.is_alive()

    def join(self, seconds: float | None = None) -> None:
        """Wait, in real time, for its end."""
        self._thread.join(seconds)

    def end(self, seconds: float) -> bool:
        """Wait, in real time, for work that was told to end; return whether it has.

        It does not begin anew from now on.
        """
        self._ending.set()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("the %s thread has not ended within %g s and is left", self._name, seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                self._work()
                self.turn()  # it did what it was to do, at the last try
                return
            except BaseException as error:  # whatever it is: nobody else would ever see it
                failures = 1 if time.monotonic() - began >= STEADY_S else failures + 1
                pause = PAUSES_S[min(failures, len(PAUSES_S)) - 1]
                log.exception("the %s thread failed", self._name)
                self._ill = True
                text = f"it failed: {said(error)}; it begins anew within {pause:g} s"
                self._say(HealthChanged(f"{self._name} thread", False, text, self._blocks))
                try:
                    self._failed(error)
                except Exception:
                    log.exception("the %s thread", self._name)
            if self._ending.wait(pause):
                return

    def _say(self, health: HealthChanged) -> None:
        try:
            self._tell(health)
        except Exception:
            log.exception("the health of the %s thread was not told", self._name)
