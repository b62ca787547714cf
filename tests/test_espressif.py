"""Boards of Espressif: the whole firmware on Arduino's interface, built by PlatformIO.

Platform and framework are stand-ins of ours (`espressif/`): what is proved is the way to an image,
the upload, and what `hal/arduino` makes of what the framework offers. No chip is.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import Lotor
from espressif_board import PlayedBoard, provide_platform
from host_server import HostServer
from lotor import framework
from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device.flash import flash_image
from lotor.device.messages import FaultReason, ResetReason
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.resources import resource
from tiny_model import INPUT_BYTES, TinyModel

DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))
BOARDS = ["esp32cam", "esp32s3"]


@dataclass
class Broken(TinyModel):
    """A model whose second layer begins with a C statement."""

    statement: str = ""

    @property
    def source(self) -> str:
        return super().source.replace("    memset(y,", f"    {self.statement}\n    memset(y,", 1)


POINTER = "static volatile unsigned char *volatile nowhere"  # the compiler shall not follow it
FOR_SPEED = "\n#ifdef __OPTIMIZE_SIZE__\n#error as the framework compiles its own\n#endif\n"
MODELS = [
    TinyModel("tiny"),
    Broken("writes_nothing", statement=f"{POINTER} = (unsigned char *)16; *nowhere = 1;"),
    Broken("hangs", statement='for (;;) __asm volatile("");'),
    Broken("aborts", statement=f"__builtin_trap();{FOR_SPEED}"),
]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pio")
    provide_platform(folder)
    return folder


@pytest.fixture(autouse=True)
def standin(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(core))
    monkeypatch.setenv("STANDIN_FLASH", str(tmp_path / "flash"))
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))


@pytest.fixture(scope="module")
def images(core: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATFORMIO_CORE_DIR", str(core))
        return {name: build_firmware(load_board(name), MODELS, folder) for name in BOARDS}


@pytest.fixture
def program(images: dict[str, Image]) -> Path:
    return images["esp32cam"].bin


@pytest.fixture
def session(program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Over a UART that waits for nobody: what does not fit into its ring is lost."""
    monkeypatch.setenv("STANDIN_LOSES", "1")
    with HostServer(program) as server:
        yield Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]


def check(session: Session) -> None:
    session.select("tiny")
    session.load(0, DATA)
    session.run()
    assert bytes(session.read(0)) == MODELS[0].expected(DATA)


