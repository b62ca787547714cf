"""Flashing an RP2040 or RP2350 whose boot ROM runs with Raspberry Pi's `picotool`.

The command line is that of its README: `picotool load -v -x FILE` writes, verifies and starts.
"""

from lotor.board import Board
from lotor.build import Image
from lotor.device import tool
from lotor.device.ports import locate
from lotor.errors import LotorError

INSTALL = "build it from https://github.com/raspberrypi/picotool, or flash by the method uf2"
_SECONDS = 60


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash, verify it and start it; return the board's port.

    Raises:
        LotorError: no or several ports, picotool is missing, or it failed: it says so where no
            board waits in its boot ROM, or several do.
    """
    if image.uf2 is None:
        raise LotorError(f"the image of board {board.name} has no UF2 file: build it again")
    program = tool.find("picotool", INSTALL)
    url, _ = locate(board.name)  # before anything is changed
    done = tool.run(
        [program, "load", "-v", "-x", str(image.uf2)],
        _SECONDS,
        f"picotool did not end within {_SECONDS} s on board {board.name}: hold BOOTSEL while you "
        "plug it in, then flash again",
    )
    if done.status:
        raise LotorError(
            f"picotool could not flash board {board.name} (status {done.status}): "
            f"{done.words[-300:]}; hold BOOTSEL of this board alone while you plug it in"
        )
    return url
