"""What boards with updates start from that no emulator plays."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lotor.board import list_boards, load_board
from lotor.boot_loader import build_boot_loader
from lotor.build import build_firmware
from played import needs_libsodium
from tiny_model import TinyModel

BOARDS = [n for n in list_boards() if load_board(n).update and not load_board(n).emulated]
BOARDS.remove("raspberrypi-pico")  # it is the emulated Pico
KEY = bytes(range(32))

pytestmark = [
    needs_libsodium,
    pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc"),
]


def symbols(elf: Path) -> dict[str, int]:
    """Return the addresses of an ELF's symbols."""
    said = subprocess.run(["arm-none-eabi-nm", elf], check=True, capture_output=True, text=True)
    found = re.findall(r"^(\w+) \w (\S+)$", said.stdout, re.M)
    return {name: int(address, 16) for address, name in found}


def disassembled(elf: Path, function: str) -> str:
    command = ["arm-none-eabi-objdump", "-d", f"--disassemble={function}", str(elf)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", BOARDS)
def test_what_starts(name: str) -> None:
    """The boot loader fits, and its vector table is where the chip looks for it."""
    board = load_board(name)
    assert board.update
    loader = build_boot_loader(board, KEY)
    print(f"{name}: boot loader {len(loader.bin):,} of {board.update.boot_bytes:,} bytes")
    assert len(loader.bin) <= board.update.boot_bytes
    vectors = board.memory.flash.origin - board.flash_origin
    stack, reset, nmi = struct.unpack_from("<3I", loader.bin, vectors)
    known = symbols(loader.elf)
    assert stack <= board.memory.ram.origin + board.memory.ram.bytes and stack % 8 == 0
    assert reset == known["Reset_Handler"] | 1 and nmi == known["Nmi_Handler"] | 1
    fast = board.hal.name in ("rp2", "stm32l4")
    assert ("\tstr" in disassembled(loader.elf, "boot_clock")) == fast
    # The flash of an L4 raises it.
    assert (known["Nmi_Handler"] != known["Fault_Handler"]) == (board.hal.name == "stm32l4")


@pytest.mark.parametrize("name", [*BOARDS, "microbit"])
def test_what_a_trial_is_watched_by(name: str) -> None:
    """Of a chip with a watchdog the boot loader writes its registers."""
    board = load_board(name)
    elf = build_boot_loader(board, KEY).elf
    assert "<hal_watchdog_start>" in disassembled(elf, "Reset_Handler")
    assert ("\tstr" in disassembled(elf, "hal_watchdog_start")) == board.hal.watchdog


def test_an_image_of_an_l4_has_an_nmi_of_its_own(tmp_path: Path) -> None:
    board = load_board("nucleo-l4r5zi")
    image = build_firmware(board, [TinyModel("tiny")], tmp_path)
    assert image.second
    for slot, file in enumerate((image.bin, image.second)):
        found = symbols(file.with_suffix(".elf"))
        _, reset, nmi = struct.unpack_from("<3I", file.read_bytes())
        assert found["__vectors"] == board.image_address(slot)
        assert reset == found["Reset_Handler"] | 1 and nmi == found["Nmi_Handler"] | 1
        assert found["Nmi_Handler"] != found["Fault_Handler"]


@pytest.mark.parametrize(("name", "key"), [("pico", None), ("pico2", KEY)])
def test_flash_is_written_from_ram(name: str, key: bytes | None) -> None:
    """And by nothing that lies in flash: that code has no call, and one way out."""
    board = load_board(name)
    elf = build_boot_loader(board, key).elf
    place = symbols(elf)["command"]
    assert board.memory.ram.origin <= place < board.memory.ram.origin + board.memory.ram.bytes
    text = disassembled(elf, "command")
    assert text.count("\tpop") == 1 and not re.search(r"\tblx?\s", text)
