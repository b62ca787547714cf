"""Counts what every instruction of an image does in an inference, layer by layer.

An emulator of its own runs the image with a plug-in (`counter.c`, built when it is first needed),
so that a board that runs is not disturbed. The counts are exact, and begin and end where the
board's own ticks do.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotor.board import Board
from lotor.build import PREFIX
from lotor.compiler import Compiled
from lotor.device.emulator import EndedAtOnce, private
from lotor.device.plug_in import build_plug_in
from lotor.device.session import Array, Session
from lotor.errors import LotorError

_SOURCE = Path(__file__).with_name("counter.c")
_HOOK, _CLOCK = "lotor_layer_done", "hal_ticks"
_CALIBRATIONS = 4  # tries of profile_calibrate, firmware/src/profile.c


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
            f"board {board.name} is emulated by {program}: only instructions of QEMU's "
            "machines are counted one by one"
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
    # Start, calibrations of the board's own count with what lies behind each, layers.
    calibration, first = 1, 1 + 2 * _CALIBRATIONS
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
    """Return the plug-in for an emulator; see `lotor.device.plug_in.build_plug_in`."""
    return build_plug_in(emulator, _SOURCE)
