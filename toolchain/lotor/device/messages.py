"""What a board says in its answers, as typed records.

Every class has `parse(payload)`, which raises `FrameError` where the payload is not of its form.
Unknown tags are skipped, so that an older host reads a newer board.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

from lotor.device.link import ErrorCode, FrameError, tlv_items


class LogLevel(IntEnum):
    """How much a log line matters; a board sends the lines up to its level."""

    ERROR = 0
    WARNING = 1
    INFO = 2
    DEBUG = 3


class FaultReason(IntEnum):
    """What stopped the program before the last reset."""

    HARD_FAULT = 1
    MEM_MANAGE = 2
    BUS_FAULT = 3
    USAGE_FAULT = 4
    STACK_OVERFLOW = 5
    ASSERT = 6
    WATCHDOG = 7
    NMI = 8

    def seen_by(self, target: str) -> "FaultReason":
        """Return what a core reports: an Armv6-M has one exception for most faults."""
        own = {FaultReason.MEM_MANAGE, FaultReason.BUS_FAULT, FaultReason.USAGE_FAULT}
        return FaultReason.HARD_FAULT if target == "cortex-m0plus" and self in own else self


class ResetReason(IntEnum):
    """Why the program on the board started."""

    UNKNOWN = 0
    POWER = 1
    PIN = 2
    REQUEST = 3
    FAULT = 4
    WATCHDOG = 5


@dataclass(frozen=True)
class LogLine:
    """One line that the board sent on its own."""

    level: int
    text: str

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the payload of a log frame."""
        (level,) = _unpack("<B", payload[:1])
        return cls(level, _text(payload[1:]))

    def __str__(self) -> str:
        return f"{_name(LogLevel, self.level)}: {self.text}"


@dataclass(frozen=True)
class ModelInfo:
    """One model in the image: the hash of its .tflite, and its buffers in bytes."""

    index: int
    name: str
    hash: str
    arena_bytes: int
    layers: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read one model of a hello."""
        index, arena, layers, n_in, n_out = _unpack("<BIIBB", payload[:11])
        sizes_at, name_at = 43, 43 + 4 * (n_in + n_out)
        sizes = _unpack(f"<{n_in + n_out}I", payload[sizes_at:name_at])
        digest = payload[11:43].hex()
        name = _text(payload[name_at:])
        return cls(index, name, digest, arena, layers, sizes[:n_in], sizes[n_in:])


@dataclass(frozen=True)
class Fault:
    """The record of a fault, kept across the reset that followed it.

    `layer` is the layer that ran, or -1; the registers are those of the moment of the fault.
    """

    reason: int
    layer: int
    registers: dict[str, int]
    note: str = ""

    _REGISTERS = ("r0", "r1", "r2", "r3", "r12", "lr", "pc", "psr", "cfsr", "hfsr", "mmfar", "bfar")

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a fault record of a hello."""
        reason, layer, *registers = _unpack("<Bi12I", payload[:53])
        return cls(
            reason, layer, dict(zip(cls._REGISTERS, registers, strict=True)), _text(payload[53:])
        )

    @property
    def name(self) -> str:
        """The reason as words, e.g. "usage fault"."""
        return _name(FaultReason, self.reason)

    def __str__(self) -> str:
        where = f" in layer {self.layer}" if self.layer >= 0 else ""
        r = self.registers
        text = f"{self.name}{where} at pc 0x{r['pc']:08x}, lr 0x{r['lr']:08x}"
        if r["cfsr"]:
            text += f", CFSR 0x{r['cfsr']:08x} ({', '.join(cfsr_bits(r['cfsr']))})"
        return f"{text}: {self.note}" if self.note else text


# Bits of the Configurable Fault Status Register (ARMv7-M Architecture Reference Manual, B3.2.15).
_CFSR = {
    0: "instruction access violation",
    1: "data access violation",
    3: "MemManage on unstacking",
    4: "MemManage on stacking",
    5: "MemManage in lazy FP stacking",
    7: "MMFAR valid",
    8: "instruction bus error",
    9: "precise data bus error",
    10: "imprecise data bus error",
    11: "bus fault on unstacking",
    12: "bus fault on stacking",
    13: "bus fault in lazy FP stacking",
    15: "BFAR valid",
    16: "undefined instruction",
    17: "invalid state",
    18: "invalid PC load",
    19: "no coprocessor",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}


def cfsr_bits(cfsr: int) -> list[str]:
    """Return what the set bits of a Configurable Fault Status Register mean."""
    return [_CFSR.get(bit, f"bit {bit}") for bit in range(32) if cfsr >> bit & 1]


class UpdateOutcome(IntEnum):
    """How the last update ended."""

    NONE = 0
    CONFIRMED = 1
    ROLLED_BACK = 2
    FELL_BACK = 3


