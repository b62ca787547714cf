"""The firmware's server, built for this machine with sanitizers, against a model of the link.

`Reference` says in Python what docs/link.md says in words. Streams of good, wrong and damaged
frames, cut into pieces anywhere, go to both; every answer must agree.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.movement import concatenation
from host_server import HostServer, build_host_server
from lotor.build import self_test
from lotor.compiler import compile_model
from lotor.device.compare import difference, first_bad_layer, host_outputs
from lotor.device.link import (
    ANSWER,
    DATA_BYTES,
    ERROR,
    MAX_BODY,
    NO_SEQUENCE,
    VERSION,
    ErrorCode,
    Frame,
    Request,
    encode,
)
from lotor.device.messages import Hello, Statistics
from lotor.device.session import DeviceError, Session
from lotor.host import HostModel
from tflite_builder import ModelBuilder, Quant

RANGES = 8
SEED = 0x4C4F544F
END = b"the end of this stream"


def small_models() -> list[bytes]:
    """One model with an input of several frames, and one with two inputs."""
    one = ModelBuilder(seed=1)
    x = one.input((1, 20, 20, 3), Quant(0.05, -3))
    y = one.conv2d(x, channels=4, kernel=(3, 3), activation="RELU")
    one.output(one.softmax(one.fully_connected(one.mean(y, (1, 2)), units=5)))
    two = ModelBuilder(seed=2)
    a, b = (two.input((1, 4, 4, 2), Quant(0.1, 0)) for _ in range(2))
    two.output(two.add(a, b))
    return [one.build(), two.build()]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[HostModel]:
    names = ["one", "two"]
    pairs = zip(small_models(), names, strict=True)
    return [HostModel(compile_model(model, name=name)) for model, name in pairs]


@pytest.fixture(scope="module")
def program(hosts: list[HostModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    models, tests = [host.compiled for host in hosts], [self_test(host, SEED) for host in hosts]
    return build_host_server(models, folder, sanitize=True, tests=tests)


@pytest.fixture(scope="module")
def server(program: Path) -> Iterator[HostServer]:
    with HostServer(program) as running:
        yield running


@pytest.fixture
def session(server: HostServer) -> Session:
    """A session with the first model selected; the process stays for the next test."""
    session = Session(server, "the server here", timeout=5.0)  # type: ignore[arg-type]
    server.write(b"\0")
    session.drain(quiet=0.05)
    session.select(0)
    return session


class Refused(Exception):
    """The reference answers with an error."""


@dataclass
class Reference:
    """What a board must do, as the description of the link says."""

    hosts: list[HostModel]
    selected: int = 0
    inputs: list[bytearray] = field(default_factory=list)
    loaded: list[list[tuple[int, int]]] = field(default_factory=list)
    outputs: list[bytes] | None = None
    layers: list[int] = field(default_factory=list)
    last_run: tuple[int, int] | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.select(0)

    def select(self, index: int) -> None:
        self.selected, self.outputs, self.layers, self.last_run = index, None, [], None
        tensors = self.hosts[index].compiled.graph.inputs
        self.inputs = [bytearray(tensor.nbytes) for tensor in tensors]
        self.loaded = [[] for _ in tensors]

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def answers(self, stream: bytes) -> Iterator[Frame]:
        """What comes back for a stream that ends with a 0x00; errors without their text."""
        for piece in stream.split(b"\0")[:-1]:
            if not piece:
                continue
            body, whole = lenient_cobs(piece)
            if len(body) > MAX_BODY:
                self.count("oversized")
                yield Frame(ERROR, NO_SEQUENCE, bytes([0, ErrorCode.OVERSIZED]))
                continue
            good = whole and len(body) >= 8
            if not good or zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
                self.count("bad_crc" if good else "bad_framing")
                yield Frame(ERROR, NO_SEQUENCE, bytes([0, ErrorCode.BAD_CRC]))
                continue
            self.count("frames")
            version, kind, sequence = struct.unpack_from("<BBH", body)
            try:
                if version != VERSION:
                    self.count("unknown")
                    raise Refused(ErrorCode.UNSUPPORTED_VERSION)
                payload = self.answer(kind, sequence, body[4:-4])
                yield Frame(kind | ANSWER, sequence, payload)
            except Refused as refused:
                yield Frame(ERROR, sequence, bytes([kind, refused.args[0]]))

    def answer(self, kind: int, sequence: int, p: bytes) -> bytes:
        """The payload of one answer; only what does not depend on time."""
        lengths = {
            Request.HELLO: range(1),
            Request.SELECT: range(1, 2),
            Request.LOAD: range(6, 6 + DATA_BYTES),
            Request.RUN: range(1, 2),
            Request.READ: range(7, 8),
            Request.SELF_TEST: range(1),
            Request.PROFILE: range(2, 3),
            Request.STATISTICS: range(1),
            Request.LOG_LEVEL: range(1, 2),
            Request.RESET: range(1),
            Request.ECHO: range(2000),
        }
        if kind not in lengths:
            self.count("unknown")
            raise Refused(ErrorCode.UNKNOWN_REQUEST)
        if len(p) not in lengths[Request(kind)]:
            raise Refused(ErrorCode.BAD_PAYLOAD)
        name = Request(kind).name.lower()
        method = getattr(self, f"_{name}")
        payload: bytes = method(sequence, p) if kind == Request.RUN else method(p)
        return payload

    def _hello(self, _: bytes) -> bytes:
        return bytes([self.selected])

    def _echo(self, p: bytes) -> bytes:
        return p

    def _select(self, p: bytes) -> bytes:
        if p[0] >= len(self.hosts):
            raise Refused(ErrorCode.BAD_INDEX)
        self.select(p[0])
        return p

    def _load(self, p: bytes) -> bytes:
        index, offset = struct.unpack_from("<BI", p)
        data = p[5:]
        if index >= len(self.inputs):
            raise Refused(ErrorCode.BAD_INDEX)
        if offset + len(data) > len(self.inputs[index]):
            raise Refused(ErrorCode.OUT_OF_RANGE)
        begin, end = offset, offset + len(data)
        apart = [r for r in self.loaded[index] if r[1] < begin or r[0] > end]
        if len(apart) == RANGES:
            raise Refused(ErrorCode.BUSY)
        touching = [r for r in self.loaded[index] if r not in apart]
        merged = (min([begin, *(r[0] for r in touching)]), max([end, *(r[1] for r in touching)]))
        self.loaded[index] = [*apart, merged]
        self.inputs[index][begin:end] = data
        self.outputs = self.last_run = None
        return struct.pack("<I", end)

    def _complete(self) -> bool:
        return all(
            ranges == [(0, len(data))]
            for ranges, data in zip(self.loaded, self.inputs, strict=True)
        )

    def _run(self, sequence: int, p: bytes) -> bytes:
        if p[0] > 1:
            raise Refused(ErrorCode.OUT_OF_RANGE)
        if self.last_run != (sequence, p[0]):
            if not self._complete():
                raise Refused(ErrorCode.NOT_READY)
            self._compute([bytes(data) for data in self.inputs], bool(p[0]))
            self.last_run = (sequence, p[0])
        return struct.pack("<i", 0)

    def _compute(self, inputs: list[bytes], trace: bool) -> None:
        host = self.hosts[self.selected]
        arrays = [
            np.frombuffer(data, t.np_dtype).reshape(t.shape)
            for data, t in zip(inputs, host.compiled.graph.inputs, strict=True)
        ]
        self.outputs = host_outputs(host, *arrays)
        layers = host.layer_outputs(*arrays)
        self.layers = [zlib.crc32(layer.tobytes()) if trace else 0 for layer in layers]
        self.loaded = [[] for _ in self.loaded]
        self.count("runs")

    def _self_test(self, _: bytes) -> bytes:
        x, inputs = SEED, []
        for data in self.inputs:
            out = bytearray()
            for _byte in data:
                x ^= x << 13 & 0xFFFFFFFF
                x ^= x >> 17
                x ^= x << 5 & 0xFFFFFFFF
                out.append(x >> 24)
            inputs.append(bytes(out))
        self._compute(inputs, trace=False)
        self.last_run = None
        assert self.outputs is not None
        crc = zlib.crc32(b"".join(self.outputs))
        return struct.pack("<IIi", crc, crc, 0)

    def _read(self, p: bytes) -> bytes:
        index, offset, length = struct.unpack("<BIH", p)
        sizes = [t.nbytes for t in self.hosts[self.selected].compiled.graph.outputs]
        if index >= len(sizes):
            raise Refused(ErrorCode.BAD_INDEX)
        if length > DATA_BYTES or offset + length > sizes[index]:
            raise Refused(ErrorCode.OUT_OF_RANGE)
        if self.outputs is None:
            raise Refused(ErrorCode.NOT_READY)
        output: bytes = self.outputs[index]
        return output[offset : offset + length]

    def _profile(self, p: bytes) -> bytes:
        (first,) = struct.unpack("<H", p)
        if first > len(self.layers):
            raise Refused(ErrorCode.OUT_OF_RANGE)
        crcs = self.layers[first:]
        head = struct.pack("<HHH", first, len(crcs), len(self.layers))
        return head + struct.pack(f"<{len(crcs)}I", *crcs)

    def _statistics(self, _: bytes) -> bytes:
        return repr(sorted(self.counts.items())).encode()

    def _log_level(self, p: bytes) -> bytes:
        if p[0] > 3:
            raise Refused(ErrorCode.OUT_OF_RANGE)
        return p


def lenient_cobs(piece: bytes) -> tuple[bytes, bool]:
    """The bytes of a block that may be cut short, and whether it is whole."""
    out, position = bytearray(), 0
    while position < len(piece):
        code = piece[position]
        block = piece[position + 1 : position + code]
        out += block
        position += code
        if len(block) != code - 1:
            return bytes(out), False
        if code != 0xFF and position < len(piece):
            out.append(0)
    return bytes(out), True


def timeless(frame: Frame, base: Statistics) -> Frame:
    """An answer of the server without what depends on time, in the form of the reference."""
    p = frame.payload
    if frame.type == ERROR:
        assert p[2:], "an error without words"
        p = p[:2]
    elif frame.type == Request.RUN | ANSWER:
        p = p[:4]
    elif frame.type == Request.SELF_TEST | ANSWER:
        p = p[:12]
    elif frame.type == Request.PROFILE | ANSWER:
        p = p[:6] + b"".join(p[at + 8 : at + 12] for at in range(6, len(p), 12))
    elif frame.type == Request.HELLO | ANSWER:
        p = bytes([Hello.parse(p).selected or 0])
    elif frame.type == Request.STATISTICS | ANSWER:
        now = Statistics.parse(p)
        names = ["frames", "bad_crc", "bad_framing", "oversized", "unknown", "runs"]
        counts = [(name, getattr(now, name) - getattr(base, name)) for name in names]
        p = repr(sorted(c for c in counts if c[1])).encode()
    return Frame(frame.type, frame.sequence, p)


INPUTS, OUTPUTS = (1200, 32), (5, 32)  # bytes of one input and output of each model
sequences = st.sampled_from([1, 2, 0xFFFE])
indices = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 255])


def ranges(draw: st.DrawFn, sizes: tuple[int, ...]) -> tuple[int, int]:
    """An offset and a length, often at the end of a buffer or just over it."""
    size = draw(st.sampled_from(sizes))
    length = draw(st.sampled_from([0, 1, 2, 5, 16, 32, 176, 1024, 1025, 1035]))
    over = draw(st.sampled_from([0, 0, 0, 1, 2]))
    place = st.sampled_from([0, size - length + over, size, 2**32 - length, 2**32 - 1])
    return draw(place | st.integers(0, size)) % 2**32, length


def load(index: int, offset: int, data: bytes) -> Frame:
    return Frame(Request.LOAD, 10, struct.pack("<BI", index, offset) + data)


def run(draw: st.DrawFn) -> Frame:
    return Frame(Request.RUN, draw(sequences), bytes([draw(st.sampled_from([0, 0, 1, 1, 2]))]))


def one_request(draw: st.DrawFn) -> Frame:
    """A request that need not make sense."""
    kind = draw(st.sampled_from([*Request, 0, 0x10, 0x3F, 0x40, 0x7F]))
    payload = b""
    if kind in (Request.SELECT, Request.LOG_LEVEL):
        payload = bytes([draw(indices | st.integers(0, 255))])
    elif kind == Request.RUN:
        payload = run(draw).payload
    elif kind == Request.LOAD:
        offset, length = ranges(draw, INPUTS)
        payload = load(draw(indices), offset, b"\x5a" * length).payload
    elif kind == Request.READ:
        payload = struct.pack("<BIH", draw(indices), *ranges(draw, OUTPUTS))
    elif kind == Request.PROFILE:
        payload = struct.pack("<H", draw(st.sampled_from([0, 1, 3, 4, 5, 65535])))
    elif kind == Request.ECHO:
        payload = draw(st.binary(max_size=300))
    if draw(st.integers(0, 5)) == 0:
        payload = draw(st.sampled_from([payload + b"\0", payload[:-1], b""]))
    if kind == Request.RESET and not payload:
        payload = b"no"  # a reset forgets what was sent after it: tested by itself
    return Frame(kind, draw(sequences), payload)


def whole_inputs(draw: st.DrawFn) -> list[Frame]:
    """Select a model and load all of its inputs, in pieces of any size and order."""
    model = draw(st.integers(0, 1))
    size, fill = INPUTS[model], draw(st.binary(min_size=1, max_size=20))
    data = (fill * size)[:size]
    frames = []
    for index in range(1 + model):
        cuts = draw(st.lists(st.integers(1, size - 1), max_size=12, unique=True))
        places = [0, *sorted([*cuts, *range(DATA_BYTES, size, DATA_BYTES)]), size]
        pieces = draw(st.permutations(list(pairwise(places))))
        frames += [load(index, a, data[a:b]) for a, b in pieces]
    return [Frame(Request.SELECT, 9, bytes([model])), *frames]


def edges(draw: st.DrawFn) -> list[Frame]:
    """Ranges that end exactly at the end of an input or output, one beyond, or wrap around."""
    model = draw(st.integers(0, 1))
    frames = []
    for size in (INPUTS[model], OUTPUTS[model]):
        for offset, length in [(size - 1, 1), (size - 1, 2), (size, 1), (2**32 - 2, 3)]:
            frames.append(load(0, offset, b"e" * length))
            frames.append(Frame(Request.READ, 3, struct.pack("<BIH", 0, offset, length)))
    some = draw(st.lists(st.sampled_from(frames), min_size=1, max_size=8))
    return [Frame(Request.SELECT, 9, bytes([model])), *some]


def scattered(draw: st.DrawFn) -> list[Frame]:
    """More separate ranges than a board remembers."""
    places = draw(st.permutations(range(0, 24, 2)))
    return [load(0, place, b"x") for place in places[: draw(st.integers(6, 12))]]


def aftermath(draw: st.DrawFn) -> list[Frame]:
    """What may follow a run: reads, the same run again, single loads, a self-test."""
    reads = [
        Frame(Request.READ, 3, struct.pack("<BIH", 0, offset, length))
        for size in OUTPUTS
        for offset, length in [(0, size), (1, size), (size - 1, 1), (size, 0), (2**32 - 1, 2)]
    ]
    again = [Frame(Request.RUN, 1, b"\0"), Frame(Request.RUN, 1, b"\1"), run(draw)]
    profile = Frame(Request.PROFILE, 3, b"\0\0")
    others = [load(0, 0, b"y"), Frame(Request.SELF_TEST, 3), Frame(Request.STATISTICS, 3)]
    known = [*again, *again, *reads, profile, *others]
    return draw(st.lists(st.sampled_from(known), min_size=1, max_size=6))


def damaged(draw: st.DrawFn) -> bytes:
    """Bytes that are no frame, or a frame of another version."""
    wire = encode(one_request(draw))
    choice = draw(st.integers(0, 4))
    if choice == 0:
        return draw(st.binary(max_size=60)) + b"\0"
    if choice == 1:
        size = draw(st.sampled_from([1047, 1048, 1049, 1053, 1054, 1055, 3000]))
        return draw(st.sampled_from([b"\x01", b"\x02", b"\x5a", b"\xff"])) * size + b"\0"
    if choice == 2:
        return wire[: draw(st.integers(0, len(wire)))] + b"\0"
    if choice == 3:
        place = draw(st.integers(0, len(wire) - 1))
        flipped = bytes([wire[place] ^ draw(st.integers(1, 255))])
        return wire[:place] + flipped + wire[place + 1 :] + b"\0"
    version = draw(st.integers(2, 255))
    return encode(Frame(draw(st.sampled_from(Request)), 5, b"", version))


@st.composite
def stories(draw: st.DrawFn) -> bytes:
    """Something that a host, good or bad, may send."""
    choice = draw(st.integers(0, 9))
    if choice <= 1:
        return damaged(draw)
    if choice <= 4:
        return encode(one_request(draw))
    if choice == 5:
        return b"".join(map(encode, draw(st.sampled_from([scattered, edges]))(draw)))
    frames = whole_inputs(draw)
    frames = frames[:-1] if choice == 6 else frames  # now and then the last piece is missing
    frames += [Frame(Request.RUN, 1, bytes([draw(st.integers(0, 1))])), *aftermath(draw)]
    return b"".join(map(encode, frames))


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(stories(), max_size=12), st.lists(st.integers(0, 40_000), max_size=8))
def test_every_answer_is_the_described_one(
    hosts: list[HostModel], session: Session, stream: list[bytes], cuts: list[int]
) -> None:
    session.send_bytes(b"\0" + encode(Frame(Request.SELECT, 0x5EED, b"\0")))
    while (frame := session.next_frame(5.0)) != Frame(Request.SELECT | ANSWER, 0x5EED, b"\0"):
        assert frame is not None
    base = session.statistics()
    reference = Reference(hosts)
    data = b"".join(stream) + encode(Frame(Request.ECHO, 0x0E4D, END))
    expected = list(reference.answers(data))
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    got: list[Frame] = []
    for a, b in pairwise(places):
        session.send_bytes(data[a:b])
    while not got or got[-1].payload != END:
        frame = session.next_frame(5.0)
        assert frame is not None, f"silence after {len(got)} of {len(expected)} answers"
        got.append(frame)
    assert [timeless(frame, base) for frame in got] == expected


def test_a_session_with_the_server(hosts: list[HostModel], session: Session) -> None:
    hello = session.hello()
    assert [model.name for model in hello.models] == ["one", "two"]
    rng = np.random.default_rng(3)
    for host in hosts:
        assert session.require_model(host.compiled) == hosts.index(host)
        inputs = [
            rng.integers(-128, 128, tensor.shape, dtype=np.int8)
            for tensor in host.compiled.graph.inputs
        ]
        assert difference(session, host, *inputs) is None
        assert first_bad_layer(session, host, *inputs) is None
        assert session.self_test().passed
        with pytest.raises(DeviceError, match="not ready"):
            session.run()
        total = 0
        for index, data in enumerate(inputs):
            session.load(index, data)
        total = session.run().ticks
        layers = session.profile()
        assert len(layers) == len(host.compiled.report["layers"])
        assert sum(layer.ticks for layer in layers) == total


def test_the_first_wrong_layer_is_named(hosts: list[HostModel], session: Session) -> None:
    """Other inputs than the host's stand for a board that computes something else."""
    x = np.zeros((1, 20, 20, 3), np.int8)

    class Wrong:
        compiled = hosts[0].compiled

        def run(self, data: np.ndarray) -> np.ndarray:
            return np.asarray(hosts[0].run(data)) ^ 1

        def layer_outputs(self, data: np.ndarray) -> list[np.ndarray]:
            layers = [layer.copy() for layer in hosts[0].layer_outputs(data)]
            layers[2] ^= 1
            return layers

    found = difference(session, Wrong(), x)  # type: ignore[arg-type]
    assert found is not None
    name = hosts[0].compiled.report["layers"][2]["name"]
    assert (found.layer, found.name, found.bytes_wrong) == (2, name, 5)
    assert str(found) == (f"5 output bytes differ from the host's; layer 2 ({name}) differs first")


