"""One conversation with a board: requests, answers, time-outs and retries."""

import logging
import random
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from lotor.device.link import (
    ANSWER,
    DATA_BYTES,
    ERROR,
    EVENT,
    LOG,
    NO_SEQUENCE,
    Decoder,
    ErrorCode,
    Frame,
    FrameError,
    Request,
    encode,
)
from lotor.device.messages import (
    Fault,
    Hello,
    LayerProfile,
    LogLine,
    ModelInfo,
    ProfilePart,
    Refusal,
    RunResult,
    SelfTest,
    Statistics,
)
from lotor.device.ports import Port, is_url, locate
from lotor.errors import LotorError
from lotor.progress import Progress
from lotor.suggest import did_you_mean

if TYPE_CHECKING:
    from lotor.compiler import Compiled

Answer = TypeVar("Answer")
Array = np.ndarray[Any, Any]
Data = bytes | Array

RETRIES = 2
_ERASE_SECONDS = 10.0  # the largest sector of a chip
# Asking for these twice is asking once; a run counts because a board answers a repeated sequence
# number from its memory.
_REPEATABLE = {
    Request.HELLO,
    Request.SELECT,
    Request.LOAD,
    Request.RUN,
    Request.READ,
    Request.PROFILE,
    Request.STATISTICS,
    Request.LOG_LEVEL,
    Request.ECHO,
    Request.UPDATE_BEGIN,
    Request.UPDATE_DATA,
    Request.UPDATE_FINISH,
    Request.CAMERA_FRAME,
    Request.CAMERA_DATA,
    Request.WATCH,
    Request.EVENTS,
    Request.OUTPUT,
    Request.FRAME,
}
_MENDS: dict[int, str] = {
    ErrorCode.UNKNOWN_REQUEST: "its image is older than this program: flash it again",
    ErrorCode.UNSUPPORTED_VERSION: "its image is of another release: flash it again",
}

log = logging.getLogger(__name__)


class NoAnswer(LotorError):
    """A board did not answer in time."""


class DeviceError(LotorError):
    """A board refused a request; `code` says why, `request` which."""

    def __init__(self, where: str, request: int, refusal: Refusal) -> None:
        self.request, self.code, self.text = request, refusal.code, refusal.text
        mend = _MENDS.get(refusal.code)
        name = _request_name(request)
        super().__init__(f"{where} refused {name}: {refusal}" + (f"; {mend}" if mend else ""))


class Crashed(LotorError):
    """A board restarted while it ran a model; the text has the fault record."""


class _Restarted(Exception):
    """A board greeted the line anew while an answer was awaited."""


