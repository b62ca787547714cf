"""Nordic's chips: what their images are, and what the emulated one counts."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lotor.board import load_board, read_board
from lotor.build import Image, build_firmware
from lotor.device import emulator
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.resources import resource
from test_emulator import DATA, Slower
from tiny_model import TinyModel

NAMES = ["microbit", "nano33ble"]
needs_emulator = pytest.mark.skipif(
    not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    folder = tmp_path_factory.mktemp("images")
    models = [TinyModel("tiny"), TinyModel("other", delta=5)]
    return {name: build_firmware(load_board(name), models, folder) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_lies_where_the_chip_starts_it(name: str, images: dict[str, Image]) -> None:
    board, image = load_board(name), images[name]
    print(
        f"{name}: flash {image.flash_bytes:,} of {board.flash_limit:,} bytes, "
        f"RAM {image.ram_bytes:,} of {board.ram_limit:,}"
    )
    assert image.flash_bytes < board.flash_limit and image.ram_bytes < board.ram_limit
    stack, start = struct.unpack("<II", image.bin.read_bytes()[:8])
    assert stack == board.memory.ram.origin + board.build.stack_bytes
    assert start & 1 and 0 < start - board.image_address() < image.flash_bytes


def test_registers_that_only_hardware_sees(images: dict[str, Image]) -> None:
    """The baud rate as the manual lists it, and the pins TX (P1.03) and RX (P1.10)."""
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "--disassemble=hal_init", images["nano33ble"].elf],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ".word\t0x01d7e000" in text
    for pin in ("#35", "#42"):
        assert pin in text


def test_pins_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "garden.toml"
    text = resource("boards", "microbit.toml").read_text()
    path.write_text(text.replace("uart_pins = { tx = 24, rx = 25 }\n", ""))
    with pytest.raises(LotorError, match=r"'hal.uart_pins' is missing"):
        read_board(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('boot_usb = ["2341:005a"]', "", "'flash.boot_usb' go together"),
        ('boot_usb = ["2341:005a"]', 'boot_usb = ["nano"]', "'flash.boot_usb' has 'nano'"),
    ],
)
def test_a_boot_loader_has_an_identity(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "garden.toml"
    path.write_text(resource("boards", "nano33ble.toml").read_text().replace(old, new))
    with pytest.raises(LotorError, match=message):
        read_board(path)


@needs_emulator
@pytest.mark.slow
def test_ticks_go_on_when_the_timer_has_wrapped(tmp_path: Path) -> None:
    """TIMER0 has 32 bits of 125 ns, an instruction takes 128 ns."""
    turns = 2_200_000_000
    assert 2 * turns * 128 > 125 << 32
    board = load_board("microbit")
    image = build_firmware(board, [Slower("slower", turns=turns)], tmp_path)
    with (
        emulator.private(board, image.elf, tmp_path) as url,
        Session.open(url, run_timeout=400) as session,
    ):
        session.select(0)
        session.load(0, DATA)
        session.run()
        extra = session.profile()[1].ticks - 2 * turns  # arguments, and two interrupts
        assert 0 < extra < 200
