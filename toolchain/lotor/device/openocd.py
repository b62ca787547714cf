"""Flashing through a debug probe with OpenOCD, e.g. the ST-Link on ST's boards.

The probe is the one whose virtual serial port the board talks on: it is found by its USB identity,
and OpenOCD is told its serial number, so that no other board of the kind is flashed.
"""

import os
import re
import shutil
import subprocess

from serial.tools import list_ports

from lotor.board import Board
from lotor.build import Image
from lotor.device.ports import locate, port_lock
from lotor.errors import LotorError

_SECONDS = 180
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
    program = shutil.which("openocd")
    if program is None:
        raise LotorError("openocd is missing: `sudo apt-get install openocd`")
    url, _ = locate(board.name)
    with port_lock(url):
        try:
            done = subprocess.run(
                [program, *arguments(board, image, _serial_number(url))],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LotorError(
                f"openocd did not end within {_SECONDS} s on board {board.name}: unplug the board, "
                "plug it in and flash it again"
            ) from error
    if done.returncode:
        raise _error(board, done.stdout + done.stderr, done.returncode)
    return url


def arguments(board: Board, image: Image, serial_number: str | None) -> list[str]:
    """Return OpenOCD's arguments; without a serial number it takes the first probe."""
    if board.openocd is None:
        raise LotorError(f"board {board.name} is not flashed with OpenOCD")
    # With updates flash holds more than the image.
    what = f"{{{image.bin}}} {board.flash_origin:#x}" if board.update else f"{{{image.elf}}}"
    probe = ["-c", f"adapter serial {serial_number}"] if serial_number else []
    return [
        *("-f", board.openocd.interface, *probe, "-f", board.openocd.target),
        *("-c", f"program {what} verify reset exit"),
    ]


def _serial_number(url: str) -> str | None:
    """Return the USB serial number of a port, where it has one."""
    path = os.path.realpath(url)
    found = [port for port in list_ports.comports() if os.path.realpath(port.device) == path]
    return found[0].serial_number if found else None


def _error(board: Board, said: str, status: int) -> LotorError:
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match("Error:|\\*\\* .*(Failed|Error)", line)] or lines
    text = "; ".join(errors[:3])[:300] or "nothing"
    step = "see that its cable carries data, and that no debugger holds the board"
    if re.search(_NO_PROBE, said, re.IGNORECASE):
        step = "plug the board in, and install OpenOCD's udev rule if only root may use it"
    return LotorError(
        f"openocd could not flash board {board.name} (status {status}): {text}; {step}"
    )
