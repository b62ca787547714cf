"""Where Lotor keeps its data files, its cache, its records and the state of running emulators."""

import os
from pathlib import Path

from lotor.errors import LotorError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def resource(*parts: str) -> Path:
    """Return the path of a data file or folder: `kernels`, `boards`, `firmware` or `models`.

    In a checkout these are the top-level folders; in an installed wheel they lie in the package.
    """
    installed = _PACKAGE / "_data"
    root = installed if installed.is_dir() else _CHECKOUT
    return root.joinpath(*parts)


def cache_dir() -> Path:
    """Return the folder of rebuildable files: `$LOTOR_CACHE`, else `lotor` in the XDG cache."""
    if explicit := os.environ.get("LOTOR_CACHE"):
        path = Path(explicit)
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lotor"
    return _made(path, "LOTOR_CACHE")


def run_dir() -> Path:
    """Return the folder that says which emulator runs where: `$LOTOR_RUN_DIR` or the XDG one."""
    if explicit := os.environ.get("LOTOR_RUN_DIR"):
        path = Path(explicit)
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "lotor"
    else:
        path = cache_dir() / "run"
    return _made(path, "LOTOR_RUN_DIR")


def state_dir() -> Path:
    """Return the folder of what nothing can rebuild: `$LOTOR_STATE_DIR` or the XDG one."""
    if explicit := os.environ.get("LOTOR_STATE_DIR"):
        path = Path(explicit)
    else:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        path = Path(home) / "lotor"
    return _made(path, "LOTOR_STATE_DIR")


def _made(path: Path, variable: str) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LotorError(
            f"cannot make folder {path}: {error.strerror}; name another one in ${variable}"
        ) from error
    return path
