"""A device in a helper process, which switches it off when this process dies, even by `kill -9`.

The helper (`helper.py`) is told in lines of JSON and sees the end of this process by the end of its
input. It enforces the longest time on by a clock of its own, too. A helper that dies, or does not
answer, is replaced by a new one, whose first deed is to switch off.
"""

import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause, Deterrent
from lotor.sentinel.config import Action

START_S = 20.0
"""Seconds that a helper may take to start: a Pi Zero is slow."""

ANSWER_S = 40.0
"""Seconds that its answers may take: more than what devices allow themselves."""

log = logging.getLogger(__name__)


class Supervised:
    """The device of an action, at the other end of a pipe.

    Args:
        action: as the configuration has it.
        folder: of the configuration.
        device: the same device here, which is only asked what it would do.
    """

    Options: ClassVar[type[Any]] = dict  # they were checked where the device was made

    def __init__(self, action: Action, folder: Path, device: Deterrent) -> None:
        self.name, self._device, self._most = action.name, device, action.max_on_s
        self._setup = {
            "kind": action.kind,
            "name": action.name,
            "options": action.options,
            "folder": str(folder),
        }
        self._helper: _Helper | None = None
        self._lock = threading.Lock()
        self._lit = self._closed = False

    def describe(self) -> str:
        """Return what the device does when on."""
        return self._device.describe()

    def on(self, cause: Cause, seconds: float) -> None:
        """Begin; the helper ends it after the longest time on even if nobody asks it to.

        Raises:
            LotorError: it cannot.
        """
        self._lit = True
        asked = {"label": cause.label, "camera": cause.camera, "time": cause.time}
        self._get().ask("on", ANSWER_S, cause=asked, seconds=seconds, most=self._most)

    def off(self) -> None:
        """End.

        Raises:
            LotorError: it cannot.
        """
        try:
            self._get().ask("off", ANSWER_S)
        except _Lost:
            self._get().ask("off", ANSWER_S)  # a new one, as the other is gone
        self._lit = False

    def close(self) -> None:
        """End the helper, which switches off first."""
        with self._lock:
            self._closed = True
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.end()

    def _get(self) -> "_Helper":
        with self._lock:
            if self._closed:
                raise LotorError(f"action '{self.name}' is closed")
            if self._helper is None or not self._helper.lives:
                self._helper = _Helper(self._setup, self._died)
            return self._helper

    def _died(self) -> None:
        """A helper is gone that nobody ended: what it held may still be on."""
        if self._closed:
            return
        log.error("the helper of action '%s' died; another one switches off", self.name)
        if self._lit:
            try:
                self.off()
            except LotorError as error:  # the guard calls again when the time is over
                log.error("%s", error)


class _Lost(LotorError):
    """A helper died or did not answer."""


class _Helper:
    """One process, and the thread that reads its answers."""

    def __init__(self, setup: Mapping[str, Any], died: Callable[[], None]) -> None:
        self._name, self._died = setup["name"], died
        self._lock = threading.Condition()
        self._number, self._ended = 0, False
        self._answers: dict[int, str] = {}
        self._waiting: set[int] = set()
        command = [sys.executable, "-P", "-m", "lotor.sentinel.actions.helper"]
        try:
            # In a session of its own: Ctrl-C in a terminal ends the sentinel, and that ends it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise LotorError(f"action '{self._name}': no helper could be started: {error}") from (
                error
            )
        self.lives = True
        reader = threading.Thread(target=self._read, name="guard-helper", daemon=True)
        reader.start()
        try:
            self.ask("setup", START_S, **setup)
        except LotorError:
            self._ended = True
            self.kill()
            raise

    def ask(self, what: str, wait_s: float, **more: Any) -> None:
        """Ask something; return when it is done.

        Raises:
            _Lost: no answer; the helper is killed, so that a new one can be started.
            LotorError: the device failed.
        """
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting.add(number)
            try:
                _input(self._process).write(
                    json.dumps({"id": number, "ask": what, **more}).encode() + b"\n"
                )
                _input(self._process).flush()
            except (OSError, ValueError):
                self.lives = False
            self._lock.wait_for(lambda: number in self._answers or not self.lives, wait_s)
            self._waiting.discard(number)
            answer = self._answers.pop(number, None)
        if answer is None:
            self.kill()
            raise _Lost(f"action '{self._name}': its helper process did not answer '{what}'")
        if answer:
            where = f"action '{self._name}': "
            raise LotorError(answer if answer.startswith(where) else where + answer)

    def kill(self) -> None:
        self.lives = False
        self._process.kill()

    def end(self) -> None:
        """Close its input: it switches off and ends, or goes on trying to."""
        self._ended = True
        with contextlib.suppress(OSError):
            _input(self._process).close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            log.error("the helper of action '%s' still tries to switch off", self._name)

    def _read(self) -> None:
        try:
            self._take_answers()
        except Exception:  # then it is a helper that is gone
            log.exception("the helper of action '%s' cannot be heard", self._name)
            self._process.kill()
        with self._lock:
            self.lives = False
            self._lock.notify_all()
        self._process.wait()
        if not self._ended:
            self._died()

    def _take_answers(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                try:
                    answer = json.loads(line)
                    number, error = int(answer["id"]), str(answer["error"])
                except (ValueError, TypeError, KeyError, RecursionError):
                    log.error("the helper of action '%s' said %r", self._name, line)
                    continue
                with self._lock:
                    if number in self._waiting:
                        self._answers[number] = error
                        self._lock.notify_all()


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
