"""Who a board says it is, and how it fares."""

import time

import pytest

from lotor.device.bench import Bench
from lotor.device.link import Request
from lotor.device.messages import LogLevel, ResetReason
from lotor.device.session import DeviceError, Session


@pytest.mark.smoke
def test_hello_is_what_the_board_file_and_the_image_say(bench: Bench, board: Session) -> None:
    hello = board.hello()
    assert hello.board == bench.board.name
    assert hello.chip == bench.board.chip
    assert hello.tick_unit == bench.board.ticks.unit
    assert len(hello.build_id) == 40
    assert hello.selected == board.model.index
    assert hello.arena_bytes >= max(model.arena_bytes for model in hello.models)
    assert len(hello.models) == 2
    for model, host in zip(hello.models, (bench.model, bench.small), strict=True):
        compiled = host.compiled
        assert model.hash == compiled.model_hash
        assert model.name == compiled.name
        assert model.layers == len(compiled.report["layers"])
        assert model.inputs == tuple(tensor.nbytes for tensor in compiled.graph.inputs)
        assert model.outputs == tuple(tensor.nbytes for tensor in compiled.graph.outputs)


@pytest.mark.smoke
def test_echo_of_every_byte_value(board: Session) -> None:
    every = bytes(range(256))
    for data in (
        b"",
        b"\0",
        every,
        bytes(reversed(every)) * 2,
        *(c * board.data_bytes for c in (b"\0", b"\xff")),
    ):
        assert board.echo(data) == data
    longest = (every * 5)[: board.data_bytes + 16]
    assert board.echo(longest) == longest


@pytest.mark.parametrize("size", [1, 253, 254, 255, 256, 507, 508, 509, 1016])
def test_echo_around_the_block_sizes_of_cobs(board: Session, size: int) -> None:
    size = min(size, board.data_bytes)
    for data in (b"\x5a" * size, b"\x5a" * (size - 1) + b"\0", b"\0" + b"\x5a" * (size - 1)):
        assert board.echo(data) == data


def test_statistics_count(bench: Bench, board: Session) -> None:
    before = board.statistics()
    bench.check()
    board.answers_to(b"\x03ab\x05\0")
    after = board.statistics()
    assert None not in vars(after).values()
    assert after.runs == before.runs + 1
    assert after.frames > before.frames + 3
    assert after.bad_framing == before.bad_framing + 1
    assert after.bad_crc == before.bad_crc
    assert after.ticks > before.ticks
    assert after.overruns == 0
    assert 0 < after.stack_bytes < after.stack_size


def test_the_arena_is_used_as_planned(bench: Bench, board: Session) -> None:
    for host in (bench.model, bench.small):
        bench.select(host)  # selecting paints the arena
        bench.check()
        assert board.statistics().arena_bytes == board.model.arena_bytes


@pytest.mark.smoke
@pytest.mark.parametrize("quick", [False, True])
def test_two_models_take_turns_in_one_arena(bench: Bench, board: Session, quick: bool) -> None:
    models = {model.name: model for model in board.greeting.models}
    assert board.greeting.arena_bytes == max(model.arena_bytes for model in models.values())
    for turn in range(4):
        bench.host = (bench.model, bench.small)[turn % 2]
        mine = models[bench.host.compiled.name]
        board.select(mine.index, quick)
        inputs = bench.inputs(turn)
        bench.load(inputs)
        board.run()
        bench.expect(inputs)
        assert board.statistics().arena_bytes == (None if quick else mine.arena_bytes)
    bench.check()


def test_log_levels(bench: Bench, board: Session) -> None:
    for level in LogLevel:
        assert board.log_level(level) == level
    with pytest.raises(DeviceError):
        board.log_level(200)
    assert board.log_level(LogLevel.INFO) == LogLevel.INFO


@pytest.mark.smoke
def test_reset(bench: Bench, board: Session) -> None:
    before = board.hello()
    bench.logs.clear()
    after = board.reset()
    assert after.resets == before.resets + 1
    assert after.reset_reason == ResetReason.REQUEST
    assert after.fault is None
    assert (after.build_id, after.models) == (before.build_id, before.models)
    assert [line.level for line in bench.logs] == [LogLevel.INFO]
    assert board.statistics().runs == 0
    bench.check()


def test_an_answer_comes_soon(board: Session) -> None:
    """A board that sleeps between frames still wakes up for the first byte of one."""
    retries = board.retries
    for _ in range(20):
        time.sleep(0.01)
        board.request(Request.HELLO)
    assert board.retries == retries
