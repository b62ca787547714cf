"""Counts what every instruction of an image does in an inference, layer by layer.

An emulator of its own runs the image with a plug-in (`counter.c`, built when it is first needed),
so that a board that runs is not disturbed. The counts are exact, and begin and end where the
board's own ticks do.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lotor.board import Board
from lotor.build import PREFIX
from lotor.compiler import Compiled
from lotor.device.emulator import EndedAtOnce, private
from lotor.device.session import Array, Session
from lotor.errors import LotorError
from lotor.resources import cache_dir

_SOURCE = Path(__file__).with_name("counter.c")
_FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared")
_HOOK, _CLOCK = "lotor_layer_done", "hal_ticks"


@dataclass(frozen=True)
class Count:
    """What one instruction did.

    Attributes:
        executed: how often it came up; in an IT block also when its condition failed.
        arrived: how often it was jumped to.
        left: how often the program went on elsewhere than behind it.
        accesses: transfers to and from memory.
        penalty: extra transfers of loads that were not aligned.
    """

    executed: int = 0
    arrived: int = 0
    left: int = 0
    accesses: int = 0
    penalty: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.executed + other.executed,
            self.arrived + other.arrived,
            self.left + other.left,
            self.accesses + other.accesses,
            self.penalty + other.penalty,
        )


Counts = Mapping[int, Count]
"""By address."""


@dataclass(frozen=True)
class Counted:
    """The counts of an inference.

    Attributes:
        layers: of every layer, together with what follows.
        overhead: what every layer has too much, the call of the hook.
    """

    layers: list[Counts]
    overhead: Counts


def instructions(counts: Counts) -> int:
    """Return how many instructions were executed."""
    return sum(count.executed for count in counts.values())


def count(board: Board, elf: Path, compiled: Compiled, inputs: Sequence[Array]) -> Counted:
    """Run one inference and count.

    Args:
        board: an emulated board.
        elf: its image.
        compiled: one of the models in the image.
        inputs: of the model.

    Raises:
        LotorError: the plug-in cannot be built or loaded, or the emulator's trouble.
    """
    program = board.emulator.program if board.emulator else "none"
    if not program.startswith("qemu-system-"):
        raise LotorError(
            f"board {board.name} is emulated by {program}: only instructions of QEMU are counted "
            "one by one"
        )
    symbols = _symbols(elf)
    with tempfile.TemporaryDirectory(prefix="lotor-") as name:
        folder = Path(name)
        options = {
            "file": plug_in(program),
            "out": folder / "counts",
            "hook": f"{symbols[_HOOK]:x}",
            "clock": f"{symbols[_CLOCK]:x}",
        }
        # A comma within a value is written twice.
        text = ",".join(f"{key}={str(value).replace(',', ',,')}" for key, value in options.items())
        try:
            with private(board, elf, folder, "-plugin", text) as url, Session.open(url) as session:
                session.require_model(compiled)
                for index, array in enumerate(inputs):
                    session.load(index, array)
                session.run()
        except EndedAtOnce as error:
            raise LotorError(f"{error}; it must be a QEMU with plug-ins, as Debian's is") from error
        found = list(_read(folder / "counts"))
    # Start, the calibration of the board's own count, what lies between that and the run, layers.
    calibration, first = 1, 3
    layers, expected = found[first:], len(compiled.report["layers"])
    if len(layers) != expected:
        raise LotorError(
            f"{board.name} ran {len(layers)} layers of {compiled.name}, which has {expected}: "
            f"`lotor flash --board {board.name} --model {compiled.name}`"
        )
    return Counted(layers, found[calibration])


def _read(path: Path) -> Iterator[Counts]:
    for text in path.read_text(encoding="ascii").split("layer\n")[1:]:
        counts: dict[int, Count] = {}
        for line in text.splitlines():
            address, *values = line.split()
            at = int(address, 16)
            counts[at] = counts.get(at, Count()) + Count(*map(int, values))
        yield counts


def _symbols(elf: Path) -> dict[str, int]:
    listed = subprocess.run([f"{PREFIX}nm", elf], capture_output=True, text=True, check=True).stdout
    # The lowest bit of a function's address says that it is Thumb code.
    return {name: int(at, 16) & ~1 for at, name in re.findall(r"^(\w+) [tT] (\S+)$", listed, re.M)}


def plug_in(emulator: str) -> Path:
    """Return the plug-in for an emulator, built if the cache has none of this content.

    Raises:
        LotorError: there is no C compiler, or it fails.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise LotorError("no C compiler 'cc' found; install it: `sudo apt-get install gcc`")
    # QEMU 9 dropped the first version of the interface; what we use of it is the same in both.
    flags = [*_FLAGS, f"-DAPI_VERSION={1 if _major(emulator) < 9 else 2}"]
    key = hashlib.sha256(_SOURCE.read_bytes() + " ".join([compiler, *flags]).encode()).hexdigest()
    library = cache_dir() / "emulator" / f"counter-{key[:32]}.so"
    if library.exists():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as name:
            new = Path(name, "counter.so")
            command = [compiler, *flags, str(_SOURCE), "-o", str(new)]
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
