"""A session against a scripted board: time-outs, retries, stale answers, bytes in pieces."""

import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from fake_board import HELLO, FakeBoard, Handler, Reply, answer, item, notice, refusal
from lotor.device.link import LOG, ErrorCode, Frame, FrameError, Request, encode
from lotor.device.messages import Hello, LogLine, ModelInfo
from lotor.device.session import RETRIES, Crashed, DeviceError, NoAnswer, Session
from lotor.errors import LotorError
from lotor.targets.preference import Preference

QUICK = 0.15


def opened(board: FakeBoard, **options: float) -> Session:
    return Session.open(board.url, timeout=options.pop("timeout", QUICK), **options)  # type: ignore[arg-type]


def answering(payload: bytes = b"") -> Handler:
    return lambda frame: [answer(frame, payload)]


class Model:
    """A board that keeps loaded inputs and answers with outputs, as a real one does."""

    def __init__(self) -> None:
        self.inputs: dict[int, bytearray] = {}
        self.selected = 0
        self.runs = 0

    def __call__(self, frame: Frame) -> Iterator[Reply]:
        p = frame.payload
        if frame.type == Request.SELECT:
            self.selected = p[0]
            yield answer(frame, p)
        elif frame.type == Request.LOAD:
            index, offset = struct.unpack("<BI", p[:5])
            data = self.inputs.setdefault(index, bytearray(3000))
            data[offset : offset + len(p) - 5] = p[5:]
            yield answer(frame, struct.pack("<I", offset + len(p) - 5))
        elif frame.type == Request.RUN:
            self.runs += 1
            yield answer(frame, struct.pack("<iQ", 0, 1234567890123))
        elif frame.type == Request.READ:
            _index, offset, length = struct.unpack("<BIH", p)
            yield answer(frame, bytes(self.inputs[0][:2500][::-1])[offset : offset + length])
        elif frame.type == Request.PROFILE:
            (first,) = struct.unpack("<H", p)
            rows = b"".join(struct.pack("<QI", 10 + n, n) for n in range(first, first + 80))
            yield answer(frame, struct.pack("<HHH", first, 80, 240) + rows)


@pytest.mark.parametrize("says_so", [True, False], ids=["greets anew", "is just back"])
def test_a_board_that_crashes_in_a_run(says_so: bool) -> None:
    """Told from its first log line, or from the refusal of the repeated request."""
    crashed = threading.Event()

    def handler(frame: Frame) -> Iterator[Reply]:
        if frame.type == Request.HELLO:
            fault = item(11, struct.pack("<Bi12I", 4, 7, *range(12)))
            again = item(12, struct.pack("<I", 3)) + fault  # the later item counts
            yield answer(frame, HELLO + again if crashed.is_set() else HELLO)
        elif frame.type == Request.SELECT:
            yield answer(frame, frame.payload)
        elif crashed.is_set():
            yield refusal(frame, ErrorCode.NOT_READY, "not ready")
        else:
            crashed.set()
            if says_so:
                yield Frame(LOG, 0, b"\x021.2.3")

    wait = 5.0 if says_so else QUICK
    with FakeBoard(handler, own_hello=True) as board, opened(board, run_timeout=wait) as session:
        session.select(0)
        with pytest.raises(Crashed, match="while it ran small: usage fault in layer 7"):
            session.run()
        assert session.retries == (0 if says_so else 1)


def test_a_run_without_inputs_is_no_crash() -> None:
    def handler(frame: Frame) -> Iterator[Reply]:
        select = frame.type == Request.SELECT
        yield answer(frame, frame.payload) if select else refusal(frame, ErrorCode.NOT_READY)

    with FakeBoard(handler) as board, opened(board) as session:
        session.select(0)
        with pytest.raises(DeviceError) as caught:
            session.run()
        assert caught.value.code == ErrorCode.NOT_READY


def test_hello_is_read_whole() -> None:
    with FakeBoard() as board, opened(board) as session:
        assert session.hello() == Hello(
            board="fake",
            chip="FAKE1",
            version="1.2.3",
            build_id=bytes(range(20)).hex(),
            clock=168_000_000,
            tick_unit="instructions",
            arena_bytes=65536,
            max_payload=1040,
            selected=0,
            models=(
                ModelInfo(0, "small", "11" * 32, 4096, 3, (8,), (4,)),
                ModelInfo(1, "large", "22" * 32, 4096, 3, (3000, 5), (2500, 1)),
            ),
            fault=None,
            resets=2,
            reset_reason=1,
        )
        assert session.retries == 0


