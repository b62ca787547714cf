"""Damaged, foreign and misplaced frames are answered or dropped, and change nothing."""

import random
import struct

import pytest

from lotor.device.bench import Bench
from lotor.device.link import (
    ANSWER,
    ERROR,
    NO_SEQUENCE,
    ErrorCode,
    Frame,
    Request,
    cobs_encode,
    encode,
)
from lotor.device.messages import Refusal
from lotor.device.session import DeviceError, Session

ECHO = Frame(Request.ECHO, 0x1234, b"hello \0 board")
DAMAGED = (NO_SEQUENCE, 0, ErrorCode.BAD_CRC)
TOO_LONG = (NO_SEQUENCE, 0, ErrorCode.OVERSIZED)


def refusals(session: Session, data: bytes) -> list[tuple[int, int, int]]:
    """Send bytes; return (sequence, request, code) of every error answer."""
    found = []
    for frame in session.answers_to(data):
        assert frame.type == ERROR, frame
        refusal = Refusal.parse(frame.payload)
        assert refusal.text
        found.append((frame.sequence, refusal.request, refusal.code))
    return found


def code_of(session: Session, kind: int, payload: bytes) -> int:
    with pytest.raises(DeviceError) as error:
        session.request(kind, payload)
    assert error.value.request == kind
    return error.value.code


def test_truncated_frames(bench: Bench) -> None:
    wire = encode(ECHO)
    bench.undisturbed(
        lambda s: [
            pytest.fail(f"cut at {cut}: {got}")
            for cut in (1, 4, 7, len(wire) - 3, len(wire) - 2)
            if (got := refusals(s, wire[:cut] + b"\0")) != [DAMAGED]
        ]
    )


def test_a_frame_that_never_ends_does_not_swallow_the_next(bench: Bench) -> None:
    def action(session: Session) -> None:
        session.send_bytes(encode(ECHO)[:-4])
        assert session.drain() == []
        assert refusals(session, b"\0") == [DAMAGED]
        session.send_bytes(encode(ECHO)[:-4])
        assert session.echo(b"here") == b"here"

    bench.undisturbed(action)


@pytest.mark.parametrize("filler", [b"\x01", b"\x02", b"\xff", b"\x5a"])
@pytest.mark.parametrize("size", [1100, 5000])
def test_oversized_frames(bench: Bench, filler: bytes, size: int) -> None:
    def action(session: Session) -> None:
        assert refusals(session, filler * size + b"\0") == [TOO_LONG]

    bench.undisturbed(action)


def test_a_well_made_frame_that_is_too_long(bench: Bench) -> None:
    def action(session: Session) -> None:
        long = Frame(Request.ECHO, 7, bytes(session.data_bytes + 17))
        assert refusals(session, encode(long)) == [TOO_LONG]

    bench.undisturbed(action)


@pytest.mark.parametrize("place", [0, 1, 2, 4, 9, -5, -1])
def test_a_bad_crc(bench: Bench, place: int) -> None:
    body = bytearray(
        b"\x01" + bytes([Request.RESET]) + b"\x01\x00" + b"abcdefgh" + b"\x9c\x01\x02\x03"
    )
    body[place] ^= 0x10

    def action(session: Session) -> None:
        before = session.statistics()
        assert refusals(session, cobs_encode(bytes(body)) + b"\0") == [DAMAGED]
        assert session.statistics().bad_crc == before.bad_crc + 1
        assert session.hello().resets == session.greeting.resets

    bench.undisturbed(action)


@pytest.mark.parametrize("kind", [0x00, 0x10, 0x3F, 0x40, 0x7F])
def test_unknown_requests(bench: Bench, kind: int) -> None:
    def action(session: Session) -> None:
        before = session.statistics()
        sent = encode(Frame(kind, 0x4321, b"what?"))
        assert refusals(session, sent) == [(0x4321, kind, ErrorCode.UNKNOWN_REQUEST)]
        assert session.statistics().unknown == before.unknown + 1

    bench.undisturbed(action)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version(bench: Bench, version: int) -> None:
    sent = encode(Frame(Request.RESET, 5, version=version))

    def action(session: Session) -> None:
        assert refusals(session, sent) == [(5, Request.RESET, ErrorCode.UNSUPPORTED_VERSION)]

    bench.undisturbed(action)


@pytest.mark.parametrize("seed", range(8))
def test_garbage_between_frames(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)

    def action(session: Session) -> None:
        for _, request, _ in refusals(session, rng.randbytes(rng.randrange(1, 400))):
            assert request == 0
        assert session.echo(b"between") == b"between"

    bench.undisturbed(action)


def test_empty_frames_mean_nothing(bench: Bench) -> None:
    bench.undisturbed(lambda s: pytest.fail("answered") if refusals(s, b"\0" * 50) else None)


def test_back_to_back_frames(bench: Bench) -> None:
    def action(session: Session) -> None:
        sent = [Frame(Request.ECHO, n, bytes([n] * n)) for n in range(1, 21)]
        got = session.answers_to(b"".join(map(encode, sent)))
        assert got == [Frame(f.type | ANSWER, f.sequence, f.payload) for f in sent]

    bench.undisturbed(action)