def test_a_reset_starts_anew(program: Path) -> None:
    with HostServer(program) as server:
        session = Session(server, "the server here", timeout=5.0)  # type: ignore[arg-type]
        session.select(1)
        session.load_piece(0, 0, bytes(10))
        assert session.statistics().frames == 4
        session.reset()
        assert session.model.name == "one"
        assert session.statistics().frames == 2


def test_a_layer_that_writes_scattered_bytes_is_not_blamed(tmp_path: Path) -> None:
    """Two layers that write their channels of a larger tensor, which a third one reads."""
    m, q = ModelBuilder(seed=3), Quant(0.05, 3)
    x = m.input((1, 4, 4, 4), q)
    a, b = (m.conv2d(x, 4, (3, 3), quant=q) for _ in range(2))
    m.output(m.conv2d(concatenation(m, [a, b], 3), 4, (3, 3)))
    host = HostModel(compile_model(m.build(), name="joined"))
    assert [layer.output.dense for layer in host.compiled.layers] == [False, False, True]
    inputs = np.arange(64, dtype=np.int8).reshape(1, 4, 4, 4)
    with HostServer(build_host_server([host.compiled], tmp_path)) as server:
        session = Session(server, "the server here", timeout=5.0)  # type: ignore[arg-type]
        session.select(0)
        assert difference(session, host, inputs) is None
        assert first_bad_layer(session, host, inputs) is None
