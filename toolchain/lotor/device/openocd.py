"""Flashing through a debug probe with OpenOCD, e.g. the ST-Link on ST's boards.

The probe is the one whose virtual serial port the board talks on: it is found by its USB identity,
and OpenOCD is told its serial number, so that no other board of the kind is flashed.
"""

import os
import re

from serial.tools import list_ports

from lotor.board import Board, Openocd
from lotor.build import Image
from lotor.device import tool
from lotor.device.ports import locate, port_lock
from lotor.errors import LotorError

INSTALL = "`sudo apt-get install openocd`"
_SECONDS, _PROBE_SECONDS = 180, 15
_NO_PROBE = "open failed|no device found|unable to (open|find) .*device|LIBUSB_ERROR"


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash, verify it and start it; return the board's port.

    Args:
        board: with a table [openocd].
        image: its ELF is written.

    Raises:
        LotorError: no or several boards are plugged in, OpenOCD is missing, or it failed; says
            what it said.
    """
    program = tool.find("openocd", INSTALL)
    url, _ = locate(board.name)
    with port_lock(url):
        done = tool.run(
            [program, *arguments(board, image, serial_number(url))],
            _SECONDS,
            f"openocd did not end within {_SECONDS} s on board {board.name}: unplug the board, "
            "plug it in and flash it again",
        )
    if done.status:
        raise _error(board, "flash", done)
    return url


def check_probe(board: Board, url: str) -> str:
    """See that OpenOCD reaches the chip through the probe of a port, which goes on running.

    Returns:
        What it says of the chip.

    Raises:
        LotorError: it is missing, or sees no probe or no chip.
    """
    if board.openocd is None:
        raise LotorError(f"board {board.name} is not flashed with OpenOCD")
    program = tool.find("openocd", INSTALL)
    late = f"openocd did not reach board {board.name} within {_PROBE_SECONDS} s: plug it in anew"
    command = [program, *_scripts(board.openocd, serial_number(url)), "-c", "init; exit"]
    done = tool.run(command, _PROBE_SECONDS, late)
    if done.status:
        raise _error(board, "reach", done)
    chip = re.search(r"\S+ (?:r\dp\d )?processor detected", done.said)
    return f"openocd reaches the chip{f': {chip[0]}' if chip else ''}"


def arguments(board: Board, image: Image, number: str | None) -> list[str]:
    """Return OpenOCD's arguments; without a serial number it takes the first probe."""
    if board.openocd is None:
        raise LotorError(f"board {board.name} is not flashed with OpenOCD")
    # With updates flash holds more than the image.
    what = f"{{{image.bin}}} {board.flash_origin:#x}" if board.update else f"{{{image.elf}}}"
    return [*_scripts(board.openocd, number), "-c", f"program {what} verify reset exit"]


def _scripts(scripts: Openocd, number: str | None) -> list[str]:
    probe = ["-c", f"adapter serial {number}"] if number else []
    return ["-f", scripts.interface, *probe, "-f", scripts.target]


def serial_number(url: str) -> str | None:
    """Return the USB serial number of a port, where it has one."""
    path = os.path.realpath(url)
    found = [port for port in list_ports.comports() if os.path.realpath(port.device) == path]
    return found[0].serial_number if found else None


def _error(board: Board, what: str, done: tool.Ended) -> LotorError:
    lines = [" ".join(line.split()) for line in done.said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match("Error:|\\*\\* .*(Failed|Error)", line)] or lines
    text = "; ".join(errors[:3])[:300] or "nothing"
    step = "see that its cable carries data, and that no debugger holds the board"
    if re.search(_NO_PROBE, done.said, re.IGNORECASE):
        step = (
            "plug the board in; if only root may use its probe, `lotor doctor --board "
            f"{board.name} --write-rule FILE` writes the udev rule"
        )
    return LotorError(
        f"openocd could not {what} board {board.name} (status {done.status}): {text}; {step}"
    )
