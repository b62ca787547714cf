"""C of the firmware as a library of this machine, whose undefined behaviour traps."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

from lotor.build import WARNINGS

TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")


def library(folder: Path, *sources: Path, include: Path | None = None) -> Any:
    """Return the sources' functions."""
    made = folder / "library.so"
    includes = [f"-I{include}"] if include else []
    command = ["cc", *WARNINGS, *TRAPS, "-O1", "-fPIC", "-shared", *includes]
    command += [*map(str, sources), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(made))
