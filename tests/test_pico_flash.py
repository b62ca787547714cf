"""The Pico's flash driver on the emulated chip, and what its flash does when power fails.

A bare program on the firmware's HAL reads requests from the line; the tests drive it.
"""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lotor import boot2
from lotor.board import load_board
from lotor.build import WARNINGS
from lotor.device import emulator, emulator_programs
from lotor.device.uf2 import Uf2
from lotor.device.uf2 import write as write_uf2
from lotor.image_sources import config_header, linker_script
from lotor.resources import resource
from lotor.targets import find_target
from pico_power import Power
from tiny_model import TinyModel

BOARD = replace(load_board("pico"), update=None)  # a program that starts by itself
FLASH, SECTOR, PAGE = 0x1000_0000, 4096, 256
FIRST, END = FLASH + 0x10_0000, FLASH + 0x11_0000  # what the bare program may write
FREE = 0x1001_0000  # flash that nobody has written

pytestmark = [
    pytest.mark.xdist_group("pico"),
    pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc"),
    pytest.mark.skipif(
        not (
            shutil.which("node")
            and (emulator_programs.SCRIPTS / "rp2040" / "node_modules").is_dir()
        ),
        reason="needs node and `make setup-dev`",
    ),
]

# Requests: verb, address, bytes; the answer to "r" is the bytes, to all others a word.
PROGRAM = """
#include "hal/flash.h"
#include "hal/hal.h"
#include "lotor_config.h"
#include "src/fault.h"

static uint8_t byte(void) {
    int got;
    while ((got = hal_uart_read()) < 0)
        hal_idle();
    return (uint8_t)got;
}

static uint32_t word(void) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)byte() << 8 * i;
    return value;
}

_Noreturn void fault_store(const fault_record *record) {
    (void)record;
    hal_uart_write((const uint8_t *)"fault", 5);
    hal_uart_flush();
    hal_reset();
}

int main(void) {
    static uint8_t data[1024];
    hal_init();
    const uint32_t cause = hal_reset_cause();
    hal_uart_write((const uint8_t *)"hello", 5);
    for (;;) {
        const uint8_t verb = byte();
        const uint32_t address = word(), bytes = word();
        uint32_t result = cause;
        if (verb == 'r') {
            hal_uart_write((const uint8_t *)(uintptr_t)address, bytes);
            continue;
        }
        if (verb == 'p')
            result = hal_flash_page(address);
        if (verb == 'e')
            result = (uint32_t)hal_flash_erase(address);
        if (verb == 'w') {
            for (uint32_t i = 0; i < bytes; i++)
                data[i] = byte();
            result = (uint32_t)hal_flash_write(address, data, bytes);
        }
        if (verb == 'c') /* copies what lies in flash */
            result = (uint32_t)hal_flash_write(address, (const void *)FLASH_SOURCE, bytes);
        if (verb == 's')
            *(volatile uint32_t *)(uintptr_t)address = bytes;
        if (verb == 'd') /* leaves flash no memory */
            *(volatile uint32_t *)0x18000008u = 0;
        hal_uart_write((const uint8_t *)&result, sizeof result);
    }
}
"""


def build(folder: Path) -> Path:
    """Build the bare program; return its ELF, with a UF2 file beside it."""
    firmware = resource("firmware")
    limits = {
        "FLASH_UNIT": 4,
        "STATE_ADDRESS": FIRST,
        "SLOT_ADDRESS": FIRST + SECTOR,
        "SLOT_BYTES": (END - FIRST - SECTOR) // 2,
    }
    defines = [
        line
        for name, value in limits.items()
        for line in (f"#undef LOTOR_{name}", f"#define LOTOR_{name} {value}u")
    ]
    text = config_header([TinyModel("tiny")], BOARD)
    text += "\n".join([*defines, f"#define FLASH_SOURCE {FLASH + 256}u", ""])
    (folder / "lotor_config.h").write_text(text)
    (folder / "main.c").write_text(PROGRAM)
    (folder / "image.ld").write_text(linker_script(BOARD))
    elf = folder / "bare.elf"
    sources = [*firmware.glob("hal/rp2/*.c"), *firmware.glob("hal/cortex_m/*.c")]
    command = [
        *("arm-none-eabi-gcc", *find_target(BOARD.target).flags, "-Os", "-g", "-nostartfiles"),
        *(*WARNINGS, "-ffunction-sections", "-Wl,--gc-sections,--no-warn-rwx-segments"),
        *("-Wl,--fatal-warnings", "-Wa,--fatal-warnings"),
        *(f"-I{folder}", f"-I{firmware}", "-T", str(folder / "image.ld"), "-o", str(elf)),
        *map(str, [folder / "main.c", firmware / "src/watermark.c", *sources]),
    ]
    subprocess.run(command, check=True)
    binary = elf.with_suffix(".bin")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, binary], check=True)
    boot2.seal(elf, binary, "arm-none-eabi-objdump")
    assert BOARD.build.uf2_family is not None
    content = Uf2(BOARD.build.uf2_family, FLASH, binary.read_bytes())
    elf.with_suffix(".uf2").write_bytes(write_uf2(content))
    return elf