class UpdateReason(IntEnum):
    """Why a board gave an image up."""

    UNKNOWN = 0
    FAULT = 1
    WATCHDOG = 2
    POWER = 3
    PIN = 4
    RESET = 5
    SELF_TEST = 6
    DAMAGED = 7
    SIGNATURE = 8


_REASONS = {
    UpdateReason.UNKNOWN: "nobody knows why",
    UpdateReason.WATCHDOG: "the watchdog reset it before it confirmed",
    UpdateReason.POWER: "the power was cut before it confirmed",
    UpdateReason.PIN: "the board was reset by its pin before it confirmed",
    UpdateReason.RESET: "the board was reset before it confirmed",
    UpdateReason.DAMAGED: "flash did not hold what its header says",
    UpdateReason.SIGNATURE: "its signature is not by the board's key",
}


@dataclass(frozen=True)
class UpdateState:
    """What a board that takes updates says of them.

    Attributes:
        slot: the slot that runs, 0 or 1.
        on_trial: whether its image has yet to confirm.
        version: of the running image.
        address: where an image for the free slot must be linked.
        capacity: bytes an image may have.
        unit: pieces of an update are multiples of so many bytes.
        key_id: of the key whose signatures it takes, hexadecimal; zeros: it takes any image.
        outcome: of the last update, an `UpdateOutcome`.
        last_version: of the image that the outcome speaks of.
        reason: why that image was given up, an `UpdateReason`.
        detail: a fault's reason, or the index of the model whose self-test failed.
        layer: that ran when a fault stopped it, or -1.
        pc: where a fault stopped it.
    """

    slot: int
    on_trial: bool
    version: int
    address: int
    capacity: int
    unit: int
    key_id: str
    outcome: int
    last_version: int
    reason: int
    detail: int
    layer: int
    pc: int

    _FORM = struct.Struct("<BBIIII8sBIBBhI")

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the item of a hello."""
        if len(payload) != cls._FORM.size:
            raise FrameError(f"{len(payload)} bytes about updates; {cls._FORM.size} belong there")
        values = list(cls._FORM.unpack(payload))
        values[1], values[6] = bool(values[1]), values[6].hex()
        return cls(*values)

    @property
    def takes_unsigned(self) -> bool:
        """Whether the board takes images without a signature."""
        return not int(self.key_id, 16)

    def why(self, models: Sequence[str] = ()) -> str:
        """Say why the last image was given up; `models` are the names of those in it."""
        if self.reason == UpdateReason.FAULT:
            layer = f" in layer {self.layer}" if self.layer >= 0 else ""
            return f"{_name(FaultReason, self.detail)}{layer} at pc 0x{self.pc:08x}"
        if self.reason == UpdateReason.WATCHDOG and self.layer >= 0:
            return f"{_REASONS[UpdateReason.WATCHDOG]}, in layer {self.layer}"
        if self.reason == UpdateReason.SELF_TEST:
            known = self.detail < len(models)
            model = models[self.detail] if known else f"model {self.detail}"
            return f"the self-test of {model} failed"
        if self.reason in set(UpdateReason):
            return _REASONS[UpdateReason(self.reason)]
        return f"reason {self.reason}"

    def __str__(self) -> str:
        now = "on trial" if self.on_trial else "confirmed"
        text = f"version {self.version} in slot {self.slot}, {now}"
        if self.outcome in (UpdateOutcome.ROLLED_BACK, UpdateOutcome.FELL_BACK):
            text += f"; version {self.last_version} was given up: {self.why()}"
        return text


@dataclass(frozen=True)
class CameraInfo:
    """The board's camera: kind and format of its pixels by their numbers, size in pixels."""

    kind: int
    format: int
    width: int
    height: int
    frame_bytes: int

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the camera of a hello."""
        return cls(*_unpack("<BBHHI", payload))


@dataclass(frozen=True)
class OutputInfo:
    """An output that an alarm or the host switches: milliseconds on at most, and off at least."""

    index: int
    max_on_ms: int
    rest_ms: int
    name: str

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read one output of a hello."""
        index, most, rest = _unpack("<BII", payload[:9])
        return cls(index, most, rest, _text(payload[9:]))


