"""`kind = "board"`: an output of a board that runs a Lotor image, which limits it by itself."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.suggest import did_you_mean

if TYPE_CHECKING:
    from lotor.device.session import Session


@dataclass(frozen=True)
class Options:
    """Which output of which board.

    Attributes:
        board: a board's name, or the path or url of its port.
        output: its name in `[outputs]` of the board's file.
        pulse_us: of a servo: where it goes, as the length of its pulses in microseconds; where the
            board's file says when left out.
    """

    board: str
    output: str
    pulse_us: int | None = None


class BoardOutput:
    """Switches an output over the serial link; the board ends it by itself, too."""

    ENDS_ALONE = True
    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        self._name, self._options = name, options
        for key in ("board", "output"):
            if not getattr(options, key):
                raise LotorError(f"action '{name}': 'options.{key}' is empty")
        self._lock = threading.Lock()
        self._session: Session | None = None

    def describe(self) -> str:
        """Return which output it switches on."""
        which = f"{self._options.output} of the board {self._options.board}"
        if self._options.pulse_us is not None:
            return f"turn {which} to {self._options.pulse_us} us"
        return f"switch {which} on"

    def on(self, cause: Cause, seconds: float) -> None:
        """Switch on; the board is told for how long.

        Raises:
            LotorError: no such output, it rests, or the board does not answer.
        """
        self._ask(round(1000 * seconds))

    def off(self) -> None:
        """Switch off.

        Raises:
            LotorError: the board does not answer.
        """
        self._ask(0)

    def close(self) -> None:
        """Close the port."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _ask(self, on_ms: int) -> None:
        from lotor.device.session import Session

        with self._lock:
            try:
                if self._session is None:
                    self._session = Session.open(self._options.board)
                session, wanted = self._session, self._options.output
                outputs = {output.name: output.index for output in session.greeting.outputs}
                if wanted not in outputs:
                    raise LotorError(
                        f"action '{self._name}': {session.where} has no output '{wanted}'"
                        f"{did_you_mean(wanted, outputs)}; outputs: "
                        f"{', '.join(outputs) or 'none'}"
                    )
                index, pulse_us = outputs[wanted], self._options.pulse_us if on_ms else None
                servo = next((s for s in session.greeting.servos if s.index == index), None)
                if pulse_us is not None and not (
                    servo and servo.min_us <= pulse_us <= servo.max_us
                ):
                    may = f"may be {servo.min_us} to {servo.max_us}" if servo else "is for servos"
                    raise LotorError(
                        f"action '{self._name}': 'options.pulse_us' is {pulse_us}, and {may}: "
                        f"see {wanted} of {session.where}"
                    )
                session.output(index, on_ms, pulse_us)
            except (LotorError, OSError):
                self._drop()  # a board that was plugged in anew has another port
                raise