@dataclass
class Chip:
    """The program's line, and the socket that has power over its chip."""

    line: socket.socket
    control: Power

    def get(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.line.recv(count - len(data))
            assert more, "the emulator closed the line"
            data += more
        return data

    def ask(self, verb: str, address: int = 0, count: int = 0, data: bytes = b"") -> int:
        self.line.sendall(verb.encode() + struct.pack("<2I", address, count) + data)
        return int(struct.unpack("<i", self.get(4))[0])

    def read(self, address: int, count: int) -> bytes:
        self.line.sendall(b"r" + struct.pack("<2I", address, count))
        return self.get(count)

    def write(self, address: int, data: bytes) -> int:
        return self.ask("w", address, len(data), data)

    def skip(self, elf: Path) -> None:
        """Pass over what it has said so far, and is just saying."""
        self.line.sendall(b"r" + struct.pack("<2I", FLASH, 64))
        start, said = elf.with_suffix(".bin").read_bytes()[:64], b""
        while not said.endswith(start):
            said += self.get(1)


@contextmanager
def running(elf: Path, folder: Path, *arguments: str) -> Iterator[Chip]:
    path = folder / "power"
    with emulator.private(BOARD, elf, folder, "--control", str(path), *arguments) as url:
        port = int(url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as line,
            Power(path) as power,
        ):
            chip = Chip(line, power)
            chip.skip(elf)
            yield chip
    path.unlink()


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def one_chip(elf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chip]:
    with running(elf, tmp_path_factory.mktemp("chip")) as chip:
        yield chip


@pytest.fixture
def chip(one_chip: Chip, elf: Path) -> Chip:
    one_chip.control("load", str(elf.with_suffix(".uf2")))
    one_chip.skip(elf)
    return one_chip


DATA = bytes(i * 37 % 251 for i in range(1024))


def test_erase_and_write(chip: Chip, elf: Path) -> None:
    image = elf.with_suffix(".bin").read_bytes()
    assert chip.read(FLASH, 256) == image[:256]
    assert chip.write(FIRST, DATA) == 0
    assert chip.read(FIRST, 1024) == DATA and chip.read(FIRST + 1024, 16) == b"\xff" * 16
    assert chip.write(FIRST + SECTOR, DATA[:4]) == 0
    assert chip.ask("e", FIRST) == 0
    assert chip.read(FIRST, 1024) == b"\xff" * 1024
    assert chip.read(FIRST + SECTOR, 8) == DATA[:4] + b"\xff" * 4
    assert chip.write(FIRST, DATA[::-1]) == 0
    assert chip.read(FIRST, 1024) == DATA[::-1]
    # The program itself is what it was.
    parts = [chip.read(FLASH + at, 512) for at in range(0, len(image), 512)]
    assert b"".join(parts).startswith(image)


def test_what_arrives_meanwhile_is_kept(chip: Chip) -> None:
    """The UART's interrupt waits, and its FIFO keeps what the line brings."""
    request = struct.pack("<2I", FIRST, 0)
    chip.line.sendall(b"e" + request + b"p" + request)
    assert chip.get(8) == struct.pack("<2I", 0, SECTOR)


def test_a_write_crosses_pages(chip: Chip) -> None:
    """In a page of 256 bytes the flash would go on at its start."""
    start = FIRST + SECTOR - 100
    assert chip.write(start, DATA[:712]) == 0
    assert chip.read(start - 4, 720) == b"\xff" * 4 + DATA[:712] + b"\xff" * 4
    written = [(at - start, size) for kind, at, size in chip.control("operations")]
    assert written == [(0 - FLASH, 100), (100 - FLASH, 256), (356 - FLASH, 256), (612 - FLASH, 100)]


def test_data_may_lie_in_flash(chip: Chip, elf: Path) -> None:
    assert chip.ask("c", FIRST, 600) == 0
    assert chip.read(FIRST, 600) == elf.with_suffix(".bin").read_bytes()[256:856]


def test_what_is_not_erased_keeps_its_zeros(chip: Chip) -> None:
    assert chip.write(FIRST, b"\xf0\x0f\xff\x00") == 0
    assert chip.write(FIRST, b"\x3c\x3c\x3c\x3c") == -1
    assert chip.read(FIRST, 4) == b"\x30\x0c\x3c\x00"


@pytest.mark.parametrize(
    ("verb", "address", "count"),
    [
        ("e", FIRST + 256, 0),
        ("e", FIRST - SECTOR, 0),
        ("e", FLASH, 0),
        ("e", END, 0),
        ("c", FIRST + 2, 4),
        ("c", FIRST, 3),
        ("c", FIRST - 4, 8),
        ("c", END - 4, 8),
        ("c", FIRST, 0xFFFF_FFFC),
    ],
)
def test_what_is_refused(chip: Chip, verb: str, address: int, count: int) -> None:
    assert chip.ask(verb, address, count) == -1
    assert chip.control("operations") == []


def test_where_sectors_begin(chip: Chip) -> None:
    found = [chip.ask("p", FIRST + at) for at in (0, 1, 256, SECTOR, END - FIRST - SECTOR)]
    assert found == [SECTOR, 0, 0, SECTOR, SECTOR]
    assert chip.ask("p", END) == chip.ask("p", FIRST - SECTOR) == 0


def test_a_store_changes_no_flash(chip: Chip) -> None:
    """Datasheet 2.6.3.6: it drops the line of the cache; behind the other addresses it faults."""
    before = chip.read(FREE, 4)
    chip.ask("s", FREE, 0)
    assert chip.read(FREE, 4) == before == b"\xff" * 4
    chip.line.sendall(b"s" + struct.pack("<2I", FREE + 0x0100_0000, 0))
    assert chip.get(10) == b"faulthello"


def test_a_read_faults_while_flash_is_no_memory(chip: Chip) -> None:
    """And so does the fault's handler, which lies there: the core locks up."""
    chip.line.sendall(b"d" + bytes(8))
    chip.line.settimeout(0.5)
    with pytest.raises(TimeoutError):
        chip.get(1)
    chip.line.settimeout(60)


def test_a_cut_loses_ram_and_a_reset_does_not(chip: Chip) -> None:
    ram = 0x2000_8000  # nobody's
    assert chip.write(FIRST, DATA) == 0
    chip.ask("s", ram, 0x12345678)
    chip.line.sendall(b"s" + struct.pack("<2I", FREE + 0x0100_0000, 0))
    assert chip.get(10) == b"faulthello"
    assert chip.read(ram, 4) == b"\x78\x56\x34\x12"
    assert chip.ask("?") == 0  # HAL_CAUSE_UNKNOWN: reset by itself
    chip.control("power")
    assert chip.get(5) == b"hello"
    assert chip.read(ram, 4) != b"\x78\x56\x34\x12"
    assert chip.ask("?") == 1  # HAL_CAUSE_POWER
    assert chip.read(FIRST, 1024) == DATA


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("how", ["before", "during", "after"])
def test_power_fails_at_an_operation(chip: Chip, how: str, number: int) -> None:
    """Of erasing and writing a kilobyte: five operations, at any of them."""
    assert chip.write(FIRST, DATA[::-1]) == 0
    chip.control("cut", number, how)
    if number > 1:
        assert chip.ask("e", FIRST) == 0
    if number == 6:  # never came to that
        assert chip.write(FIRST, DATA) == 0
        assert chip.read(FIRST, 1024) == DATA
        return
    request = struct.pack("<2I", FIRST, 1024)
    chip.line.sendall(b"e" + request if number == 1 else b"w" + request + DATA)
    assert chip.get(5) == b"hello"
    assert chip.control("cuts") == 1
    assert len(chip.control("operations")) == 4 + number
    found = chip.read(FIRST, 1024)
    if number == 1:
        old, new = DATA[::-1], b"\xff" * 1024
    else:
        old = DATA[: PAGE * (number - 2)].ljust(1024, b"\xff")
        new = DATA[: PAGE * (number - 1)].ljust(1024, b"\xff")
    if how == "during":
        assert found not in (old, new)
        both = zip(found, old, new, strict=True)
        assert all(f & o & n == o & n and f | o | n == o | n for f, o, n in both)
    else:
        assert found == (old if how == "before" else new)
    # It is as good as ever.
    assert chip.ask("e", FIRST) == 0 and chip.write(FIRST, DATA) == 0
    assert chip.read(FIRST, 1024) == DATA


def test_a_file_keeps_flash(elf: Path, tmp_path: Path) -> None:
    kept = tmp_path / "flash"
    with running(elf, tmp_path, "--flash", str(kept)) as chip:
        assert chip.write(FIRST, DATA) == 0
        chip.control("save", str(tmp_path / "copy"))
    content = kept.read_bytes()
    assert content == (tmp_path / "copy").read_bytes() and len(content) == 2 << 20
    assert content[FIRST - FLASH :][:1024] == DATA
    other = tmp_path / "other"
    other.mkdir()
    with running(elf, other) as chip:
        chip.control("load", str(kept))
        chip.skip(elf)
        assert chip.read(FIRST, 1024) == DATA
    with emulator.private(BOARD, elf, tmp_path, "--flash", str(kept)):
        assert kept.read_bytes() == content


def test_the_control_socket_answers_nonsense(chip: Chip) -> None:
    for request in (["jump"], ["cut", 0, "before"], ["cut", 1, "soon"], ["load", "/nowhere"], "x"):
        assert "error" in chip.control.answer(request)
    assert chip.ask("p", FIRST) == SECTOR
