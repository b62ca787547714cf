"""Boards that are programs of Linux, under QEMU's user mode: how one is started."""

import os
import shutil
from pathlib import Path

from lotor.board import Emulator
from lotor.device.plug_in import build_plug_in

_SOURCE = Path(__file__).with_name("ticks.c")
_COUNTER_BYTES = 4096


def open_counter() -> int:
    """Return a new file in memory, in which the emulator counts instructions."""
    file = os.memfd_create("lotor-ticks", 0)
    os.truncate(file, _COUNTER_BYTES)
    return file


def command(
    emulator: Emulator, elf: Path, listener: int, counter: int, arguments: tuple[str, ...]
) -> list[str]:
    """Return the command that runs a program, which repeats it at every reset.

    Args:
        emulator: of the board.
        elf: the program.
        listener: a socket that listens: its serial port.
        counter: see `open_counter`.
        arguments: for the emulator, after the board's own.

    Raises:
        LotorError: the plug-in that counts instructions cannot be built.
    """
    program = shutil.which(emulator.program) or emulator.program
    plug_in = str(build_plug_in(program, _SOURCE)).replace(",", ",,")
    own = [program, *emulator.args, "-plugin", f"{plug_in},count={counter}", *arguments, str(elf)]
    return [*own, f"--ticks={counter}", f"listen:{listener}", "--", *own]
