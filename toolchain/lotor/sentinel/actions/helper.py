"""The process that holds a device for the sentinel, and switches it off when the sentinel is gone.

It reads lines of JSON: `{"id": 1, "ask": "setup" | "on" | "off", …}`, and answers each with
`{"id": 1, "error": ""}`. The device is switched off when its time is over, when the input ends
(the sentinel ended, was killed, or closed it), and when another process has become the parent.
Where that fails it is tried again for `TRIES_S`, and only then given up.
"""

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lotor.sentinel.actions import Cause, Deterrent
from lotor.sentinel.actions.load import load_here

LOOK_S = 0.5
"""Seconds between looks at whether the sentinel is still there."""

TRIES_S = 3600.0
"""Seconds after which a device that cannot be switched off is given up, without a sentinel."""

OFF_S = 40.0
"""Seconds after which a call of `off` is taken to hang."""

GRACE_S = 1.0
"""Seconds that the sentinel may be late with `off`."""


class Helper:
    """Holds one device.

    Args:
        answers: where answers go.
    """

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._device: Deterrent | None = None
        self._lock = threading.Lock()
        self._until: float | None = None
        self._ons = 0

    def take(self, line: bytes) -> None:
        """Take a request; what may last is done in a thread."""
        request = json.loads(line)
        if request["ask"] == "on":
            self._until = time.monotonic() + request["most"] + GRACE_S
            self._ons += 1
        threading.Thread(target=self._serve, args=(request,), daemon=True).start()

    def _serve(self, request: Mapping[str, Any]) -> None:
        error = ""
        try:
            self._do(request)
        except BaseException as caught:  # a plug-in may raise anything
            text = " ".join(str(caught).split())
            error = text or type(caught).__name__
        with self._lock:
            print(json.dumps({"id": request["id"], "error": error}), file=self._answers, flush=True)

    def _do(self, request: Mapping[str, Any]) -> None:
        if request["ask"] == "setup":
            folder = Path(request["folder"])
            self._device = load_here(request["kind"], request["name"], request["options"], folder)
        elif request["ask"] == "on":
            try:
                self.device.on(Cause(**request["cause"]), request["seconds"])
            finally:
                self._ons -= 1
                if self._until is None:
                    self.off()  # it was to end meanwhile
        else:
            self.off()

    @property
    def device(self) -> Deterrent:
        """The device.

        Raises:
            RuntimeError: none was set up.
        """
        if self._device is None:
            raise RuntimeError("no device was set up")
        return self._device

    def off(self) -> None:
        """Switch off; see `Deterrent.off`."""
        self.device.off()
        self._until = None

    def look(self) -> None:
        """Switch off what is on for too long: the sentinel hangs, or was stopped."""
        if self._until is not None and time.monotonic() >= self._until:
            self._until = time.monotonic() + LOOK_S
            threading.Thread(target=self._off_late, daemon=True).start()

    def _off_late(self) -> None:
        try:
            self.off()
        except BaseException as error:
            print(f"cannot be switched off: {error}", file=sys.stderr)

    def end(self) -> None:
        """Switch off, whatever it takes, and give the device back."""
        until, pause = time.monotonic() + TRIES_S, 0.2
        while self._device is not None and time.monotonic() < until:
            done = threading.Event()

            def off(done: threading.Event = done) -> None:
                try:
                    self.off()
                except BaseException as error:
                    print(f"cannot be switched off: {error}", file=sys.stderr)
                else:
                    done.set()

            thread = threading.Thread(target=off, daemon=True)  # it may hang
            try:
                thread.start()
            except RuntimeError:  # no memory for one
                off()
            else:
                thread.join(OFF_S)
            if done.is_set() and not self._ons:
                self._device.close()
                return
            time.sleep(pause)
            pause = min(2 * pause, 30.0)


def main() -> None:
    """Serve standard input until it ends or the parent is another one."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the sentinel gets them, too, and ends this one
    parent = os.getppid()
    # What a device prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    helper, held = Helper(answers), b""
    try:
        while os.getppid() == parent:
            if select.select([0], [], [], LOOK_S)[0]:
                data = os.read(0, 65536)
                if not data:
                    break
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    helper.take(line)
            helper.look()
    finally:  # whatever went wrong here
        # It may have to try for long; whoever reads what the sentinel wrote must not wait for that.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        helper.end()
        os._exit(0)  # threads of a device that hang must not hold it


if __name__ == "__main__":
    main()