def test_a_fault_record_is_decoded() -> None:
    registers = [1, 2, 3, 4, 12, 0x08000101, 0x08000234, 0x21000000, 1 << 25, 1 << 30, 0, 0]
    record = struct.pack("<Bi12I", 4, 7, *registers) + b"division"
    with (
        FakeBoard(lambda f: [answer(f, HELLO + item(11, record))], own_hello=True) as board,
        opened(board) as session,
    ):
        fault = session.fault()
        assert fault is not None
        assert (fault.name, fault.layer, fault.registers["pc"]) == ("usage fault", 7, 0x08000234)
        assert str(fault) == (
            "usage fault in layer 7 at pc 0x08000234, lr 0x08000101, CFSR 0x02000000 "
            "(division by zero): division"
        )


def test_inputs_and_outputs_longer_than_a_frame() -> None:
    model = Model()
    rng = np.random.default_rng(1)
    image = rng.integers(-128, 128, (30, 100), dtype=np.int8)
    with FakeBoard(model) as board, opened(board, timeout=2.0) as session:
        assert session.select("large").index == 1
        first, second = session.infer(image, b"12345")
        assert bytes(model.inputs[0]) == image.tobytes()
        assert bytes(model.inputs[1][:5]) == b"12345"
        assert first == image.tobytes()[:2500][::-1]
        assert len(second) == 1
        assert len({frame.sequence for frame in board.requests}) == len(board.requests)
        layers = session.profile()
        assert [layer.ticks for layer in layers] == [10 + n for n in range(240)]
        assert [layer.crc for layer in layers] == list(range(240))


