"""Updates of the emulated Pico over its line, with power that fails at operations of its flash.

Whatever was being done, the board starts again, runs the image before the update or the new one,
and takes the update after that.
"""

import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator, emulator_programs
from lotor.device.link import Request
from lotor.device.messages import Hello, LogLine, ResetReason, UpdateOutcome, UpdateState
from lotor.device.session import Session
from lotor.device.update import package_of, send
from lotor.flash_content import with_boot_loader
from lotor.image_sources import SelfTest
from lotor.update_package import Package
from pico_power import Power
from played import needs_libsodium
from tiny_model import INPUT_BYTES, TinyModel

BOARD = load_board("pico")
DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))
OLD, NEW = TinyModel("tiny"), TinyModel("tiny", delta=5)
MOMENTS = ("before", "during", "after")


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
    needs_libsodium,
]


class Restarted(Exception):
    """The board has greeted the line anew."""


@dataclass
class Pico:
    """The board, its line and the power over it; `old` and `new` are what its images compute."""

    session: Session
    power: Power
    full: Path  # all of flash with the old image, as UF2
    old: Image
    new: Package

    def begin(self, file: Path | None = None) -> Hello:
        """Start from flash with the old image, or with the content of a file."""
        self.power("load", str(file or self.full))
        return self.settle()

    def settle(self) -> Hello:
        """Return how the board greets once it stays up."""
        while True:
            try:
                return self.session.hello()
            except Restarted:
                pass

    def restart(self) -> Hello:
        """Reset, and wait until it has greeted."""
        with pytest.raises(Restarted):
            self.session.request(Request.RESET)
            self.session.next_frame(60)
        return self.settle()

    def update(self, package: Package | None = None) -> UpdateState:
        """Update, and once more if power failed meanwhile; return what the board says then."""
        state: UpdateState | None = None
        for _ in range(3):
            try:
                send(self.session, package or self.new)
                hello = self.restart()
            except Restarted:
                hello = self.settle()
            state = hello.update
            assert hello.fault is None and state and not state.on_trial
            new = hello.build_id == self.new.build_id.hex()
            assert new or hello.build_id == self.old.build_id.hex()
            assert self.session.infer(DATA) == [(NEW if new else OLD).expected(DATA)]
            if new:
                break
        assert state and (state.outcome, state.last_version) == (UpdateOutcome.CONFIRMED, 2)
        return state

    def cut(self, number: int, how: str, file: Path | None = None) -> None:
        """Update while power fails at an operation; it must have failed."""
        self.begin(file)
        self.power("cut", number, how)
        state = self.update()
        assert (state.slot, state.version) == (1, 2)
        assert self.power("cuts") == 1, (number, how)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pico")


def built(model: TinyModel, folder: Path, right: bool = True) -> Image:
    """Build an image whose model is tested, rightly or against a wrong CRC-32."""
    x, data = 1, bytearray(INPUT_BYTES)
    for i in range(INPUT_BYTES):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        data[i] = x >> 24
    crc = zlib.crc32(model.expected(bytes(data))) ^ (not right)
    return build_firmware(BOARD, [model], folder, [SelfTest(1, crc)])


@contextmanager
def running(folder: Path) -> Iterator[Pico]:
    old, new = built(OLD, folder), built(NEW, folder)
    full = with_boot_loader(BOARD, old)
    assert full.uf2
    path = folder / "power"

    def heard(line: LogLine) -> None:
        if line.text.startswith("lotor "):
            raise Restarted

    with (
        emulator.played(BOARD, full.bin, folder, "--control", str(path)) as (url, _),
        Power(path) as power,
        Session.open(url, on_log=heard, greet=False) as session,
    ):
        yield Pico(session, power, full.uf2, old, package_of(BOARD, new, 2))


@pytest.fixture(scope="module")
def pico(folder: Path) -> Iterator[Pico]:
    with running(folder) as pico:
        yield pico


Operation = tuple[str, int, int]


def operations_of(pico: Pico, file: Path | None = None) -> list[Operation]:
    """Return everything that an update does to flash."""
    pico.begin(file)
    state = pico.update()
    assert (state.slot, state.version) == (1, 2)
    return [(kind, at, size) for kind, at, size in pico.power("operations")]


@pytest.fixture(scope="module")
def operations(pico: Pico) -> list[Operation]:
    return operations_of(pico)


def deciding(operations: Sequence[Operation]) -> list[int]:
    """Return the numbers of those on the state and on the slot's header; numbers begin at 1."""
    header = BOARD.slot_address(1) - BOARD.flash_origin
    state = BOARD.state_address(0) - BOARD.flash_origin
    places = [range(header, header + 512), range(state, BOARD.slot_address(0) - BOARD.flash_origin)]
    return [
        number
        for number, (_, at, _) in enumerate(operations, 1)
        if any(at in place for place in places)
    ]


@pytest.fixture(scope="module")
def nearly_full(pico: Pico, folder: Path) -> Path:
    """Flash whose first area of state has room for two more records, of 16."""
    pico.begin()
    file = folder / "nearly-full"
    pico.power("save", str(file))
    flash = bytearray(file.read_bytes())
    at = BOARD.state_address(0) - BOARD.flash_origin
    for number in range(14):
        record = struct.pack("<II6BhIII", 0x31545355, number + 1, 0, 0xFF, 0, 0, 0, 0, -1, 0, 0, 0)
        record += zlib.crc32(record).to_bytes(4, "little")
        flash[at + 256 * number : at + 256 * number + len(record)] = record
    file.write_bytes(flash)
    return file


