"""Every bare-metal board's image builds with its test model, and lies in memories of its chip."""

import re
import shutil
import subprocess

import pytest

import images
from lotor.board import Region, load_board

pytestmark = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc"
)

KIB = 1024
FEW = ("microbit", "raspberrypi-pico", "nucleo-f446re")
# What chips have, after their data sheets, apart from what board files say; for flash outside of
# the chip its window of addresses. The MPS2 and MPS3 are Arm's application notes'.
CHIPS = {
    "nRF51822": (Region(0, 256 * KIB), Region(0x20000000, 16 * KIB)),
    "nRF52840": (Region(0, 1024 * KIB), Region(0x20000000, 256 * KIB)),
    "STM32F100RB": (Region(0x08000000, 128 * KIB), Region(0x20000000, 8 * KIB)),
    "STM32F205RF": (Region(0x08000000, 768 * KIB), Region(0x20000000, 128 * KIB)),
    "STM32F405RG": (Region(0x08000000, 1024 * KIB), Region(0x20000000, 128 * KIB)),
    "STM32F446RE": (Region(0x08000000, 512 * KIB), Region(0x20000000, 128 * KIB)),
    "STM32F746NG": (Region(0x08000000, 1024 * KIB), Region(0x20000000, 320 * KIB)),
    "STM32L4R5ZI": (Region(0x08000000, 2048 * KIB), Region(0x20000000, 640 * KIB)),
    "RP2040": (Region(0x10000000, 16 * KIB * KIB), Region(0x20000000, 264 * KIB)),
    "RP2350": (Region(0x10000000, 16 * KIB * KIB), Region(0x20000000, 520 * KIB)),
    "AN385": (Region(0, 4 * KIB * KIB), Region(0x20000000, 4 * KIB * KIB)),
    "AN386": (Region(0, 4 * KIB * KIB), Region(0x20000000, 4 * KIB * KIB)),
    "AN500": (Region(0, 4 * KIB * KIB), Region(0x20000000, 4 * KIB * KIB)),
    "AN505": (Region(0x10000000, 4 * KIB * KIB), Region(0x38000000, 4 * KIB * KIB)),
    "AN547": (Region(0, 512 * KIB), Region(0x20000000, 512 * KIB)),
}
IN_FLASH = {".boot2", ".vectors", ".kernels", ".weights", ".text"}
IN_RAM = {".stack", ".noinit", ".data", ".bss", ".arena"}


def inside(region: Region, address: int, size: int) -> bool:
    return region.origin <= address and address + size <= region.origin + region.bytes


def check(name: str) -> None:
    """Build a board's image and see where its sections and segments lie."""
    board = load_board(name)
    (row,) = images.measure([name])
    image = row.image
    flash, ram = CHIPS.get(board.chip, (board.memory.flash, board.memory.ram))
    tool = ["arm-none-eabi-readelf", "-SlW", str(image.elf)]
    listed = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    sections = re.findall(
        r"^  \[ *\d+\] (\S+) +\S+ +([0-9a-f]{8}) [0-9a-f]+ ([0-9a-f]+) \d+ +W?A", listed, re.M
    )
    assert {found for found, _, _ in sections} >= {".vectors", ".kernels", ".weights", ".arena"}
    for section, address, size in sections:
        assert section in IN_FLASH | IN_RAM, section
        region = flash if section in IN_FLASH else ram
        assert inside(region, int(address, 16), int(size, 16)), (section, address, size)
    # What is loaded comes from flash, the first values of .data included.
    segments = re.findall(r"^  LOAD +\S+ \S+ (\S+) (\S+)", listed, re.M)
    assert segments
    for physical, size in segments:
        assert inside(flash, int(physical, 16), int(size, 16)), (physical, size)
    assert image.flash_bytes <= board.flash_limit
    assert image.ram_bytes <= board.ram_limit
    assert image.stack is None or image.stack.bytes <= board.stack_limit
    assert re.search(
        rf"^\| `{name}` \|.*{image.flash_bytes:,} of ", images.as_markdown([row]), re.M
    )


@pytest.mark.parametrize("name", FEW)
def test_an_image_lies_in_its_chip(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", images.bare_metal())
def test_every_image_lies_in_its_chip(name: str) -> None:
    check(name)
