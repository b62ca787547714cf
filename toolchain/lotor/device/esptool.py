"""Flashing chips of Espressif with `esptool`, by the loader in their ROM.

It writes what PlatformIO built: boot loader, partitions and program, where the platform has them.
The command line is that of esptool 5 (`esptool --help`, `esptool write-flash --help`).
"""

import re

from lotor import framework
from lotor.board import Board
from lotor.build import Image
from lotor.device import tool
from lotor.device.ports import locate, port_lock
from lotor.errors import LotorError

INSTALL = "`pip install 'esptool>=5'`"
_SECONDS = 300


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash and start it; return the board's port.

    esptool checks that the chip is of the kind that the image was built for, and compares the MD5
    of what flash holds.

    Raises:
        LotorError: no port or several, a port that somebody has open, esptool is missing, or it
            failed: says why.
    """
    program = tool.find("esptool", INSTALL)
    url, _ = locate(board.name)
    content = framework.flash_content(board, image.elf.parent)
    files = [text for address, path in content.files for text in (hex(address), str(path))]
    options = ["--chip", content.chip, "--port", url, "--baud", str(content.baud)]
    with port_lock(url):
        done = tool.run(
            [program, *options, "write-flash", *files],
            _SECONDS,
            f"esptool did not end within {_SECONDS} s on board {board.name}: hold the boot button "
            "while you press reset, then flash again",
        )
    if done.status:
        fatal = re.search(r"fatal error occurred: ([^\n]*)", done.said)
        raise LotorError(
            f"esptool could not flash board {board.name} on {url} (status {done.status}): "
            f"{fatal.group(1) if fatal else done.words[-300:]}; hold the boot button while you "
            "press reset, then flash again"
        )
    return url