def test_a_load_shows_progress_only_for_a_person(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 3))  # every look at the clock takes 3 s
    monkeypatch.setattr("lotor.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with FakeBoard(Model()) as board, opened(board, timeout=2.0) as session:
        session.select("large")
        session.load(0, bytes(3000))
        assert capsys.readouterr().err == ""
        session.progress = True
        session.load(0, bytes(3000))
    assert capsys.readouterr().err.splitlines() == [
        "load input 0 on fake: 2048/3000 bytes",
        "load input 0 on fake: 3000/3000 bytes",
    ]


def test_a_non_contiguous_or_big_endian_array_is_sent_as_the_device_reads_it() -> None:
    model = Model()
    with FakeBoard(model) as board, opened(board) as session:
        session.load(0, np.arange(16, dtype=np.int8)[::2])
        assert bytes(model.inputs[0][:8]) == bytes(range(0, 16, 2))
        session.load(0, np.array([1, 258], dtype=">i4"))
        assert bytes(model.inputs[0][:8]) == b"\1\0\0\0\2\1\0\0"


def test_nobody_answers() -> None:
    with FakeBoard(own_hello=True) as board:
        start = time.monotonic()
        with pytest.raises(
            NoAnswer, match=r"did not answer hello within 0\.15 s, 3 times"
        ) as error:
            opened(board)
        assert time.monotonic() - start < 5 * QUICK + 0.5
        assert board.url in str(error.value) and "lotor boards" in str(error.value)
        assert [frame.type for frame in board.requests] == [Request.HELLO] * (1 + RETRIES)
        assert len({frame.sequence for frame in board.requests}) == 1


@pytest.mark.parametrize("kind", [Request.SELECT, Request.LOAD, Request.READ, Request.ECHO])
def test_a_lost_answer_is_asked_for_again(kind: Request) -> None:
    seen: list[Frame] = []

    def lossy(frame: Frame) -> list[Reply]:
        seen.append(frame)
        return [] if len(seen) <= RETRIES else [answer(frame, frame.payload)]

    with FakeBoard(lossy) as board, opened(board) as session:
        assert session.request(kind, b"\1") == b"\1"
        assert session.retries == RETRIES
        assert seen == [seen[0]] * (1 + RETRIES)


@pytest.mark.parametrize("kind", [Request.RESET, Request.SELF_TEST, Request.FAULT])
def test_what_must_not_be_repeated_is_not(kind: Request) -> None:
    with FakeBoard(lambda _: []) as board, opened(board) as session:
        with pytest.raises(NoAnswer, match=rf"{kind.name.lower()} within 0.15 s: "):
            session.request(kind)
        assert [frame.type for frame in board.requests] == [Request.HELLO, kind]
        assert session.retries == 0


def test_a_run_is_repeated_with_its_own_sequence_number() -> None:
    runs: list[Frame] = []

    def lossy(frame: Frame) -> list[Reply]:
        runs.append(frame)
        return [] if len(runs) == 1 else [answer(frame, struct.pack("<iQ", 0, 5))]

    with FakeBoard(lossy) as board, opened(board, run_timeout=QUICK) as session:
        assert session.run().ticks == 5
        assert runs[0] == runs[1] and session.retries == 1


def test_a_run_waits_longer_than_other_requests() -> None:
    slow: Handler = lambda frame: [3 * QUICK, answer(frame, struct.pack("<iQ", 0, 5))]  # noqa: E731
    with FakeBoard(slow) as board, opened(board, run_timeout=20 * QUICK) as session:
        assert session.run().ticks == 5
        assert session.retries == 0


def test_a_request_that_arrives_damaged_is_sent_again_at_once() -> None:
    seen: list[Frame] = []

    def damaged(frame: Frame) -> list[Reply]:
        seen.append(frame)
        return [notice(9)] if len(seen) == 1 else [answer(frame, b"x")]

    with FakeBoard(damaged) as board, opened(board, timeout=30.0) as session:
        start = time.monotonic()
        assert session.echo(b"x") == b"x"
        assert time.monotonic() - start < 5
        assert session.retries == 1


def test_a_notice_of_damage_does_not_end_the_last_try() -> None:
    def late(frame: Frame) -> list[Reply]:
        return [notice(9), answer(frame, struct.pack("<IIiQ", 1, 1, 0, 9))]

    with FakeBoard(late) as board, opened(board) as session:
        assert session.self_test().passed


def test_stale_answers_are_ignored() -> None:
    def stale(frame: Frame) -> list[Reply]:
        old = Frame(frame.type, (frame.sequence - 1) % 65536)
        other = Frame(Request.LOAD, frame.sequence)
        return [answer(old, b"old"), answer(other, b"other type"), answer(frame, b"new")]

    with FakeBoard(stale) as board, opened(board) as session:
        assert session.echo(b"new") == b"new"
        assert session.stale == 2


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    def late(frame: Frame) -> list[Reply]:
        wait = [4 * QUICK] if frame.payload == b"one" else []
        return [*wait, answer(frame, frame.payload)]

    with FakeBoard(late) as board, opened(board) as session:
        with pytest.raises(NoAnswer):
            session.echo(b"one")
        session.timeout = 5.0
        assert session.echo(b"two") == b"two"
        assert session.stale == 1 + RETRIES


def test_bytes_in_single_pieces_with_garbage_and_logs_between() -> None:
    lines: list[LogLine] = []
    wire = b"\x00boot\x00" + encode(Frame(LOG, 0, b"\x01" + "Grüße".encode())) + b"\x05\x01\x00"

    def slowly(frame: Frame) -> Iterator[Reply]:
        for byte in wire + encode(answer(frame, b"\0abc\0")):
            yield bytes([byte])
            yield 0.002
        # Two frames in one piece: the second is kept for the next request.
        yield encode(Frame(LOG, 0, b"\x02late")) + encode(Frame(LOG, 0, b"\x09odd"))

    with (
        FakeBoard(slowly) as board,
        Session.open(board.url, timeout=2.0, on_log=lines.append) as session,
    ):
        assert session.echo(b"\0abc\0") == b"\0abc\0"
        session.drain()
        assert list(map(str, lines)) == ["warning: Grüße", "info: late", "LogLevel 9: odd"]


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (3, "model 7 of 2", r"model 7 of 2 \(error 3\)$"),
        (5, "", r"not ready \(error 5\)$"),
        (1, "", r"unknown request \(error 1\); its image is older"),
        (77, "", r"ErrorCode 77 \(error 77\)$"),
    ],
)
def test_a_refusal_says_what_and_what_next(code: int, text: str, words: str) -> None:
    with FakeBoard(lambda f: [refusal(f, code, text)]) as board, opened(board) as session:
        with pytest.raises(DeviceError, match=f"refused echo: {words}") as error:
            session.echo(b"")
        assert (error.value.code, error.value.request) == (code, Request.ECHO)
        assert session.retries == 0


