"""The Raspberry Pi Pico and Pico 2: what their boot ROMs want, UF2, and the Pico's emulator."""

import json
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lotor import boot2
from lotor.board import load_board
from lotor.boot_loader import build_boot_loader
from lotor.build import Image, build_firmware
from lotor.device import emulator, emulator_programs, uf2
from lotor.device.flash import flash_image
from lotor.device.link import Request
from lotor.device.session import Crashed, Session
from lotor.doctor import examine
from lotor.errors import LotorError
from lotor.flash_content import with_boot_loader
from played import needs_libsodium
from tiny_model import INPUT_BYTES, TinyModel

EMULATED, REAL = load_board("pico"), load_board("raspberrypi-pico")
MODEL = TinyModel("tiny")
DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))
FOLDER = emulator_programs.SCRIPTS / "rp2040"

pytestmark = [
    pytest.mark.xdist_group("pico"),
    pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc"),
]
needs_node = pytest.mark.skipif(
    not (shutil.which("node") and (FOLDER / "node_modules").is_dir()),
    reason="needs node and `make setup-dev`",
)


def emulated(test: Callable[..., None]) -> Callable[..., None]:
    both: Callable[..., None] = needs_node(needs_libsodium(test))
    return both


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_firmware(EMULATED, [MODEL], tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def full(image: Image) -> Image:
    """The image with its boot loader."""
    return with_boot_loader(EMULATED, image)


@pytest.fixture(autouse=True)
def own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop("pico")


def test_the_checksum() -> None:
    """The catalogue's check value of CRC-32/MPEG-2, and what a byte-wise slip would not give."""
    assert boot2.checksum(b"123456789") == 0x0376E6E7
    assert boot2.checksum(b"") == 0xFFFFFFFF
    assert boot2.checksum(bytes(252)) != boot2.checksum(bytes(251))


@needs_libsodium
def test_the_boot_stage_is_what_the_boot_rom_wants(full: Image) -> None:
    flash = full.bin.read_bytes()
    assert struct.unpack_from("<I", flash, 252)[0] == boot2.checksum(flash[:252])
    assert any(flash[:252])
    # The ELF, which a debugger writes, has the same.
    dump, elf = full.elf.with_name("boot2"), build_boot_loader(EMULATED, None).elf
    command = ["arm-none-eabi-objcopy", "-Obinary", "-j.boot2", str(elf), str(dump)]
    subprocess.run(command, check=True)
    assert dump.read_bytes() == flash[:256]


@needs_libsodium
def test_the_vector_tables_follow(full: Image) -> None:
    """The boot loader's right behind the boot stage, the image's in its slot."""
    flash, ram = full.bin.read_bytes(), EMULATED.memory.ram
    stack, reset = struct.unpack_from("<2I", flash, 256)
    assert stack == ram.origin + ram.bytes
    assert reset & 1 and 0x10000100 < reset < EMULATED.state_address(0)
    image = EMULATED.image_address() - 0x10000000
    stack, reset = struct.unpack_from("<2I", flash, image)
    assert image % 256 == 0 and stack == ram.origin + EMULATED.build.stack_bytes
    assert reset & 1 and image < reset - 0x10000000 < len(flash)


@needs_libsodium
def test_the_uf2_is_all_of_it(full: Image) -> None:
    assert full.uf2
    found, flash = uf2.read(full.uf2.read_bytes()), full.bin.read_bytes()
    assert (found.family, found.origin) == (0xE48BFF56, 0x10000000)
    assert found.data[: len(flash)] == flash and len(found.data) - len(flash) < 256


@needs_libsodium
def test_a_pico_2_has_an_image_definition(tmp_path: Path) -> None:
    """RP2350 datasheet, 5.9.5.1: what its boot ROM takes; vectors come first."""
    board = load_board("pico2")
    image = with_boot_loader(board, build_firmware(board, [MODEL], tmp_path))
    flash = image.bin.read_bytes()
    block = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
    assert flash.index(block) < 4096 and flash.index(block) % 4 == 0
    stack, reset = struct.unpack_from("<2I", flash)
    assert stack == board.memory.ram.origin + board.memory.ram.bytes
    assert reset & 1 and 0x10000000 < reset < board.state_address(0)
    assert image.uf2
    found = uf2.read(image.uf2.read_bytes())
    assert (found.family, found.origin) == (0xE48BFF59, 0x10000000)


def test_an_image_that_lost_its_uf2_is_built_again(tmp_path: Path) -> None:
    board = replace(REAL, update=None)  # with updates UF2 has the boot loader, too
    image = build_firmware(board, [MODEL], tmp_path)
    assert image.uf2
    image.uf2.unlink()
    again = build_firmware(board, [MODEL], tmp_path)
    assert again.uf2 and again.uf2.is_file()


def test_other_boards_have_no_uf2(tmp_path: Path) -> None:
    assert build_firmware(load_board("mps2-an385-m0plus"), [MODEL], tmp_path).uf2 is None


@dataclass
class Assembly(TinyModel):
    """A model whose second layer is some assembly."""

    text: str = "nop"

    @property
    def source(self) -> str:
        source = super().source
        body = source[source.index("    memset(y,") : source.index("    lotor_layer_done(1")]
        text = f".syntax unified\\n {self.text}"
        statement = f'    __asm volatile("{text}" ::: "r0", "r1", "r2", "cc", "memory");\n'
        return source.replace(body, statement)


LOOP = "ldr r0, ={}\\n 1: subs r0, #1\\n bne 1b"


def loop_costs(turns: list[int], folder: Path) -> list[int]:
    """The cycles that loops of so many turns take; the least of three runs."""
    models = [Assembly(f"loop{n}", text=LOOP.format(n)) for n in turns]
    url, hello = flash_image(EMULATED, build_firmware(EMULATED, models, folder))
    assert hello.tick_unit == "cycles"
    costs = []
    with Session.open(url) as session:
        for model in models:
            session.select(model.name)
            found = []
            for _ in range(3):  # SysTick may interrupt one, once in 2^24 cycles
                session.load(0, DATA)
                session.run()
                found.append(session.profile()[1].ticks)
            costs.append(min(found))
    return costs


@emulated
def test_a_loop_costs_what_the_manual_says(tmp_path: Path) -> None:
    """DDI 0484, table 3-1: SUBS 1 cycle, a branch that is taken 2."""
    turns = [1, 2, 100, 1000]
    costs = loop_costs(turns, tmp_path)
    assert [cost - costs[0] for cost in costs] == [3 * (n - 1) for n in turns]


@emulated
def test_a_run_may_take_longer_than_systick_counts(tmp_path: Path) -> None:
    """Its 24 bits wrap at least once; the interrupt that counts that costs some cycles."""
    turns = 6_000_000
    short, long = loop_costs([1, turns], tmp_path)
    assert 3 * (turns - 1) <= long - short < 3 * (turns - 1) + 200


@emulated
@pytest.mark.parametrize(
    "access",
    ["strh", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ldr", "ldrh", "str"))],
)
def test_an_unaligned_access_is_a_hard_fault(tmp_path: Path, access: str) -> None:
    model = Assembly("odd", text=f"ldr r1, =0x20001001\\n {access} r0, [r1]")
    url, _ = flash_image(EMULATED, build_firmware(EMULATED, [model], tmp_path))
    with Session.open(url) as session:
        session.load(0, DATA)
        with pytest.raises(Crashed, match="hard fault in layer 1"):
            session.run()


@emulated
def test_the_file_that_is_copied_is_the_one_that_runs(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flashing the real board: to a volume, and then to whoever greets at its port."""
    real = build_firmware(REAL, [MODEL], tmp_path)
    volume = tmp_path / "RPI-RP2"
    volume.mkdir()
    (volume / "INFO_UF2.TXT").write_text("Board-ID: RPI-RP2\n")
    monkeypatch.setenv("LOTOR_UF2", str(volume))
    with emulator.played(EMULATED, with_boot_loader(REAL, real).bin, tmp_path) as (url, _):
        monkeypatch.setenv("LOTOR_PORT", url)
        found, hello = flash_image(REAL, real)
    assert found == url and hello.board == "raspberrypi-pico"
    copied = with_boot_loader(REAL, real).uf2
    assert copied and (volume / copied.name).read_bytes() == copied.read_bytes()


@emulated
@pytest.mark.parametrize("offset", [0, 512 + 4, 512 + 28, 2 * 512 - 1])
def test_a_damaged_uf2_does_not_start(full: Image, tmp_path: Path, offset: int) -> None:
    """A magic number at either end, or the family of another chip."""
    assert full.uf2
    data = bytearray(full.uf2.read_bytes())
    data[offset] ^= 1
    file = tmp_path / "damaged.uf2"
    file.write_bytes(data)
    command = ["node", str(FOLDER / "run.mjs"), str(file), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    expected = f"{file}: block {offset // 512} is damaged, or for another chip"
    assert done.stderr.strip() == expected


@emulated
def test_it_answers_whoever_comes_next(image: Image) -> None:
    url, _ = flash_image(EMULATED, image)
    for number in range(5):
        with Session.open(url) as session:
            assert session.request(Request.ECHO, bytes([number]) * 1040) == bytes([number]) * 1040


def test_node_is_missing(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LotorError, match="node is missing: `sudo apt-get install nodejs npm`"):
        emulator.start(EMULATED, image)


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_its_packages_are_missing_or_others(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rp2040"
    folder.mkdir()
    shutil.copy(FOLDER / "package-lock.json", folder)
    monkeypatch.setattr(emulator_programs, "SCRIPTS", tmp_path)
    missing = rf"rp2040js \d+\.\d+\.\d+ is missing: `npm ci --prefix {folder}`"
    with pytest.raises(LotorError, match=missing):
        emulator.start(EMULATED, image)
    (check,) = (found for found in examine("pico") if found.name == "emulator")
    assert check.needed and not check.ok and check.mend == f"npm ci --prefix {tmp_path / 'rp2040'}"
    (folder / "node_modules").mkdir()
    installed = {"packages": {"node_modules/rp2040js": {"version": "0.1.0"}}}
    (folder / "node_modules/.package-lock.json").write_text(json.dumps(installed))
    with pytest.raises(LotorError, match=missing):
        emulator.start(EMULATED, image)
