"""Emulated boards: started, replaced, found dead, stopped; and what firmware does on them."""

import json
import os
import re
import shutil
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conftest import Lotor
from lotor.board import Board, Emulator, Region, Ticks, list_boards, load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator
from lotor.device.flash import flash_image
from lotor.device.link import ErrorCode, Frame, Request, encode
from lotor.device.messages import FaultReason, Hello, ResetReason
from lotor.device.monitor import elf_of, source_of, watch
from lotor.device.ports import Busy, Port
from lotor.device.session import Crashed, DeviceError, NoAnswer, Session
from lotor.errors import LotorError
from lotor.image_sources import SelfTest
from lotor.resources import run_dir
from played import skip_unless_played
from tflite_builder import ModelBuilder, Quant
from tiny_model import INPUT_BYTES, TinyModel

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm")

BOARDS = ["netduinoplus2", "mps2-an386"]
ALL = [name for name in list_boards() if load_board(name).emulated]
ROOMY = [name for name in ALL if load_board(name).ram_limit > 8 << 10]  # for `MODELS`
COUNTING = [name for name in ALL if load_board(name).ticks.unit == "instructions"]
MODELS = [TinyModel("tiny"), TinyModel("other", delta=5)]
DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    """One image of both models for each board; the first model has a self-test that must fail."""
    folder = tmp_path_factory.mktemp("images")
    tests = [SelfTest(seed=1, crc=0xBAD), SelfTest()]

    class Images(dict[str, Image]):
        def __missing__(self, name: str) -> Image:
            self[name] = build_firmware(load_board(name), MODELS, folder, tests)
            return self[name]

    return Images()


