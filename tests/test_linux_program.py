"""The firmware as a program of Linux: its lines, its faults with their places, its limits."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from lotor.board import Board, Budget, load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator, monitor
from lotor.device.flash import flash_image
from lotor.device.messages import FaultReason, Hello, ResetReason
from lotor.device.ports import Port
from lotor.device.session import Crashed, NoAnswer, Session
from lotor.errors import LotorError
from lotor.resources import resource
from tiny_model import INPUT_BYTES, TinyModel

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-aarch64") and shutil.which("aarch64-linux-gnu-gcc")),
    reason="needs qemu-user and gcc-aarch64-linux-gnu",
)

DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))


@dataclass
class Broken(TinyModel):
    """A model whose second layer begins with a C statement."""

    statement: str = ""

    @property
    def source(self) -> str:
        return super().source.replace("    memset(y,", f"    {self.statement}\n    memset(y,", 1)


POINTER = "static volatile unsigned char *volatile nowhere"  # the compiler shall not follow it
MODELS = [
    TinyModel("tiny"),
    Broken("reads_nothing", statement=f"{POINTER} = (unsigned char *)16; (void)*nowhere;"),
    Broken("hangs", statement='for (;;) __asm volatile("");'),
]


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("pi-a53")


@pytest.fixture(scope="module")
def clocked(board: Board) -> Board:
    """The same with a clock, as a program that no emulator counts for."""
    return replace(board, ticks=replace(board.ticks, source="clock", unit="nanoseconds"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def image(board: Board, folder: Path) -> Image:
    return build_firmware(board, MODELS, folder)


@pytest.fixture(scope="module")
def program(clocked: Board, folder: Path) -> Path:
    return build_firmware(clocked, MODELS, folder).elf


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop("pi-a53")


class Descriptors:
    """A port of two open files, read and written."""

    def __init__(self, source: int, sink: int, url: str = "descriptors") -> None:
        self.source, self.sink, self.url = source, sink, url

    def read(self, timeout: float) -> bytes:
        """Wait for bytes; an ended program is an error."""
        if not select.select([self.source], [], [], max(timeout, 0))[0]:
            return b""
        return os.read(self.source, 1 << 16)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        while data:
            data = data[os.write(self.sink, data) :]

    def close(self) -> None:
        """Leave the files to whoever opened them."""


def session_on(source: int, sink: int) -> Session:
    return Session(cast(Port, Descriptors(source, sink)), "the program", timeout=5.0)


def qemu(program: Path, *line: str) -> list[str]:
    """The program's command, which it repeats at a reset."""
    own = [str(shutil.which("qemu-aarch64")), str(program)]
    return [*own, *line, "--", *own]


def check(session: Session) -> None:
    session.select(0)
    session.load(0, DATA)
    session.run()
    assert bytes(session.read(0)) == MODELS[0].expected(DATA)


def test_a_serial_device(program: Path) -> None:
    """All byte values pass, in both directions, over a reset and a fault."""
    master, slave = pty.openpty()
    with subprocess.Popen(qemu(program, os.ttyname(slave))) as process:
        try:
            session = session_on(master, master)
            hello = session.hello()
            assert (hello.board, hello.tick_unit) == ("pi-a53", "nanoseconds")
            assert hello.reset_reason == ResetReason.POWER
            mode = termios.tcgetattr(slave)
            assert mode[4] == mode[5] == termios.B115200
            assert not mode[3] & (termios.ICANON | termios.ECHO)
            for data in (bytes(range(256)) * 4, b"\x03\x04\x11\x13\r\n" * 100):
                assert session.echo(data) == data
            check(session)
            assert sum(layer.ticks for layer in session.profile()) > 0
            after = session.reset()
            assert (after.resets, after.reset_reason) == (1, ResetReason.REQUEST)
            fault = session.provoke(FaultReason.BUS_FAULT).fault
            assert fault is not None and fault.note.startswith("SIGBUS at 0x")
            check(session)
        finally:
            process.kill()
            os.close(master)
            os.close(slave)


