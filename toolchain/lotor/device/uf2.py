"""UF2 files, and boards whose boot ROM shows a volume to copy one to.

After Microsoft's "USB Flashing Format (UF2)": blocks of 512 bytes, each with its own address.
"""

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from lotor.errors import LotorError

BLOCK = 512
PAYLOAD = 256  # bytes of flash in a block; a page of it
_HEADER = struct.Struct("<8I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_END = struct.pack("<I", 0x0AB16F30)
_FAMILY_PRESENT = 0x2000
_ROOM = BLOCK - _HEADER.size - len(_END)
_INFO = "INFO_UF2.TXT"
_MOUNTS = Path("/proc/self/mounts")


@dataclass(frozen=True)
class Uf2:
    """What a UF2 file puts where.

    Attributes:
        family: id of the chips that it is for.
        origin: address of the first byte.
        data: the bytes, without a gap.
    """

    family: int
    origin: int
    data: bytes


def write(content: Uf2) -> bytes:
    """Return a UF2 file, filled with 0xFF to whole pages of flash."""
    data = content.data + b"\xff" * (-len(content.data) % PAYLOAD)
    count = len(data) // PAYLOAD
    blocks = []
    for number in range(count):
        start = number * PAYLOAD
        part = data[start : start + PAYLOAD]
        head = (_FAMILY_PRESENT, content.origin + start, len(part), number, count, content.family)
        blocks.append(_HEADER.pack(*_MAGIC, *head) + part.ljust(_ROOM, b"\0") + _END)
    return b"".join(blocks)


def read(file: bytes, name: str = "UF2 file") -> Uf2:
    """Return what a UF2 file holds.

    Args:
        file: its content.
        name: what to call it in an error.

    Raises:
        LotorError: it is cut, damaged, without a family, of several, or has gaps; says which block.
    """
    if not file or len(file) % BLOCK:
        raise LotorError(f"{name} is cut: {len(file)} bytes are no whole blocks of {BLOCK}")
    count, data, family, origin = len(file) // BLOCK, bytearray(), 0, 0
    for number in range(count):
        block = file[number * BLOCK : (number + 1) * BLOCK]
        magic0, magic1, flags, address, size, index, total, own = _HEADER.unpack_from(block)
        if number == 0:
            family, origin = own, address
        wrong = None
        if (magic0, magic1) != _MAGIC or block[-len(_END) :] != _END:
            wrong = "has other magic numbers"
        elif flags != _FAMILY_PRESENT:
            wrong = f"has the flags {flags:#x}, not {_FAMILY_PRESENT:#x}"
        elif (index, total) != (number, count):
            wrong = f"says that it is {index} of {total}, not {number} of {count}"
        elif not 0 < size <= _ROOM:
            wrong = f"has {size} bytes, not 1 to {_ROOM}"
        elif own != family:
            wrong = f"is for family {own:#010x}, the first for {family:#010x}"
        elif address != origin + len(data):
            wrong = f"is for address {address:#x}, not {origin + len(data):#x}"
        if wrong:
            raise LotorError(f"{name} is damaged: block {number} {wrong}; build or copy it again")
        data += block[_HEADER.size : _HEADER.size + size]
    return Uf2(family, origin, bytes(data))


def find_volume(board: str, volume: str) -> Path:
    """Return the folder where the volume of a boot ROM is mounted.

    Args:
        board: the board's name, for errors.
        volume: what its INFO_UF2.TXT calls the board, which is the volume's label, e.g. "RPI-RP2".

    Raises:
        LotorError: there is none, or there are several; $LOTOR_UF2 names one.
    """
    if named := os.environ.get("LOTOR_UF2"):
        if not _shows(Path(named), volume):
            raise LotorError(f"{named} ($LOTOR_UF2) is no volume {volume}: it has no such {_INFO}")
        return Path(named)
    found = [folder for folder in _mounted() if _shows(folder, volume)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise LotorError(
            f"no volume {volume} is mounted: hold BOOTSEL of board {board} while you plug it in, "
            "mount the volume if nobody does, or name its folder in LOTOR_UF2"
        )
    raise LotorError(
        f"{len(found)} volumes could be board {board}: {', '.join(map(str, found))}; name one in "
        "LOTOR_UF2"
    )


def copy(file: Path, folder: Path) -> None:
    """Copy a UF2 file to a boot ROM's volume, which then goes away.

    Raises:
        LotorError: it cannot be written.
    """
    try:
        with (folder / file.name).open("wb") as target:
            target.write(file.read_bytes())
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        # With the last block the board starts, and the volume is gone before it has answered.
        if (folder / _INFO).exists():
            raise LotorError(
                f"cannot write {folder / file.name}: {error.strerror}; unplug the board, and flash "
                "it again"
            ) from error


def _mounted() -> list[Path]:
    """Return the folders where something is mounted."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    folders = (line.split()[1] for line in lines if len(line.split()) > 1)
    # Space, tab, newline and backslash are written in octal there.
    plain = (re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text) for text in folders)
    return [Path(text) for text in dict.fromkeys(plain)]


def _shows(folder: Path, volume: str) -> bool:
    try:
        text = (folder / _INFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(rf"^Board-ID: *{re.escape(volume)}\s*$", text, re.M) is not None
