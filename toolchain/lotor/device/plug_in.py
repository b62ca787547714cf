"""Plug-ins for QEMU, built by this machine's C compiler when they are first needed."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from lotor.errors import LotorError
from lotor.resources import cache_dir

_FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared")


def build_plug_in(emulator: str, source: Path) -> Path:
    """Return a plug-in for an emulator, built if the cache has none of this content.

    Args:
        emulator: the program that will load it.
        source: the C file; it finds the version of the interface in `API_VERSION`.

    Raises:
        LotorError: there is no C compiler, or it fails.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise LotorError("no C compiler 'cc' found; install it: `sudo apt-get install gcc`")
    # QEMU 9 dropped the first version of the interface; what we use of it is the same in both.
    flags = [*_FLAGS, f"-DAPI_VERSION={1 if _major(emulator) < 9 else 2}"]
    key = hashlib.sha256(source.read_bytes() + " ".join([compiler, *flags]).encode()).hexdigest()
    library = cache_dir() / "emulator" / f"{source.stem}-{key[:32]}.so"
    if library.exists():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as name:
            new = Path(name, library.name)
            command = [compiler, *flags, str(source), "-o", str(new)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
                raise LotorError(f"cc cannot build the emulator's plug-in; it said: {said[0]}")
            os.replace(new, library)
    except OSError as error:
        raise LotorError(
            f"cannot build in {library.parent}: {error.strerror}; name another folder in "
            "$LOTOR_CACHE"
        ) from error
    return library


@cache
def _major(program: str) -> int:
    """Return QEMU's version, its first number; 0 if it does not say."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r"version (\d+)\.", said.stdout)
    return int(found[1]) if found else 0