@pytest.fixture(
    params=[pytest.param(name, marks=() if name in BOARDS else pytest.mark.slow) for name in ROOMY]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def nothing_left(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    skip_unless_played(request)
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    for board in ALL:
        emulator.stop(board)


@pytest.fixture
def session(name: str, images: dict[str, Image]) -> Iterator[Session]:
    url, _ = flash_image(load_board(name), images[name])
    with Session.open(url) as session:
        yield session


def running(board: str) -> emulator.Running:
    state = emulator.running(board)
    assert state is not None
    return state


def test_hello_says_what_was_flashed(name: str, images: dict[str, Image]) -> None:
    url, hello = flash_image(load_board(name), images[name])
    assert (hello.board, hello.chip) == (name, load_board(name).chip)
    assert hello.build_id == images[name].build_id.hex()
    assert hello.tick_unit == load_board(name).ticks.unit
    assert hello.fault is None and hello.reset_reason == ResetReason.POWER
    assert [model.name for model in hello.models] == ["tiny", "other"]
    assert [model.hash for model in hello.models] == [model.model_hash for model in MODELS]
    assert running(name).url == url and running(name).elf == images[name].elf


def test_all_byte_values_travel(session: Session) -> None:
    for data in (bytes(range(256)) * 4, bytes(1040), b"\xff" * 1040, b""):
        assert session.request(Request.ECHO, data) == data


def test_runs_are_right_and_cost_the_same(session: Session, name: str) -> None:
    for index, model in enumerate(MODELS):
        session.select(index)
        ticks = set()
        for trace in (False, False, True):
            session.load(0, DATA)
            result = session.run(trace=trace)
            assert bytes(session.read(0)) == model.expected(DATA)
            layers = session.profile()
            assert len(layers) == 2 and sum(layer.ticks for layer in layers) == result.ticks
            assert all(bool(layer.crc) == trace for layer in layers)
            ticks.add(result.ticks)
        assert len(ticks) == 1 or name not in COUNTING
        # Loops over 2600 bytes, in a handful of instructions each; Armv6-M has none that divides.
        assert 4 * INPUT_BYTES < ticks.pop() < (64 if name in COUNTING else 96) * INPUT_BYTES


@dataclass
class Slower(TinyModel):
    """A model whose second layer is a loop of two instructions, after one that loads the count."""

    turns: int = 1
    arm64: bool = False

    @property
    def source(self) -> str:
        text = super().source
        body = text[text.index("    memset(y,") : text.index("    lotor_layer_done(1")]
        loop = (
            f'    __asm volatile(".syntax unified\\n ldr r0, ={self.turns}\\n"\n'
            '                   "1: subs r0, #1\\n bne 1b" ::: "r0", "cc");\n'
        )
        if self.arm64:
            loop = loop.replace(".syntax unified\\n", "").replace("r0, #", "r0, r0, #")
            loop = loop.replace("r0", "x0")
        return text.replace(body, loop)


@pytest.mark.parametrize("name", COUNTING, indirect=True)
def test_one_instruction_is_one_tick(name: str, tmp_path: Path) -> None:
    """Also where a timer has to be converted, however long it runs, and every time the same."""
    turns = [1, 2, 3, 4, 5, 6, 1_000, 3_000_003]  # the last is more than SysTick's 24 bits count
    small = {"arena_bytes": 1024, "input_bytes": 500}
    board = load_board(name)
    models = [Slower(f"slower{n}", turns=n, arm64=board.linux, **small) for n in turns]
    at_once = len(models) * board.serial.data_bytes // 1024  # what hello can list
    counts: dict[str, set[int]] = {}
    for first in range(0, len(models), at_once):
        image = models[first : first + at_once]
        url, _ = flash_image(board, build_firmware(board, image, tmp_path))
        with Session.open(url) as session:
            for model in image * 2:
                session.select(model.name)
                session.load(0, DATA[:500])
                session.run()
                counts.setdefault(model.name, set()).add(session.profile()[1].ticks)
    hook = min(counts["slower1"]) - 3  # its arguments
    assert 0 <= hook <= 4
    assert list(counts.values()) == [{hook + 1 + 2 * n} for n in turns]


class Empty(TinyModel):
    """A model whose second layer does nothing."""

    @property
    def source(self) -> str:
        head, _, tail = super().source.partition("    memset(y,")
        return head + "    " + tail[tail.index("lotor_layer_done(1") :]


def test_an_empty_layer_costs_nothing_but_its_arguments(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    url, _ = flash_image(board, build_firmware(board, [Empty("empty")], tmp_path))
    with Session.open(url) as session:
        session.load(0, DATA)
        session.run()
        assert session.profile()[1].ticks <= (4 if name in COUNTING else 8)


def test_a_self_test_that_fails_says_so(session: Session) -> None:
    session.select(0)
    found = session.self_test()
    x, data = 1, bytearray()
    for _ in range(INPUT_BYTES):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        data.append(x >> 24)
    assert found.crc == zlib.crc32(MODELS[0].expected(bytes(data)))
    assert found.expected == 0xBAD
    session.select(1)
    with pytest.raises(DeviceError) as caught:
        session.self_test()
    assert caught.value.code == ErrorCode.NOT_READY


def test_statistics(session: Session) -> None:
    before = session.statistics()
    session.select(0)
    session.load(0, DATA)
    session.run()
    after = session.statistics()
    assert before.runs is not None and before.frames is not None and before.ticks is not None
    assert after.frames is not None and after.ticks is not None
    assert after.runs == before.runs + 1
    assert after.frames > before.frames and after.ticks > before.ticks
    assert after.stack_bytes is not None and after.stack_size is not None
    assert 100 < after.stack_bytes < after.stack_size
    assert after.arena_bytes is not None
    # The last byte of the output, or the last that is not the paint.
    assert 3200 < after.arena_bytes <= 3500
    assert after.overruns == after.bad_crc == after.bad_framing == after.oversized == 0


def test_bytes_that_come_during_a_run_are_kept(session: Session) -> None:
    session.select(0)
    session.load(0, DATA)
    wire = encode(Frame(Request.RUN, 7, b"\0"))
    wire += b"".join(encode(Frame(Request.ECHO, 8 + i, bytes([i]) * 300)) for i in range(4))
    session.send_bytes(wire)
    frames = session.drain(quiet=0.5)
    assert [frame.sequence for frame in frames] == [7, 8, 9, 10, 11]
    assert session.statistics().overruns == 0


PROVOKED = [reason for reason in FaultReason if reason != FaultReason.WATCHDOG]


def test_every_fault_is_kept_until_the_next_reset(session: Session, name: str) -> None:
    board = load_board(name)
    if not board.test_faults:
        pytest.skip(f"board {name} is not built to provoke faults")
    for count, reason in enumerate(PROVOKED, start=1):
        session.request(Request.FAULT, bytes([reason]))
        hello = hello_after_reset(session)
        assert hello.fault is not None
        assert hello.fault.reason == reason.seen_by(board.target)
        assert hello.fault.layer == -1
        assert (hello.resets, hello.reset_reason) == (count, ResetReason.FAULT)
        if reason == FaultReason.ASSERT:
            assert "fault_wanted" in hello.fault.note
        elif hello.fault.reason == FaultReason.BUS_FAULT and not board.linux:
            assert hello.fault.registers["bfar"] == 0x5FFFFFF0
    session.request(Request.RESET)
    hello = hello_after_reset(session)
    assert hello.fault is None and hello.reset_reason == ResetReason.REQUEST
    if board.hal.watchdog:
        session.request(Request.FAULT, bytes([FaultReason.WATCHDOG]))
        hello = hello_after_reset(session)
        assert hello.fault and hello.fault.reason == FaultReason.WATCHDOG
        assert hello.reset_reason == ResetReason.WATCHDOG
        return
    with pytest.raises(DeviceError) as caught:
        session.request(Request.FAULT, bytes([FaultReason.WATCHDOG]))
    assert caught.value.code == ErrorCode.OUT_OF_RANGE


def hello_after_reset(session: Session) -> Hello:
    for _ in range(20):
        try:
            return session.hello(timeout=0.2)
        except NoAnswer:
            continue
    pytest.fail("the board did not come back")


@dataclass
class Broken(TinyModel):
    """A model whose second layer does something wrong: the C statement."""

    statement: str = ""

    @property
    def source(self) -> str:
        return super().source.replace("    memset(y,", f"    {self.statement}\n    memset(y,", 1)


def test_models_that_go_wrong(tmp_path: Path) -> None:
    board = load_board("netduinoplus2")
    models = [
        Broken("crashes", statement='__asm volatile("udf #0");'),
        Broken("overruns", statement="memory[4096 + 3] = 1;"),
        Broken("fails", statement="return -7;"),
        TinyModel("large", arena_bytes=8192),
    ]
    url, _ = flash_image(board, build_firmware(board, models, tmp_path))
    with Session.open(url) as session:
        session.select(0)
        session.load(0, DATA)
        with pytest.raises(LotorError):  # the repeated request finds nothing loaded
            session.request(Request.RUN, b"\0", timeout=0.5)
        fault = session.hello().fault
        assert fault and (fault.reason, fault.layer) == (FaultReason.USAGE_FAULT, 1)
        session.select(1)
        session.load(0, DATA)
        with pytest.raises(DeviceError) as caught:
            session.run()
        assert caught.value.code == ErrorCode.RUN_FAILED
        # The same without the paint, right after a model that wrote there.
        session.select(3)
        session.infer(DATA)
        for _ in range(2):
            session.select(1, quick=True)
            session.load(0, DATA)
            with pytest.raises(DeviceError, match="run failed"):
                session.run()
        session.select(2)
        session.load(0, DATA)
        with pytest.raises(LotorError):
            session.run()
        with pytest.raises(DeviceError) as caught:
            session.request(Request.READ, bytes([0, 0, 0, 0, 0, 1, 0]))
        assert caught.value.code == ErrorCode.NOT_READY


@pytest.mark.parametrize("start", [0x2000_0000, 0x2000_6000])
def test_nobody_writes_below_the_stack(tmp_path: Path, start: int) -> None:
    """Also where RAM is not aligned to the guard, or there is more of it below."""
    board = load_board("netduinoplus2")
    ram = Region(start, board.memory.ram.bytes - (start - board.memory.ram.origin))
    board = replace(board, memory=replace(board.memory, ram=ram))
    write = f"*(volatile uint8_t *){start - 8:#x} = 1;"
    url, _ = flash_image(board, build_firmware(board, [Broken("low", statement=write)], tmp_path))
    with Session.open(url) as session:
        session.load(0, DATA)
        with pytest.raises(Crashed, match=r"mem manage in layer 1 .*data access violation"):
            session.run()


def test_ticks_go_on_when_both_timers_have_wrapped(tmp_path: Path) -> None:
    """78 hours of the emulator's time; here the timers are set forward to shortly before."""
    board = load_board("netduinoplus2")
    registers = {0x4000_0C24: 0xFFFF_FFFF, 0x4000_0024: 0xFFFF_FE00}
    forward = "; ".join(f"*(volatile uint32_t *){a:#x} = {v:#x}u" for a, v in registers.items())
    model = Broken("late", statement=forward + ";")
    url, _ = flash_image(board, build_firmware(board, [model], tmp_path))
    with Session.open(url) as session:
        session.load(0, DATA)
        assert session.run().ticks > 1 << 40
        ticks = session.statistics().ticks
        assert ticks is not None and ticks > 1 << 41


def test_an_image_as_for_hardware(tmp_path: Path) -> None:
    """Cycle counter, watchdog, no provoked faults: it builds, starts and serves."""
    board = load_board("netduinoplus2")
    board = replace(
        board,
        ticks=Ticks("dwt", "cycles"),
        hal=replace(board.hal, watchdog=True),
        test_faults=False,
    )
    url, hello = flash_image(board, build_firmware(board, MODELS, tmp_path))
    assert hello.tick_unit == "cycles"
    with Session.open(url) as session:
        session.select(0)
        session.load(0, DATA)
        session.run()
        assert bytes(session.read(0)) == MODELS[0].expected(DATA)
        with pytest.raises(DeviceError) as caught:
            session.request(Request.FAULT, bytes([FaultReason.BUS_FAULT]))
        assert caught.value.code == ErrorCode.UNKNOWN_REQUEST


def test_every_fault_comes_back_with_file_and_line(name: str, images: dict[str, Image]) -> None:
    if not load_board(name).test_faults:
        pytest.skip(f"board {name} is not built to provoke faults")
    flash_image(load_board(name), images[name])
    named = set()
    for reason in FaultReason:
        with Session.open(name, run_timeout=100.0) as session:
            try:
                session.provoke(reason)
            except DeviceError:
                assert reason == FaultReason.WATCHDOG and not load_board(name).hal.watchdog
                continue
        event = next(event for event in watch(name, seconds=10) if event.kind == "fault")
        named.add(event.data["name"])
        if load_board(name).linux and reason in (FaultReason.HARD_FAULT, FaultReason.NMI):
            assert "kill" in event.data["source"]["pc"]  # in the C library, which has no lines
        elif reason != FaultReason.WATCHDOG or event.data["registers"]["pc"]:
            places = " ".join(event.data["source"].values())
            assert re.search(r"at (faults|requests_device|server)\.c:\d+", places), event.text
    seen = {reason.seen_by(load_board(name).target) for reason in FaultReason}
    watchdog = set() if load_board(name).hal.watchdog else {FaultReason.WATCHDOG}
    assert len(named) == len(seen - watchdog)


def test_a_stack_that_grew_too_far_names_who_called_last(
    name: str, images: dict[str, Image]
) -> None:
    if not load_board(name).test_faults:
        pytest.skip(f"board {name} is not built to provoke faults")
    flash_image(load_board(name), images[name])
    with Session.open(name) as session:
        fault = session.provoke(FaultReason.STACK_OVERFLOW).fault
    assert fault is not None
    place = source_of(images[name].elf, fault.registers["lr"])
    assert place.startswith("outgrow at faults.c:")


def test_source_lines_of_what_the_cache_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that this machine did not start, such as a real one: the build id names its ELF."""
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    image = build_firmware(load_board("netduinoplus2"), MODELS)
    url, hello = flash_image(load_board("netduinoplus2"), image)
    (run_dir() / "netduinoplus2.json").rename(tmp_path / "netduinoplus2.json")
    try:
        assert elf_of(hello) == image.elf
        with Session.open(url) as session:
            session.provoke(FaultReason.USAGE_FAULT)
        event = next(event for event in watch(url, seconds=10) if event.kind == "fault")
        assert "hal_provoke at faults.c:" in event.text
        image.elf.rename(tmp_path / "elsewhere.elf")
        event = next(event for event in watch(url, seconds=10) if event.kind == "fault")
        assert event.text.endswith(f"the ELF of build {image.build_id.hex()[:12]} is not here")
    finally:
        (tmp_path / "netduinoplus2.json").rename(run_dir() / "netduinoplus2.json")


def test_a_reset_in_the_middle_of_a_load(session: Session) -> None:
    session.select(0)
    session.request(Request.LOAD, bytes(5) + DATA[:1000])
    session.request(Request.RESET)
    hello_after_reset(session)
    with pytest.raises(DeviceError) as caught:
        session.run()
    assert caught.value.code == ErrorCode.NOT_READY
    session.select(0)
    session.load(0, DATA)
    session.run()
    assert bytes(session.read(0)) == MODELS[0].expected(DATA)


def test_flashing_again_replaces(images: dict[str, Image]) -> None:
    board = load_board("netduinoplus2")
    flash_image(board, images[board.name])
    first = running(board.name)
    flash_image(board, images[board.name])
    second = running(board.name)
    assert second.pid != first.pid
    assert not Path(f"/proc/{first.pid}").exists()
    assert emulator.stop(board.name) and not emulator.stop(board.name)
    assert emulator.running(board.name) is None
    assert not Path(f"/proc/{second.pid}").exists()


def test_two_boards_at_once(images: dict[str, Image]) -> None:
    urls = [flash_image(load_board(board), images[board])[0] for board in BOARDS]
    with Session.open(urls[0]) as one, Session.open(urls[1]) as two:
        assert [one.hello().board, two.hello().board] == BOARDS


def test_a_dead_emulator_is_noticed(images: dict[str, Image]) -> None:
    board = load_board("netduinoplus2")
    flash_image(board, images[board.name])
    os.kill(running(board.name).pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while emulator.running(board.name) and time.monotonic() < until:
        time.sleep(0.01)
    assert emulator.running(board.name) is None
    assert not (run_dir() / f"{board.name}.json").exists()
    flash_image(board, images[board.name])


def test_another_process_with_the_same_number_is_left_alone(images: dict[str, Image]) -> None:
    board = load_board("netduinoplus2")
    flash_image(board, images[board.name])
    state = running(board.name)
    path = run_dir() / f"{board.name}.json"
    text = path.read_text()
    path.write_text(text.replace(str(state.pid_started), str(state.pid_started - 1)))
    assert emulator.running(board.name) is None
    assert Path(f"/proc/{state.pid}").exists()
    path.write_text(text)  # so that the emulator is stopped after all


def test_the_commands(lotor: Lotor, tmp_path: Path) -> None:
    path = tmp_path / "little.tflite"
    model = ModelBuilder(seed=3)
    x = model.input((1, 8, 8, 3), Quant(0.05, -3))
    model.output(model.fully_connected(model.mean(x, (1, 2)), units=5))
    path.write_bytes(model.build())
    done = lotor("flash", "--board", "netduinoplus2", "--model", path, "--json")
    assert done.returncode == 0, done.stderr
    flashed = json.loads(done.stdout)
    assert flashed["models"][0]["name"] == "little"
    assert sum(flashed["breakdown"].values()) == flashed["flash_bytes"] < flashed["flash_limit"]

    # The command has ended; its emulator has not.
    with Session.open(flashed["url"]) as session:
        session.select("little")
        found = session.self_test()
        assert found.crc == found.expected and found.result == 0

    boards = {b["name"]: b for b in json.loads(lotor("boards", "--json").stdout)["boards"]}
    assert boards["netduinoplus2"]["running"]["models"] == ["little"]
    assert boards["netduinoplus2"]["running"]["url"] == flashed["url"]
    assert boards["mps2-an386"]["running"] is None
    assert "little on socket://" in lotor("boards").stdout

    stop = ("flash", "--board", "netduinoplus2", "--stop", "--json")
    assert json.loads(lotor(*stop).stdout) == {"board": "netduinoplus2", "stopped": True}
    assert json.loads(lotor(*stop).stdout) == {"board": "netduinoplus2", "stopped": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "netduinoplus2"], "no model for the image: name one with `--model MODEL`"),
        (["--board", "mps2-an38", "--model", "x"], "did you mean 'mps2-an38"),
        (["--model", "nonesuch.tflite"], "no model 'nonesuch.tflite'"),
    ],
)
def test_mistakes_on_the_command_line(lotor: Lotor, arguments: list[str], message: str) -> None:
    done = lotor("flash", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def with_arguments(board: Board, *arguments: str) -> Board:
    assert board.emulator
    return replace(board, emulator=Emulator(board.emulator.program, arguments))


def test_an_emulator_that_ends_at_once(images: dict[str, Image]) -> None:
    board = with_arguments(load_board("netduinoplus2"), "-machine", "nonesuch")
    with pytest.raises(LotorError, match=r"ended at once \(status 1\); it said: .*machine type"):
        emulator.start(board, images["netduinoplus2"])
    assert emulator.running("netduinoplus2") is None


def test_an_interrupted_start_leaves_nothing_that_cannot_be_stopped(
    images: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    board = load_board("netduinoplus2")
    image = images[board.name]  # built before nothing can be waited for
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("lotor.device.emulator.subprocess.Popen.wait", interrupt)
        emulator.start(board, image)
    pid = running(board.name).pid
    assert emulator.stop(board.name)
    assert not Path(f"/proc/{pid}").exists()


def test_a_missing_emulator(images: dict[str, Image], monkeypatch: pytest.MonkeyPatch) -> None:
    image = images["netduinoplus2"]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LotorError, match="qemu-system-arm is missing: `sudo apt-get install"):
        emulator.start(load_board("netduinoplus2"), image)


def test_a_port_in_use_is_not_pulled_away(images: dict[str, Image]) -> None:
    board = load_board("netduinoplus2")
    url, _ = flash_image(board, images[board.name])
    port = Port(url)
    try:
        with pytest.raises(Busy, match="is busy"):
            flash_image(board, images[board.name])
    finally:
        port.close()
    assert running(board.name).url == url