def test_what_an_update_does_to_flash(operations: list[Operation], nearly_full: Path) -> None:
    """The header comes after the image, then the records: on trial, started, confirmed."""
    state = BOARD.state_address(0) - BOARD.flash_origin
    header = BOARD.slot_address(1) - BOARD.flash_origin
    assert operations[0] == ("erase", header, 4096)
    assert operations[-6:] == [
        ("program", header, 256),
        ("program", header + 256, 256),
        ("erase", state, 4096),
        *(("program", state + 256 * i, 256) for i in range(3)),
    ]
    image = operations[1:-6]
    assert all(header < at < header + 4096 * 4 for _, at, _ in image)
    written = [at for kind, at, _ in image if kind == "program"]
    assert written == list(range(header + 512, written[-1] + 256, 256))


def test_power_fails_at_a_record(pico: Pico, operations: list[Operation]) -> None:
    numbers = deciding(operations)
    assert len(numbers) == 7
    for number in numbers:
        for how in MOMENTS:
            pico.cut(number, how)


def test_power_fails_where_the_area_of_state_changes(
    pico: Pico, operations: list[Operation], nearly_full: Path
) -> None:
    found = operations_of(pico, nearly_full)
    state = BOARD.state_address(0) - BOARD.flash_origin
    assert [(kind, at - state) for kind, at, _ in found[-4:]] == [
        ("program", 14 * 256),
        ("program", 15 * 256),
        ("erase", 4096),
        ("program", 4096),
    ]
    for number in range(len(found) - 3, len(found) + 1):
        for how in MOMENTS:
            pico.cut(number, how, nearly_full)


def test_power_fails_while_the_image_is_written(pico: Pico, operations: list[Operation]) -> None:
    """Every eleventh operation; all of them: the next test."""
    for index, number in enumerate(range(4, len(operations) - 6, 11)):
        pico.cut(number, MOMENTS[index % 3])


@pytest.mark.slow
def test_power_fails_at_any_operation(pico: Pico, operations: list[Operation]) -> None:
    for number in range(1, len(operations) + 1):
        for how in MOMENTS:
            pico.cut(number, how)
    print(f"{len(operations)} operations, power cut {len(MOMENTS) * len(operations)} times")


def test_there_and_back(pico: Pico, folder: Path) -> None:
    """The next update goes into the first slot again."""
    pico.begin()
    assert pico.update().slot == 1
    send(pico.session, package_of(BOARD, pico.old, 3))
    hello = pico.restart()
    assert hello.update and hello.build_id == pico.old.build_id.hex()
    assert (hello.update.slot, hello.update.version) == (0, 3)
    assert pico.session.infer(DATA) == [OLD.expected(DATA)]


def test_one_that_fails_its_self_test_is_given_up(pico: Pico, folder: Path) -> None:
    pico.begin()
    send(pico.session, package_of(BOARD, built(NEW, folder, right=False), 2))
    hello = pico.restart()
    hello = pico.settle()
    assert hello.update and hello.build_id == pico.old.build_id.hex()
    assert hello.update.outcome == UpdateOutcome.ROLLED_BACK
    assert "self-test" in hello.update.why(["tiny"])
    assert pico.update().slot == 1


class Hanging(TinyModel):
    """A model whose second layer never ends."""

    @property
    def source(self) -> str:
        return super().source.replace("    memset(y,", "    for (;;) {\n    }\n    memset(y,")


def test_one_that_hangs_is_given_up(pico: Pico, folder: Path) -> None:
    """Its watchdog bites."""
    pico.begin()
    send(pico.session, package_of(BOARD, built(Hanging("tiny"), folder), 2))
    pico.restart()
    hello = pico.settle()
    assert hello.update and hello.build_id == pico.old.build_id.hex()
    assert hello.update.outcome == UpdateOutcome.ROLLED_BACK
    assert "watchdog" in hello.update.why(["tiny"])


def test_one_that_hangs_at_once_is_given_up(pico: Pico, folder: Path) -> None:
    """Before anything of it has run: the watchdog is the boot loader's."""
    image = built(NEW, folder)
    assert image.second
    code = bytearray(image.second.read_bytes())
    _, entry = struct.unpack_from("<2I", code)
    at = entry - 1 - BOARD.image_address(1)
    code[at : at + 2] = 0xE7FE.to_bytes(2, "little")  # b .
    second = folder / "hangs-at-once.bin"
    second.write_bytes(code)
    pico.begin()
    send(pico.session, package_of(BOARD, replace(image, second=second), 2))
    hello = pico.restart()
    assert hello.update and hello.build_id == pico.old.build_id.hex()
    assert hello.update.outcome == UpdateOutcome.ROLLED_BACK
    assert "watchdog" in hello.update.why(["tiny"])
    assert hello.reset_reason == ResetReason.WATCHDOG
    assert pico.update().slot == 1


def test_a_damaged_image_falls_back(pico: Pico, folder: Path) -> None:
    """A bit of what runs is lost: the image before it starts."""
    pico.begin()
    assert pico.update().slot == 1
    file = folder / "damaged"
    pico.power("save", str(file))
    flash = bytearray(file.read_bytes())
    flash[BOARD.slot_address(1) - BOARD.flash_origin + 5000] ^= 0x10
    file.write_bytes(flash)
    hello = pico.begin(file)
    assert hello.update and hello.build_id == pico.old.build_id.hex()
    assert hello.update.outcome == UpdateOutcome.FELL_BACK
    assert pico.update().slot == 1
