"""What the sentinel can do: one file for each kind of action; others are plug-ins.

A plug-in is a class with the shape of `Deterrent` under the entry point group `lotor.actions`; the
entry point's name is its kind. Nobody but `guard.py` calls `on` and `off`: there the longest time
on, the rate and dry runs are enforced.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

GROUP = "lotor.actions"


@dataclass(frozen=True)
class Cause:
    """Why an action is on, for those that say so to somebody else.

    Attributes:
        label: what is chased off; "test" when it is only tried.
        camera: that saw it.
        time: Unix time.
    """

    label: str
    camera: str
    time: float


class Deterrent(Protocol):
    """An action that is on for a while.

    Whoever sets `ENDS_ALONE = True` says that its device goes off by itself when this process dies,
    however it dies. All others are run in a helper process that sees to it (`supervised.py`).

    Attributes:
        Options: a frozen dataclass: what `[action.options]` may say (`lotor.schema`).
    """

    Options: ClassVar[type[Any]]

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        """Take the options; opens nothing that a dry run need not have.

        Args:
            name: of the action.
            options: an instance of `Options`.
            folder: of the configuration; paths are relative to it.

        Raises:
            LotorError: an option makes no sense.
        """
        ...

    def describe(self) -> str:
        """Return what it does when on, as "would …" in a dry run: "play bark.wav"."""
        ...

    def on(self, cause: Cause, seconds: float) -> None:
        """Begin. `seconds` is when `off` will be called; whoever can, tells it to the device too.

        Raises:
            OSError, LotorError: it cannot; then `off` is called.
        """
        ...

    def off(self) -> None:
        """End; harmless when off already. Whatever happens, it leaves the device off if it can.

        It may be called while `on` has not returned, from another thread, and once more then.

        Raises:
            OSError, LotorError: it cannot be reached; it is called again until it succeeds.
        """
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...