def test_a_failed_run_is_an_error() -> None:
    with (
        FakeBoard(answering(struct.pack("<iQ", -3, 0))) as board,
        opened(board) as session,
        pytest.raises(DeviceError, match=r"refused run: the model gave -3 \(error 6\)"),
    ):
        session.run()


@pytest.mark.parametrize("payload", [b"", b"\1\2\3", bytes(13)])
def test_an_answer_of_a_wrong_length_is_an_error(payload: bytes) -> None:
    with FakeBoard(answering(payload)) as board, opened(board) as session:
        for ask in (session.run, session.self_test):
            with pytest.raises(FrameError, match=r"where .* belong"):
                ask()
        with pytest.raises(FrameError):
            session.profile()


def test_a_profile_that_does_not_advance_ends() -> None:
    with (
        FakeBoard(answering(struct.pack("<HHH", 0, 0, 5))) as board,
        opened(board) as session,
        pytest.raises(FrameError, match="layers from 0 on"),
    ):
        session.profile()


def test_mistakes_are_found_before_anything_is_sent() -> None:
    with FakeBoard() as board, opened(board) as session:
        mistakes: list[tuple[Callable[[], object], str]] = [
            (lambda: session.select("smal"), r"no model 'smal' \(did you mean 'small'\?\)"),
            (lambda: session.select(2), "no model 2: it has 2"),
            (lambda: session.load(0, b"123"), "input 0 of 3 bytes .* takes 8 bytes"),
            (lambda: session.load(1, b"123"), "takes 1 inputs"),
            (lambda: session.infer(b"1", b"2"), "takes 1 inputs; 2 were given"),
            (lambda: session.read(1), "no output 1: it has 1"),
        ]
        for mistake, words in mistakes:
            with pytest.raises(LotorError, match=words):
                mistake()
        assert {frame.type for frame in board.requests} == {Request.HELLO}


def test_the_right_model_is_selected_by_its_hash() -> None:
    compiled = SimpleNamespace(name="any", model_hash="22" * 32)
    other = SimpleNamespace(name="raccoon", model_hash="33" * 32)
    model = Model()
    with FakeBoard(model) as board, opened(board) as session:
        assert session.require_model(compiled) == 1  # type: ignore[arg-type]
        assert (model.selected, session.model.name) == (1, "large")
        with pytest.raises(LotorError) as error:
            session.require_model(other)  # type: ignore[arg-type]
        text = str(error.value)
        assert "runs small (111111111111), large (222222222222), not raccoon (333333333333)" in text
        assert "`lotor flash --board fake --model raccoon`" in text


def test_other_layers_are_told_before_anything_runs() -> None:
    choice = Preference()
    same = SimpleNamespace(name="large", layers=[None] * 3, ram=None, preference=choice)
    striped = SimpleNamespace(name="large", layers=[None] * 7, ram=3000, preference=choice)
    with FakeBoard(Model()) as board, opened(board) as session:
        session.select("large")
        session.require_layers(same)  # type: ignore[arg-type]
        with pytest.raises(LotorError, match=r"large in 3 layers, not 7: .*large --ram 3000`"):
            session.require_layers(striped)  # type: ignore[arg-type]
        assert {frame.type for frame in board.requests} == {Request.HELLO, Request.SELECT}


def test_reset_waits_until_the_board_is_back() -> None:
    away = threading.Event()
    hellos: list[Frame] = []

    def resetting(frame: Frame) -> Iterator[Reply]:
        if frame.type == Request.RESET:
            away.set()
            yield answer(frame)
        elif frame.type == Request.HELLO:
            hellos.append(frame)
            if not away.is_set() or len(hellos) > 5:
                yield answer(frame, HELLO + item(12, struct.pack("<I", 3)))

    with (
        FakeBoard(resetting, own_hello=True) as board,
        opened(board, run_timeout=10.0) as session,
    ):
        assert session.reset().resets == 3
        assert session.retries == 3  # four hellos were lost, in two rounds of three


def test_a_board_that_does_not_come_back() -> None:
    def gone(frame: Frame) -> list[Reply]:
        seen.append(frame)
        return [answer(frame, HELLO if len(seen) == 1 else b"")] if len(seen) <= 2 else []

    seen: list[Frame] = []
    with (
        FakeBoard(gone, own_hello=True) as board,
        opened(board, run_timeout=0.5) as session,
        pytest.raises(NoAnswer),
    ):
        session.reset()
