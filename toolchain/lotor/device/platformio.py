"""Flashing with PlatformIO: its platform knows the chip's boot loader, partitions and uploader."""

from lotor import framework
from lotor.board import Board
from lotor.build import Image
from lotor.device.ports import locate, port_lock


def flash(board: Board, image: Image) -> str:
    """Write an image into a board's flash and start it; return the board's port.

    The uploader checks that the chip is of the kind that the image was built for.

    Raises:
        LotorError: no port or several, a port that somebody has open, or the uploader failed.
    """
    url, _ = locate(board.name)
    with port_lock(url):
        framework.upload(board, image.elf.parent, url)
    return url