@dataclass(frozen=True)
class ServoInfo:
    """An output that is a servo: its pulses in microseconds, at least, at most, off and on."""

    index: int
    min_us: int
    max_us: int
    rest_us: int
    act_us: int

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read one servo of a hello."""
        return cls(*_unpack("<B4H", payload))


@dataclass(frozen=True)
class Hello:
    """Who answers: the board, its image and its models.

    `clock` is in Hz; `tick_unit` is "instructions" on an emulated board, "cycles" on a real one, or
    "nanoseconds" where Linux runs on it; `selected` is an index into `models`, or None
    when no model is.
    """

    board: str = ""
    chip: str = ""
    version: str = ""
    build_id: str = ""
    clock: int = 0
    tick_unit: str = "cycles"
    arena_bytes: int = 0
    max_payload: int = 0
    selected: int | None = None
    models: tuple[ModelInfo, ...] = ()
    fault: Fault | None = None
    resets: int = 0
    reset_reason: int = 0
    camera: CameraInfo | None = None
    outputs: tuple[OutputInfo, ...] = ()
    servos: tuple[ServoInfo, ...] = ()
    update: UpdateState | None = None

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the answer to hello."""
        values: dict[str, Any] = {}
        outputs: list[OutputInfo] = []
        servos: list[ServoInfo] = []
        models: list[ModelInfo] = []
        texts = {1: "board", 2: "chip", 3: "version", 6: "tick_unit"}
        words = {5: "clock", 7: "arena_bytes", 8: "max_payload", 12: "resets", 13: "reset_reason"}
        for tag, value in tlv_items(payload):
            if tag in texts:
                values[texts[tag]] = _text(value)
            elif tag in words:
                (values[words[tag]],) = _unpack("<I", value)
            elif tag == 4:
                values["build_id"] = value.hex()
            elif tag == 9:
                (index,) = _unpack("<B", value)
                values["selected"] = None if index == 0xFF else index
            elif tag == 10:
                models.append(ModelInfo.parse(value))
            elif tag == 11:
                values["fault"] = Fault.parse(value)
            elif tag == 14:
                values["update"] = UpdateState.parse(value)
            elif tag == 30:
                values["camera"] = CameraInfo.parse(value)
            elif tag == 31:
                outputs.append(OutputInfo.parse(value))
            elif tag == 32:
                servos.append(ServoInfo.parse(value))
        return cls(**values, models=tuple(models), outputs=tuple(outputs), servos=tuple(servos))


@dataclass(frozen=True)
class RunResult:
    """A finished run: 0 or the model's negative error, and how many ticks it took."""

    result: int
    ticks: int

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the answer to run."""
        return cls(*_unpack("<iQ", payload))


@dataclass(frozen=True)
class SelfTest:
    """The board's own inference on a fixed pseudo-random input."""

    crc: int
    expected: int
    result: int
    ticks: int

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the answer to self_test."""
        return cls(*_unpack("<IIiQ", payload))

    @property
    def passed(self) -> bool:
        """Whether the outputs are those that the host computed when it built the image."""
        return self.result == 0 and self.crc == self.expected


@dataclass(frozen=True)
class LayerProfile:
    """One layer of the last run: its ticks, and the CRC-32 of its output (0 without trace)."""

    ticks: int
    crc: int


@dataclass(frozen=True)
class ProfilePart:
    """One answer to profile: the layers from `first` on, of `total`."""

    first: int
    total: int
    layers: tuple[LayerProfile, ...]

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the answer to profile."""
        first, count, total = _unpack("<HHH", payload[:6])
        if len(payload) != 6 + 12 * count:
            raise FrameError(f"a profile of {count} layers has {len(payload)} bytes")
        rows = struct.iter_unpack("<QI", payload[6:])
        return cls(first, total, tuple(LayerProfile(*row) for row in rows))


@dataclass(frozen=True)
class Statistics:
    """Counters since the last reset; those that a board does not know stay None.

    Bytes are high-water marks; `ticks` are in the hello's tick unit.
    """

    frames: int | None = None
    bad_crc: int | None = None
    bad_framing: int | None = None
    oversized: int | None = None
    unknown: int | None = None
    runs: int | None = None
    stack_bytes: int | None = None
    stack_size: int | None = None
    arena_bytes: int | None = None
    ticks: int | None = None
    overruns: int | None = None
    other: dict[int, int] = field(default_factory=dict)

    _TAGS = (
        "frames", "bad_crc", "bad_framing", "oversized", "unknown", "runs", "stack_bytes",
        "stack_size", "arena_bytes", "ticks", "overruns",
    )  # fmt: skip

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the answer to statistics."""
        known: dict[str, int] = {}
        other: dict[int, int] = {}
        for tag, value in tlv_items(payload):
            number = int.from_bytes(value, "little")
            if 1 <= tag <= len(cls._TAGS):
                known[cls._TAGS[tag - 1]] = number
            else:
                other[tag] = number
        return cls(**known, other=other)


@dataclass(frozen=True)
class Refusal:
    """An error answer: the request that it refuses, the code and the board's words."""

    request: int
    code: int
    text: str

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read an error answer."""
        request, code = _unpack("<BB", payload[:2])
        return cls(request, code, _text(payload[2:]))

    def __str__(self) -> str:
        return f"{self.text or _name(ErrorCode, self.code)} (error {self.code})"


def _unpack(form: str, data: bytes) -> tuple[int, ...]:
    if len(data) != struct.calcsize(form):
        raise FrameError(f"an answer of {len(data)} bytes where {struct.calcsize(form)} belong")
    return struct.unpack(form, data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _name(kind: type[IntEnum], value: int) -> str:
    try:
        return kind(value).name.lower().replace("_", " ")
    except ValueError:
        return f"{kind.__name__} {value}"
