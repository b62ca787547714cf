"""The RP2040's second stage of boot: its CRC-32, without which the boot ROM does not start it.

RP2040 datasheet, 2.8.1.3.1: over the first 252 of the first 256 bytes of flash, in the last four.
"""

import re
import subprocess
from pathlib import Path

from lotor.errors import LotorError

_SECTION = ".boot2"
_POLYNOMIAL = 0x04C1_1DB7
_CRC_BYTES = 4


def checksum(data: bytes) -> int:
    """Return the CRC-32 that the boot ROM computes: most significant bit first, nothing inverted.

    It is the one of MPEG-2: of `123456789` it is 0x0376e6e7.
    """
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (_POLYNOMIAL if crc >> 31 else 0)) & 0xFFFF_FFFF
    return crc


def seal(elf: Path, binary: Path, objdump: str) -> None:
    """Write the CRC-32 of a linked image's second stage into the ELF and into the binary.

    Args:
        elf: the image; its section `.boot2` has 256 bytes.
        binary: the same as the bytes of flash, which begin with that section.
        objdump: the command that lists an ELF's sections.

    Raises:
        LotorError: the ELF has no such section.
    """
    listed = subprocess.run([objdump, "-h", elf], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^ *\d+ {re.escape(_SECTION)} +(\w+) +\w+ +\w+ +(\w+)", listed, re.M)
    if found is None:
        raise LotorError(f"{elf} has no section {_SECTION}: its chip family has no boot2.c")
    size, offset = (int(text, 16) for text in found.groups())
    stage = binary.read_bytes()[:size]
    crc = checksum(stage[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "little")
    for path, start in ((elf, offset), (binary, 0)):
        with path.open("r+b") as file:
            file.seek(start + size - _CRC_BYTES)
            file.write(crc)
