"""Flashing through Adafruit's boot loader of nRF52 boards, which speaks to `adafruit-nrfutil`.

The command line is that of adafruit-nrfutil 0.5 (`dfu genpkg --help`, `dfu serial --help`). The
boot loader puts the image where its soft device ends, which is where the board file's
`memory.flash` begins.
"""

import os
import tempfile
from pathlib import Path

from lotor.board import Board
from lotor.build import Image
from lotor.device import tool
from lotor.device.bossac import VARIABLE, port_of
from lotor.device.ports import locate
from lotor.errors import LotorError

INSTALL = "`pip install adafruit-nrfutil`"
_SECONDS = 180
_NRF52 = "0x0052"  # device type of the package


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash and start it; return the port of the board's link.

    The port to flash by has one of `flash.boot_usb` or `flash.usb`, a sketch's, which is asked to
    start the boot loader; LOTOR_FLASH_PORT names it instead.

    Raises:
        LotorError: no port or several, the program is missing, or it failed.
    """
    program = tool.find("adafruit-nrfutil", INSTALL)
    url, _ = locate(board.name)  # before anything is changed
    port = os.environ.get(VARIABLE) or port_of(board, board.flash.boot_usb + board.flash.usb)
    with tempfile.TemporaryDirectory(prefix="lotor-") as folder:
        package = str(Path(folder) / "image.zip")
        options = ["--dev-type", _NRF52, "--application", str(image.bin), package]
        _run(board, [program, "dfu", "genpkg", *options])
        serial = ["--package", package, "--port", port, "--baudrate", "115200", "--singlebank"]
        _run(board, [program, "dfu", "serial", *serial, "--touch", "1200"])
    return url


def _run(board: Board, command: list[str]) -> None:
    late = (
        f"adafruit-nrfutil did not flash board {board.name} in {_SECONDS} s: press its reset "
        "button twice quickly, then flash again"
    )
    done = tool.run(command, _SECONDS, late)
    # It ends with 0 also where the board did not answer.
    failed = [line for line in done.said.splitlines() if line.startswith("Failed to")]
    if done.status or failed:
        said = failed[0] if failed else done.words[-300:]
        raise LotorError(
            f"adafruit-nrfutil could not flash board {board.name} (status {done.status}): "
            f"{said[:300]}; press its reset button twice quickly, then flash again"
        )
