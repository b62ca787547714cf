"""All of a board's flash: boot loader, empty state, and an image in slot 0."""

from dataclasses import replace

from lotor.board import Board
from lotor.boot_loader import build_boot_loader
from lotor.build import Image
from lotor.device.uf2 import Uf2
from lotor.device.uf2 import write as write_uf2
from lotor.files import write_files
from lotor.update_key import Key, key_id
from lotor.update_package import make_slot

FIRST_VERSION = 1


def with_boot_loader(
    board: Board, image: Image, key: Key | None = None, version: int = FIRST_VERSION
) -> Image:
    """Return an image whose files to program (`bin`, `uf2`) hold all that a board needs to start.

    Args:
        board: which board; one without a table [update] needs nothing else, and gets the image.
        image: for this board.
        key: signs the image, and its public half goes into the boot loader.
        version: of the image.

    Raises:
        LotorError: the board needs a key, or the boot loader cannot be built.
    """
    if board.update is None:
        return image
    loader = build_boot_loader(board, key.public if key else None)
    slot = make_slot(board, 0, image.bin.read_bytes(), image.build_id, version, key=key)
    data = loader.bin.ljust(board.slot_address(0) - board.flash_origin, b"\xff")
    data += slot.header + slot.image
    signer = key_id(key.public if key else None)[:8]
    name = f"flash-{signer}-{version}-{loader.elf.parent.name[-8:]}.bin"
    binary = image.elf.with_name(name)
    contents = {binary: data}
    uf2 = None
    if board.build.uf2_family is not None:
        uf2 = binary.with_suffix(".uf2")
        contents[uf2] = write_uf2(Uf2(board.build.uf2_family, board.flash_origin, data))
    write_files(contents)
    return replace(image, bin=binary, uf2=uf2)