@pytest.mark.parametrize("name", BOARDS)
def test_flash_and_greet(
    name: str, images: dict[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `pio run -t upload`, to the port where the board then greets."""
    with PlayedBoard(tmp_path / "flash") as played:
        monkeypatch.setenv("LOTOR_PORT", played.url)
        url, hello = flash_image(load_board(name), images[name])
        assert url == played.url
        assert (tmp_path / "flash.port").read_text().strip() == played.url
        assert (hello.board, hello.tick_unit) == (name, "cycles")
        assert hello.reset_reason == ResetReason.POWER
        with Session.open(name) as session:
            check(session)


def test_all_bytes_and_the_stack(session: Session) -> None:
    """More than the ring of Arduino's default, more than one write takes."""
    for data in (bytes(range(256)) * 4, b"\x03\x04\x11\x13\r\n" * 100, bytes(1040)):
        assert session.echo(data) == data
    check(session)
    counts = session.statistics()
    assert counts.overruns == counts.bad_framing == counts.bad_crc == 0
    assert counts.stack_size == load_board("esp32cam").build.stack_bytes
    assert counts.stack_bytes is not None
    assert 0 < counts.stack_bytes < counts.stack_size
    assert counts.arena_bytes and counts.arena_bytes <= MODELS[0].arena_bytes


def test_lost_bytes_are_counted(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_LOSES", "1")
    with HostServer(program) as server:
        session = Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]
        session.hello()
        server.write(b"x" * 8000)
        server.write(b"\0")
        session.drain(quiet=0.2)
        assert session.statistics().overruns
        check(session)


def test_ticks_go_on_over_wraps(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter of 32 bits wraps each 18 s, here a thousand times faster."""
    monkeypatch.setenv("STANDIN_SPEED", "1000")
    with HostServer(program) as server:
        session = Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]
        last = 0
        for _ in range(5000):
            now = session.statistics().ticks
            assert now is not None and now > last
            last = now
            if last > 5 << 32:
                break
        assert last > 5 << 32
        check(session)
        assert 0 < sum(layer.ticks for layer in session.profile()) < 1 << 32


def test_reset_and_faults_are_kept(session: Session) -> None:
    after = session.reset()
    assert (after.resets, after.reset_reason) == (1, ResetReason.REQUEST)
    check(session)
    for name, reason, note in (
        ("writes_nothing", FaultReason.MEM_MANAGE, "StoreProhibited at 0x00000010"),
        ("aborts", FaultReason.USAGE_FAULT, "IllegalInstruction"),
    ):
        session.select(name)
        session.load(0, DATA)
        with pytest.raises(LotorError, match="in layer 1"):
            session.run()
        hello = session.hello()
        assert hello.fault is not None
        assert (hello.fault.reason, hello.fault.layer) == (reason, 1)
        assert hello.fault.note == note
        assert hello.reset_reason == ResetReason.FAULT
        assert hello.fault.registers["lr"] == 0x400D1234
    assert hello.resets == 3
    assert session.reset().fault is None
    check(session)


def test_the_watchdog_tells_the_layer(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_WATCHDOG", "300")
    with HostServer(program) as server:
        session = Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]
        session.select("hangs")
        session.load(0, DATA)
        with pytest.raises(LotorError, match="watchdog in layer 1"):
            session.run()
        assert session.hello().reset_reason == ResetReason.WATCHDOG
        check(session)


def test_an_abort_outside_of_a_model(program: Path) -> None:
    with HostServer(program) as server:
        session = Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]
        session.hello()
        server.process.send_signal(signal.SIGABRT)
        hello = session.hello()
        assert hello.fault is not None and hello.fault.note == "abort"
        assert (hello.fault.reason, hello.fault.layer) == (FaultReason.HARD_FAULT, -1)


def test_where_the_arena_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside of the chip as far as the board file says; outside when the heap has less."""
    board = load_board("esp32cam")
    most = board.memory.arena_bytes
    assert most is not None
    assert not board.arena_outside(most) and board.arena_outside(most + 1)
    for size, inside in ((most, most + 64), (most, most), (most + 16, 0)):
        image = build_firmware(board, [TinyModel("tiny", arena_bytes=size)], tmp_path)
        config = (image.elf.parent / "source/image/lotor_config.h").read_text()
        assert f"LOTOR_ARENA_PSRAM {int(size > most)}u" in config
        monkeypatch.setenv("STANDIN_HEAP", str(inside))
        with HostServer(image.bin) as server:
            session = Session(server, "the stand-in", timeout=5.0)  # type: ignore[arg-type]
            assert session.hello().arena_bytes == size
            check(session)
    too_large = TinyModel("tiny", arena_bytes=board.ram_limit)
    with pytest.raises(LotorError, match=r"ram needs \d+ bytes .*, it has 4521984"):
        build_firmware(board, [too_large], tmp_path)


def test_sizes_of_an_image(images: dict[str, Image]) -> None:
    image, board = images["esp32s3"], load_board("esp32s3")
    least = len(MODELS) * 256
    assert image.breakdown["weights"] >= least and image.breakdown["code"] > 0
    assert image.flash_bytes == image.bin.stat().st_size == sum(image.breakdown.values())
    assert image.ram_bytes > board.build.stack_bytes + image.arena_bytes


def test_an_upload_that_fails(
    images: dict[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STANDIN_FLASH")
    monkeypatch.setenv("LOTOR_PORT", "socket://127.0.0.1:9")
    with pytest.raises(LotorError, match="A fatal error occurred: Failed to connect") as caught:
        flash_image(load_board("esp32cam"), images["esp32cam"])
    assert "\n" not in str(caught.value)


def test_a_model_that_does_not_compile(tmp_path: Path) -> None:
    broken = Broken("broken", statement="this is no C;")
    with pytest.raises(LotorError, match=r"does not build: .*broken\.c.*error: ") as caught:
        build_firmware(load_board("esp32cam"), [broken], tmp_path)
    assert "\n" not in str(caught.value)


def test_another_platform_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinned version is not here, and what PlatformIO says offline becomes one line."""
    board = load_board("esp32cam")
    assert framework.platform_of(board) == framework.platform_of(load_board("esp32s3"))
    assert re.fullmatch(r"espressif32 @ 6\.\d+\.\d+", framework.platform_of(board))
    said = "Platform Manager: Installing espressif32 @ 6.12.0\nHTTPClientError: \n"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(LotorError) as caught:
        build_firmware(board, MODELS, tmp_path)
    assert str(caught.value) == (
        "board esp32cam needs PlatformIO's platform 'espressif32 @ 6.12.0', which is not here and "
        "cannot be fetched: internet is needed once"
    )


@pytest.mark.slow
def test_all_of_hil(
    core: Path, tmp_path: Path, lotor: Lotor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lotor hil`: what every board must do over its line, from the build to the verdict."""
    # This machine does more in a cycle than a board: slow it down.
    monkeypatch.setenv("STANDIN_SPEED", "10")
    with PlayedBoard(tmp_path / "flash") as played:
        monkeypatch.setenv("LOTOR_PORT", played.url)
        done = lotor("hil", "--board", "esp32s3", timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert re.search(r"esp32s3: passed: \d+ tests, \d+ passed, 0 failed", done.stdout)


def test_the_stand_in_has_what_the_family_uses() -> None:
    """Each name of ESP-IDF and Arduino that the family uses is one of the stand-in's headers."""
    family = resource("firmware", "hal/arduino")
    used = {
        header
        for path in family.iterdir()
        for header in re.findall(r"#include <([\w/]+\.h)>", path.read_text())
    }
    have = Path(__file__).parent / "espressif/framework/include"
    assert used - {"stddef.h", "stdint.h", "string.h"} == {
        path.relative_to(have).as_posix() for path in have.rglob("*.h")
    }