class Session:
    """One conversation with a board.

    Every request has a time-out. A request that may be repeated without harm is repeated up to
    `RETRIES` times; `retries` counts those. Answers that come too late are ignored by their
    sequence number; log lines go to `on_log`, events of a camera's loop to `on_event`.

    Args:
        port: an open port, closed with the session.
        where: the board in words, for errors, e.g. "board netduinoplus2 on socket://...".
        timeout: seconds to wait for an answer.
        run_timeout: seconds to wait for a run, a self-test or a reset.
        on_log: called with every log line of the board.

    Attributes:
        retries: how often a request was sent again.
        stale: how many answers came that nobody waited for.
        on_event: called with the payload of every event; None drops them.
        progress: whether a long load says on stderr how far it is; for a person's single load.
    """

    def __init__(
        self,
        port: Port,
        where: str,
        timeout: float = 2.0,
        run_timeout: float = 60.0,
        on_log: Callable[[LogLine], None] | None = None,
    ) -> None:
        self.port, self.where = port, where
        self.timeout, self.run_timeout, self.on_log = timeout, run_timeout, on_log
        self.on_event: Callable[[bytes], None] | None = None
        self.retries = self.stale = 0
        self.progress = False
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        # A start of its own keeps one session's late answers from another's requests.
        self._sequence = random.randrange(1, NO_SEQUENCE)
        self._running = False
        self._hello: Hello | None = None
        self._selected: int | None = None

    @classmethod
    def open(
        cls,
        board: str,
        timeout: float = 2.0,
        run_timeout: float = 60.0,
        on_log: Callable[[LogLine], None] | None = None,
        greet: bool = True,
    ) -> Self:
        """Open the port of a board and greet it.

        Args:
            board: a board's name, or the path or url of its port.
            timeout: seconds to wait for an answer.
            run_timeout: seconds to wait for a run, a self-test or a reset.
            on_log: called with every log line of the board.
            greet: ask for hello, and check that the board is the named one.

        Raises:
            LotorError: no such board, no port or several, a busy port, no or a wrong answer.
        """
        url, baudrate = locate(board)
        where = f"the board on {url}" if is_url(board) else f"board {board} on {url}"
        session = cls(Port(url, baudrate), where, timeout, run_timeout, on_log)
        try:
            if greet:
                name = session.hello().board
                if name != board and not is_url(board):
                    raise LotorError(
                        f"port {url} is board {name}, not {board}: use `--board {name}`, or flash "
                        f"it: `lotor flash --board {board} --model MODEL`"
                    )
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Close the port; a second call does nothing."""
        self.port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The line itself.

    def request(self, kind: int, payload: bytes = b"", timeout: float | None = None) -> bytes:
        """Send one request; return the payload of its answer.

        Args:
            kind: a `Request`, or any other type, which the board then refuses.
            payload: its payload, at most `MAX_PAYLOAD` bytes.
            timeout: seconds to wait for each answer; the session's when None.

        Raises:
            NoAnswer: no answer in time, after the retries that are safe.
            DeviceError: the board refused.
        """
        self._sequence = self._sequence % (NO_SEQUENCE - 1) + 1
        wire = encode(Frame(kind, self._sequence, payload))
        wait = self.timeout if timeout is None else timeout
        tries = 1 + (RETRIES if kind in _REPEATABLE else 0)
        for attempt in range(tries):
            if attempt:
                self.retries += 1
                log.warning("%s: retry %d of %s", self.where, attempt, _request_name(kind))
            self.port.write(b"\0" + wire)  # the 0x00 ends whatever may be half sent
            answer = self._answer(kind, wait, hasten=attempt + 1 < tries)
            if answer is not None:
                return answer
        often = f", {tries} times" if tries > 1 else ""
        raise NoAnswer(
            f"{self.where} did not answer {_request_name(kind)} within {wait:g} s{often}: "
            "is it running? see `lotor boards`"
        )

    def _answer(self, kind: int, wait: float, hasten: bool) -> bytes | None:
        """Wait for the answer to the last request; None when it does not come or was damaged."""
        until = time.monotonic() + wait
        while (frame := self.next_frame(until - time.monotonic())) is not None:
            refusal = Refusal.parse(frame.payload) if frame.type == ERROR else None
            if frame.sequence == self._sequence:
                if refusal:
                    raise DeviceError(self.where, kind, refusal)
                if frame.type == kind | ANSWER:
                    return frame.payload
            self.stale += 1
            damaged = {ErrorCode.BAD_CRC, ErrorCode.OVERSIZED}
            if hasten and refusal and frame.sequence == NO_SEQUENCE and refusal.code in damaged:
                return None  # our request arrived damaged: no need to wait for the time-out
        return None

    def next_frame(self, timeout: float) -> Frame | None:
        """Return the next frame that was asked for, or None when none comes in time."""
        until = time.monotonic() + timeout
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.type == EVENT:
                    if self.on_event:
                        self.on_event(frame.payload)
                    continue
                if frame.type != LOG:
                    return frame
                line = LogLine.parse(frame.payload)
                if self.on_log:
                    self.on_log(line)
                if self._running and self._hello and line.text == self._hello.version:
                    raise _Restarted  # a board's first line says its version
            left = until - time.monotonic()
            self._frames += self._decoder.feed(self.port.read(left))
            if not self._frames and left <= 0:
                return None

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, for tests of damaged frames."""
        self.port.write(data)

    def answers_to(self, data: bytes) -> list[Frame]:
        """Send bytes as they are and return all that comes back for them, for tests.

        An echo follows them and tells by its answer that nothing more will come.
        """
        fence = Frame(Request.ECHO, 0, b"fence")  # no request of a session has sequence 0
        self.port.write(data + b"\0" + encode(fence))
        frames: list[Frame] = []
        while (frame := self.next_frame(self.run_timeout)) is not None:
            if frame == Frame(fence.type | ANSWER, fence.sequence, fence.payload):
                return frames
            frames.append(frame)
        raise NoAnswer(f"{self.where} fell silent within {self.run_timeout:g} s of test bytes")

    def drain(self, quiet: float = 0.1) -> list[Frame]:
        """Return all frames until the line was quiet for `quiet` seconds."""
        frames = []
        while (frame := self.next_frame(quiet)) is not None:
            frames.append(frame)
        return frames

    def _ask(
        self,
        kind: Request,
        parse: Callable[[bytes], Answer],
        payload: bytes = b"",
        timeout: float | None = None,
    ) -> Answer:
        answer = self.request(kind, payload, timeout)
        try:
            return parse(answer)
        except FrameError as error:
            raise FrameError(f"{self.where} answered {_request_name(kind)} with {error}") from error

    # The requests.

    def hello(self, timeout: float | None = None) -> Hello:
        """Ask who answers."""
        self._hello = self._ask(Request.HELLO, Hello.parse, timeout=timeout)
        self._selected = self._hello.selected
        return self._hello

    @property
    def greeting(self) -> Hello:
        """The last hello; asked for when there was none."""
        return self._hello or self.hello()

    @property
    def data_bytes(self) -> int:
        """The most data bytes that one load or read may carry."""
        return min(self.greeting.max_payload or DATA_BYTES, DATA_BYTES)

    def select(self, model: str | int, quick: bool = False) -> ModelInfo:
        """Make a model of the image, by name or index, the one that runs; return it.

        Quickly it takes microseconds, but statistics then know nothing of the arena.
        """
        models = self.greeting.models
        names = [known.name for known in models]
        if isinstance(model, str) and model not in names:
            raise LotorError(
                f"{self.where} has no model {model!r}{did_you_mean(model, names)}: it has "
                f"{', '.join(names) or 'none'}"
            )
        index: int = names.index(model) if isinstance(model, str) else model
        if not 0 <= index < len(models):
            raise LotorError(f"{self.where} has no model {index}: it has {len(models)}")
        payload = bytes([index, 1] if quick else [index])
        self._ask(Request.SELECT, struct.Struct("<B").unpack, payload)
        self._selected = index
        return models[index]

    def require_model(self, compiled: "Compiled") -> int:
        """Select a compiled model by the hash of its .tflite; return its index.

        Raises:
            LotorError: the image does not hold exactly this model.
        """
        models = self.greeting.models
        for model in models:
            if model.hash == compiled.model_hash:
                self.select(model.index)
                return model.index
        have = ", ".join(f"{model.name} ({model.hash[:12]})" for model in models) or "no model"
        board = self.greeting.board
        raise LotorError(
            f"{self.where} runs {have}, not {compiled.name} ({compiled.model_hash[:12]}): "
            f"`lotor flash --board {board} --model {compiled.name}`"
        )

    def require_layers(self, compiled: "Compiled") -> None:
        """See that the selected model runs layer by layer as this one does.

        Raises:
            LotorError: it has other layers; another `--ram` or another version made it.
        """
        if self.model.layers == len(compiled.layers):
            return
        board = self.greeting.board
        ram = f" --ram {compiled.ram}" if compiled.ram is not None else ""
        if compiled.preference.optimize != "speed":
            ram += f" --optimize {compiled.preference.optimize}"
        raise LotorError(
            f"{self.where} runs {self.model.name} in {self.model.layers} layers, not "
            f"{len(compiled.layers)}: another --ram or another version made it: "
            f"`lotor flash --board {board} --model {compiled.name}{ram}`"
        )

    @property
    def model(self) -> ModelInfo:
        """The selected model.

        Raises:
            LotorError: none is selected.
        """
        models = self.greeting.models
        if self._selected is None or self._selected >= len(models):
            raise LotorError(f"no model is selected on {self.where}: select one first")
        return models[self._selected]

    def load(self, index: int, data: Data) -> None:
        """Send all bytes of one input of the selected model; long ones in pieces."""
        data = as_bytes(data)
        need = self.model.inputs
        if not 0 <= index < len(need) or len(data) != need[index]:
            limit = f"{need[index]} bytes" if 0 <= index < len(need) else f"{len(need)} inputs"
            raise LotorError(
                f"input {index} of {len(data)} bytes does not fit model {self.model.name} on "
                f"{self.where}, which takes {limit}"
            )
        label = f"load input {index} on {self.greeting.board}"
        with Progress(label, len(data), "bytes") if self.progress else nullcontext() as bar:
            for start in range(0, len(data), self.data_bytes):
                piece = data[start : start + self.data_bytes]
                self.load_piece(index, start, piece)
                if bar:
                    bar.advance(len(piece))

    def load_piece(self, index: int, offset: int, piece: bytes) -> None:
        """Send up to `data_bytes` bytes of an input, unchecked on this side."""
        payload = struct.pack("<BI", index, offset) + piece
        (end,) = self._ask(Request.LOAD, struct.Struct("<I").unpack, payload)
        if end != offset + len(piece):
            raise LotorError(
                f"{self.where} took input bytes up to {end}; {offset + len(piece)} were sent: "
                "flash it again"
            )

    def run(self, trace: bool = False) -> RunResult:
        """Run the selected model once on the loaded inputs.

        Args:
            trace: also keep a CRC-32 of every layer's output, for `profile`.

        Raises:
            Crashed: the board restarted meanwhile.
            DeviceError: inputs are missing, or the model failed.
        """
        answer = self._run(bytes([trace]))
        if answer.result != 0:
            refusal = Refusal(Request.RUN, ErrorCode.RUN_FAILED, f"the model gave {answer.result}")
            raise DeviceError(self.where, Request.RUN, refusal)
        return answer

    def _run(self, flags: bytes) -> RunResult:
        model, resets = self.model.name, self.greeting.resets
        self._running = True
        try:
            return self._ask(Request.RUN, RunResult.parse, flags, self.run_timeout)
        except (_Restarted, NoAnswer, DeviceError) as error:
            # A board that has restarted refuses the repeated request: nothing is loaded any more.
            if isinstance(error, DeviceError) and error.code != ErrorCode.NOT_READY:
                raise
            self._running = False
            hello = self._await_reset() if isinstance(error, _Restarted) else self.hello()
            if hello.resets == resets and not isinstance(error, _Restarted):
                raise
            what = f": {hello.fault}" if hello.fault else ", and kept no record of a fault"
            raise Crashed(
                f"{self.where} restarted while it ran {model}{what}; "
                f"see `lotor monitor --board {hello.board}`"
            ) from error
        finally:
            self._running = False

    def read(self, index: int = 0) -> bytes:
        """Return all bytes of one output of the last run."""
        outputs = self.model.outputs
        if not 0 <= index < len(outputs):
            raise LotorError(
                f"model {self.model.name} on {self.where} has no output {index}: it has "
                f"{len(outputs)}"
            )
        data = b""
        while len(data) < outputs[index]:
            length = min(self.data_bytes, outputs[index] - len(data))
            piece = self.read_piece(index, len(data), length)
            if len(piece) != length:
                raise FrameError(
                    f"{self.where} answered {len(piece)} of {length} output bytes: flash it again"
                )
            data += piece
        return data

    def read_piece(self, index: int, offset: int, length: int) -> bytes:
        """Return up to `data_bytes` bytes of an output, unchecked on this side."""
        return self.request(Request.READ, struct.pack("<BIH", index, offset, length))

    def infer(self, *inputs: Data, trace: bool = False) -> list[bytes]:
        """Load all inputs of the selected model, run it, and return the bytes of its outputs."""
        need = self.model.inputs
        if len(inputs) != len(need):
            raise LotorError(
                f"model {self.model.name} on {self.where} takes {len(need)} inputs; "
                f"{len(inputs)} were given"
            )
        for index, data in enumerate(inputs):
            self.load(index, data)
        self.run(trace)
        return [self.read(index) for index in range(len(self.model.outputs))]

    def profile(self) -> list[LayerProfile]:
        """Return the ticks of every layer of the last run, and CRCs when that was traced."""
        layers: list[LayerProfile] = []
        while True:
            first = struct.pack("<H", len(layers))
            part = self._ask(Request.PROFILE, ProfilePart.parse, first)
            if part.first != len(layers) or (not part.layers and len(layers) < part.total):
                raise FrameError(
                    f"{self.where} answered layers from {part.first} on; {len(layers)} were asked"
                )
            layers += part.layers
            if len(layers) >= part.total:
                return layers

    def self_test(self) -> SelfTest:
        """Let the board run the selected model on its own pseudo-random input."""
        return self._ask(Request.SELF_TEST, SelfTest.parse, timeout=self.run_timeout)

    def statistics(self) -> Statistics:
        """Return the board's counters."""
        return self._ask(Request.STATISTICS, Statistics.parse)

    def log_level(self, level: int) -> int:
        """Set how much the board logs, a `LogLevel`; return what it is now."""
        (now,) = self._ask(Request.LOG_LEVEL, struct.Struct("<B").unpack, bytes([level]))
        return int(now)

    def echo(self, data: bytes) -> bytes:
        """Send up to `MAX_PAYLOAD` bytes; return what came back."""
        return self.request(Request.ECHO, data)

    def reset(self) -> Hello:
        """Reset the board, wait until it answers again, and return its hello."""
        self.request(Request.RESET)
        return self._await_reset()

    def provoke(self, reason: int) -> Hello:
        """Provoke a fault, a `FaultReason`; return the hello after the reset that follows it.

        Only images of boards whose file says `test_faults = true` can do this.
        """
        self.request(Request.FAULT, bytes([reason]))
        return self._await_reset()

    def update_begin(self, header: bytes) -> int:
        """Begin an update, or go on with it; return where its next piece belongs.

        Args:
            header: 512 bytes, see `lotor.update_package`.
        """
        (at,) = self._ask(
            Request.UPDATE_BEGIN, struct.Struct("<I").unpack, header, self.run_timeout
        )
        return int(at)

    def update_data(self, offset: int, piece: bytes) -> int:
        """Send a piece of the image; return where the next one belongs."""
        payload = struct.pack("<I", offset) + piece
        (at,) = self._ask(Request.UPDATE_DATA, struct.Struct("<I").unpack, payload, _ERASE_SECONDS)
        return int(at)

    def update_finish(self) -> None:
        """End an update: the image is on trial at the next reset."""
        self.request(Request.UPDATE_FINISH, timeout=self.run_timeout)

    def output(self, index: int, on_ms: int, pulse_us: int | None = None) -> int:
        """Switch an output of the board's file on for a while, or off.

        Args:
            index: of the output, as hello has it.
            on_ms: milliseconds, of which the board takes its `max_on_ms` at most; 0: off. One that
                is on already stays on for as long as it was to.
            pulse_us: where a servo goes, microseconds; None: where its board's file says.

        Returns:
            For how many milliseconds it is on from now on.

        Raises:
            DeviceError: no such output, it rests, or a servo may not go there.
        """
        payload = struct.pack("<BI", index, min(max(0, on_ms), 0xFFFF_FFFF))
        if pulse_us is not None:
            payload += struct.pack("<H", min(max(0, pulse_us), 0xFFFF))
        (left,) = self._ask(Request.OUTPUT, struct.Struct("<I").unpack, payload)
        return int(left)

    def fault(self) -> Fault | None:
        """Return the record of the last fault, or None when there was none since power-up."""
        return self.hello().fault

    def _await_reset(self) -> Hello:
        """Ask for hello until the board is back; short waits, because it may miss the first."""
        self._hello, self._selected = None, None
        until = time.monotonic() + self.run_timeout
        while True:
            try:
                return self.hello(timeout=min(0.25, self.timeout))
            except NoAnswer:
                if time.monotonic() >= until:
                    raise


def as_bytes(data: Data) -> bytes:
    """Return the bytes of an array in C order, little-endian, or bytes as they are."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("<")).tobytes()


def _request_name(kind: int) -> str:
    return Request(kind).name.lower() if kind in set(Request) else f"request 0x{kind:02x}"