def test_stdin_and_stdout(program: Path) -> None:
    """As over ssh; the program ends when the other side has gone."""
    pipe = subprocess.PIPE
    with subprocess.Popen(qemu(program, "-"), stdin=pipe, stdout=pipe) as process:
        assert process.stdin and process.stdout
        session = session_on(process.stdout.fileno(), process.stdin.fileno())
        check(session)
        assert session.reset().resets == 1
        check(session)
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "no LINE: name a serial device"),
        (["-", "-"], "-: one LINE is enough"),
        (["/nonesuch/tty"], "/nonesuch/tty: No such file or directory"),
        (["/dev/null"], "/dev/null: no serial device"),
    ],
)
def test_a_wrong_line(program: Path, line: list[str], message: str) -> None:
    done = subprocess.run(
        qemu(program, *line), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"lotor: {message}") and done.stderr.count("\n") == 1


def after_crash(session: Session) -> Hello:
    for _ in range(20):
        with contextlib.suppress(NoAnswer):
            return session.hello(timeout=1.0)
    pytest.fail("the program did not come back")


def test_a_fault_in_a_model_and_its_place(board: Board, image: Image) -> None:
    flash_image(board, image)
    with Session.open("pi-a53", run_timeout=100.0) as session:
        session.select("reads_nothing")
        session.load(0, DATA)
        with pytest.raises(Crashed, match=r"mem manage in layer 1 .*SIGSEGV at 0x0{14}10"):
            session.run()
        fault = session.hello().fault
        assert fault is not None and fault.registers["mmfar"] == 16
        place = monitor.source_of(image.elf, fault.registers["pc"])
        assert place.startswith("reads_nothing_run at reads_nothing.c:")
        check(session)


def test_the_watchdog_says_where_it_hung(board: Board, image: Image) -> None:
    flash_image(board, image)
    with Session.open("pi-a53", run_timeout=100.0) as session:
        fault = session.provoke(FaultReason.WATCHDOG).fault
        assert fault is not None and fault.reason == FaultReason.WATCHDOG
        place = monitor.source_of(image.elf, fault.registers["pc"])
        assert place.startswith("hal_provoke at faults.c:")
        assert session.hello().reset_reason == ResetReason.WATCHDOG


@pytest.mark.slow
def test_a_model_that_hangs_is_ended(board: Board, image: Image) -> None:
    flash_image(board, image)
    with Session.open("pi-a53", run_timeout=200.0) as session:
        session.select("hangs")
        session.load(0, DATA)
        with pytest.raises(Crashed, match="watchdog in layer 1"):
            session.run()


def test_a_signal_from_outside_tells_where_it_is(board: Board, image: Image) -> None:
    """`kill -QUIT`: where is it just now? It waits for a byte, or for somebody to connect."""
    flash_image(board, image)
    state = emulator.running("pi-a53")
    assert state is not None
    with Session.open("pi-a53") as session:
        os.kill(state.pid, signal.SIGQUIT)
        hello = after_crash(session)
        assert hello.fault is not None and hello.fault.note == "SIGQUIT"
        assert hello.resets == 1
    # The record is of the same process, which another host finds on the same port.
    assert emulator.running("pi-a53") == state
    with Session.open("pi-a53") as session:
        assert session.hello().resets == 1
        check(session)


def test_a_program_larger_than_its_budget(board: Board, folder: Path) -> None:
    for budget, words in (
        (Budget(flash_bytes=100_000, ram_bytes=1 << 26), r"flash needs \d+ bytes, it has 100000"),
        (Budget(flash_bytes=1 << 24, ram_bytes=150_000), r"ram needs \d+ bytes .*it has 150000"),
    ):
        with pytest.raises(LotorError, match=f"does not fit pi-a53: {words}"):
            build_firmware(replace(board, budget=budget), MODELS, folder)


def test_no_heap_in_our_code() -> None:
    words = {"malloc", "calloc", "realloc", "free", "alloca", "strdup"}
    for path in [
        *resource("firmware", "src").glob("*.c"),
        *resource("firmware", "hal/linux").iterdir(),
    ]:
        assert not words & set(re.findall(r"\w+(?=\()", path.read_text())), path.name
