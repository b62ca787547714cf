"""Running the programs that flash boards: found on PATH, never asking anything, never for ever."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from lotor.errors import LotorError


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status, and what it said on both streams."""

    status: int
    said: str

    @property
    def words(self) -> str:
        """What it said in a line, "nothing" at least."""
        return " ".join(self.said.split()) or "nothing"


def find(program: str, install: str) -> str:
    """Return the path of a program.

    Args:
        program: its name.
        install: what to do where there is none.

    Raises:
        LotorError: there is none on PATH.
    """
    path = shutil.which(program)
    if path is None:
        raise LotorError(f"{program} is missing: {install}")
    return path


def run(command: Sequence[str], seconds: float, late: str) -> Ended:
    """Run a program to its end, with nothing to read from.

    Args:
        command: the program's path and its arguments.
        seconds: how long it may take.
        late: what to say and do when it takes longer.

    Raises:
        LotorError: it does not start, or takes longer.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LotorError(late) from error
    except OSError as error:
        raise LotorError(f"{command[0]} does not start: {error}; install it anew") from error
    return Ended(done.returncode, done.stdout)