def test_requests_of_a_wrong_length(bench: Bench, board: Session) -> None:
    wrong = [
        (Request.HELLO, b"x"),
        (Request.SELECT, b""),
        (Request.SELECT, b"\0\0\0"),
        (Request.LOAD, b""),
        (Request.LOAD, struct.pack("<BI", 0, 0)),
        (Request.LOAD, struct.pack("<BI", 0, 0) + bytes(board.data_bytes + 1)),
        (Request.RUN, b""),
        (Request.RUN, b"\0\0"),
        (Request.READ, struct.pack("<BI", 0, 0)),
        (Request.READ, struct.pack("<BIHB", 0, 0, 1, 0)),
        (Request.SELF_TEST, b"x"),
        (Request.PROFILE, b"\0"),
        (Request.STATISTICS, b"x"),
        (Request.LOG_LEVEL, b""),
        (Request.RESET, b"x"),
    ]
    bench.undisturbed(
        lambda s: [
            pytest.fail(f"{kind.name} {payload[:8]!r}")
            for kind, payload in wrong
            if code_of(s, kind, payload) != ErrorCode.BAD_PAYLOAD
        ]
    )


def test_indices_and_ranges_that_do_not_exist(bench: Bench, board: Session) -> None:
    model = board.model
    size_in, size_out = model.inputs[0], model.outputs[0]
    wrong = [
        (Request.SELECT, bytes([len(board.greeting.models)]), ErrorCode.BAD_INDEX),
        (Request.SELECT, b"\0\2", ErrorCode.OUT_OF_RANGE),
        (Request.SELECT, b"\xff", ErrorCode.BAD_INDEX),
        (Request.LOAD, struct.pack("<BI", len(model.inputs), 0) + b"x", ErrorCode.BAD_INDEX),
        (Request.LOAD, struct.pack("<BI", 0, size_in) + b"x", ErrorCode.OUT_OF_RANGE),
        (Request.LOAD, struct.pack("<BI", 0, size_in - 1) + b"xy", ErrorCode.OUT_OF_RANGE),
        (Request.LOAD, struct.pack("<BI", 0, 0xFFFFFFFF) + b"xy", ErrorCode.OUT_OF_RANGE),
        (Request.READ, struct.pack("<BIH", len(model.outputs), 0, 1), ErrorCode.BAD_INDEX),
        (Request.READ, struct.pack("<BIH", 0, size_out, 1), ErrorCode.OUT_OF_RANGE),
        (Request.READ, struct.pack("<BIH", 0, 0, size_out + 1), ErrorCode.OUT_OF_RANGE),
        (Request.READ, struct.pack("<BIH", 0, 0xFFFFFFFF, 2), ErrorCode.OUT_OF_RANGE),
        (Request.RUN, b"\x80", ErrorCode.OUT_OF_RANGE),
        (Request.PROFILE, b"\xff\xff", ErrorCode.OUT_OF_RANGE),
    ]
    bench.undisturbed(
        lambda s: [
            pytest.fail(f"{kind.name} {payload!r}: {got}, not {code}")
            for kind, payload, code in wrong
            if (got := code_of(s, kind, payload)) != code
        ]
    )


def test_a_run_needs_all_of_the_input(bench: Bench, board: Session) -> None:
    data = bench.inputs(3)
    assert code_of(board, Request.RUN, b"\0") == ErrorCode.NOT_READY
    for index, array in enumerate(data):
        board.load_piece(index, 1, array.tobytes()[1 : board.data_bytes])
    assert code_of(board, Request.RUN, b"\0") == ErrorCode.NOT_READY
    assert code_of(board, Request.READ, struct.pack("<BIH", 0, 0, 1)) == ErrorCode.NOT_READY
    bench.check()
    # The run used its input up.
    assert code_of(board, Request.RUN, b"\0") == ErrorCode.NOT_READY
    bench.check(4)


def test_a_reset_in_the_middle_of_a_load(bench: Bench, board: Session) -> None:
    data = bench.inputs(4)[0].tobytes()
    board.load_piece(0, 0, data[: min(board.data_bytes, len(data) - 1)])
    resets = board.greeting.resets
    assert board.reset().resets == resets + 1
    assert code_of(board, Request.RUN, b"\0") == ErrorCode.NOT_READY
    bench.check()


def test_a_reset_in_the_middle_of_a_frame(bench: Bench, board: Session) -> None:
    half = encode(Frame(Request.LOAD, 9, struct.pack("<BI", 0, 0) + bytes(20)))[:15]
    resets = board.hello().resets
    board.send_bytes(encode(Frame(Request.RESET, 8)) + half)
    assert board.hello(timeout=0.5).resets == resets + 1
    bench.check()


def test_a_repeated_run_runs_once(bench: Bench, board: Session) -> None:
    inputs = bench.inputs(9)
    bench.load(inputs)
    before = board.statistics().runs
    again = encode(Frame(Request.RUN, 0x7777, b"\0"))
    answers = []
    for _ in range(3):
        board.send_bytes(again)
        answer = board.next_frame(board.run_timeout)
        assert answer is not None and answer.type == Request.RUN | ANSWER
        answers.append(answer)
    assert answers == [answers[0]] * 3
    assert board.statistics().runs == before + 1
    bench.expect(inputs)
    # The same number after another load is another run.
    bench.load(bench.inputs(10))
    board.send_bytes(again)
    assert board.next_frame(board.run_timeout) is not None
    assert board.statistics().runs == before + 2
    bench.expect(bench.inputs(10))
