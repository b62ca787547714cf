"""Flashing through Arduino's boot loader, which speaks to the program `bossac`.

A running sketch starts the boot loader when somebody opens its USB port at 1200 baud; without one
(an image of Lotor leaves USB alone) two quick presses of the reset button do.
"""

import os
import time
from pathlib import Path

import serial

from lotor.board import Board
from lotor.build import Image
from lotor.device import tool
from lotor.device.ports import described, locate, usb_ports
from lotor.errors import LotorError

VARIABLE = "LOTOR_FLASH_PORT"
INSTALL = (
    "put the one of Arduino's package for this board (1.9.1-arduino2 or later, which knows the "
    "nRF52) on PATH"
)
_TOUCH_BAUD = 1200
_BOOT_SECONDS = 10.0
_FLASH_SECONDS = 120.0


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash and start it.

    The boot loader's port is found by `flash.boot_usb`, that of a running sketch by `flash.usb`;
    LOTOR_FLASH_PORT names the boot loader's port instead.

    Returns:
        The url of the port of the board's link.

    Raises:
        LotorError: no `bossac`, no port or several of one kind, or bossac failed; names the next
            step.
    """
    program = tool.find("bossac", INSTALL)
    url, _ = locate(board.name)  # before anything is changed
    port = os.environ.get(VARIABLE) or _boot_loader(board)
    _run(program, board, port, image.bin)
    return url


def _boot_loader(board: Board) -> str:
    """Return the port of the boot loader; a sketch that runs is asked to start it."""
    port = port_of(board, board.flash.boot_usb + board.flash.usb)
    if usb_ports(board.flash.boot_usb):
        return port
    _touch(port)
    until = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < until:
        if usb_ports(board.flash.boot_usb):
            return port_of(board, board.flash.boot_usb)
        time.sleep(0.1)
    raise LotorError(
        f"board {board.name} on {port} did not start its boot loader in {_BOOT_SECONDS:.0f} s: "
        "press its reset button twice quickly, then flash again"
    )


def port_of(board: Board, identities: tuple[str, ...]) -> str:
    """Return the one port with one of some USB identities."""
    found = usb_ports(identities)
    if not found:
        raise LotorError(
            f"no port has board {board.name}'s USB identity {' or '.join(identities)}: plug its "
            f"USB in and press its reset button twice quickly, or name the port in {VARIABLE}"
        )
    if len(found) > 1:
        raise LotorError(
            f"{len(found)} ports could be board {board.name}: {'; '.join(map(described, found))}; "
            f"name one in {VARIABLE}"
        )
    return str(found[0].device)


def _touch(port: str) -> None:
    try:
        serial.Serial(port, _TOUCH_BAUD).close()
    except (serial.SerialException, OSError) as error:
        raise LotorError(
            f"cannot open {port} to start the boot loader ({error}): close what has it open, or "
            "press the board's reset button twice quickly"
        ) from error


def _run(program: str, board: Board, port: str, image: Path) -> None:
    # Erase, write and reset, as Arduino's own recipe does; bossac wants the name without /dev/.
    command = [program, f"--port={Path(port).name}", "-U", "-i", "-e", "-w", str(image), "-R"]
    done = tool.run(
        command,
        _FLASH_SECONDS,
        f"bossac did not flash board {board.name} on {port} in {_FLASH_SECONDS:.0f} s: press its "
        "reset button twice quickly, then flash again",
    )
    if done.status:
        raise LotorError(
            f"bossac did not flash board {board.name} on {port} (status {done.status}); it said: "
            f"{done.words[-200:]}; one that does not know the nRF52, as Debian's 1.9.1, cannot: "
            "take Arduino's 1.9.1-arduino2"
        )
