"""The intermediate representation: a graph of operators over quantized tensors."""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def short_name(name: str) -> str:
    """Return a layer's or tensor's name for people.

    The TensorFlow converter joins the names of all it has fused with ";"; the first says enough.
    """
    return name.split(";", 1)[0]


class DType(enum.Enum):
    """Element type of a tensor; the value is its name in reports and in numpy."""

    INT4 = "int4"  # constants only; `Tensor.data` holds one int8 an element
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    BOOL = "bool"
    OTHER = "of an unknown type"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy type; `OTHER` has none."""
        if self is DType.OTHER:
            raise ValueError("this element type has no numpy equivalent")
        if self is DType.INT4:
            return np.dtype(np.int8)
        found: np.dtype[Any] = np.dtype(self.value)
        return found

    @property
    def c_name(self) -> str:
        """The C type of one element."""
        return {"float32": "float", "bool": "uint8_t", "int4": "int8_t"}.get(
            self.value, f"{self.value}_t"
        )


@dataclass(frozen=True)
class Quantization:
    """Affine quantization, `real = scale * (quantized - zero_point)`.

    Attributes:
        scales: float32, one value, or one a slice along `axis`.
        zero_points: int64, as many as scales.
        axis: the axis of per-channel scales.
    """

    scales: Array
    zero_points: Array
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return self.scales.size > 1

    @property
    def scale(self) -> float:
        """The first (per-tensor: the only) scale; a float32 value."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The first (per-tensor: the only) zero point."""
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Within:
    """A tensor's place inside a larger one, so that it needs no copy.

    Attributes:
        base: the larger tensor.
        offset: bytes from its start.
        step: elements from one row (of the last axis) of the part to the next.
    """

    base: "Tensor"
    offset: int
    step: int


@dataclass(eq=False)
class Tensor:
    """A value that flows between operators, or a constant.

    Attributes:
        name: as in the model.
        shape: dimensions, outermost first; NHWC for images.
        dtype: element type.
        quant: quantization, None for plain numbers.
        data: the value of a constant, of this shape and type; None for activations.
        source: index in the model file, None for tensors made by a rewrite.
        within: the larger tensor that it is a part of in memory; None for one of its own.
        variable: it keeps its value from one run to the next.
        initial: the value of a variable before the first run; None for zeros, in int8 for the
            zero point.
        shape_signature: the model's shape with -1 where a size was left open; None without.
        unreadable: why its form is none that Lotor reads, and what to do; its type is OTHER then.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: Quantization | None = None
    data: Array | None = None
    source: int | None = None
    within: Within | None = None
    variable: bool = False
    initial: Array | None = None
    shape_signature: tuple[int, ...] | None = None
    unreadable: str = ""

    @property
    def np_dtype(self) -> np.dtype[Any]:
        """The numpy type of one element."""
        return self.dtype.numpy

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return self.elements * self.np_dtype.itemsize

    @property
    def span(self) -> int:
        """Bytes from its first element to the end of its last, gaps between rows counted."""
        rows = self.elements // self.row if self.elements else 0
        return ((rows - 1) * self.step + self.row) * self.np_dtype.itemsize if rows else 0

    @cached_property
    def packed(self) -> Array:
        """The value of an int4 constant as int8[rows of the first axis, bytes of a row].

        Two to a byte, the first in the low half, as in the model file; but every row begins at a
        byte, so that kernels need not look where in a byte theirs does. Always the same array, so
        that layers that share a constant share it packed.
        """
        if self.data is None or self.dtype is not DType.INT4:
            raise ValueError(f"tensor '{self.name}' is not an int4 constant")
        rows = (self.data.reshape(self.shape[0], -1) & 15).astype(np.uint8)
        even = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
        found: Array = (even[:, ::2] | even[:, 1::2] << 4).view(np.int8)
        return found

    @property
    def reset_value(self) -> Array:
        """What a variable holds before the first run; of this shape and type."""
        if self.initial is not None:
            return self.initial
        quantized = self.dtype is DType.INT8 and self.quant is not None
        return np.full(self.shape, self.q.zero_point if quantized else 0, self.np_dtype)

    @property
    def step(self) -> int:
        """Elements from one row (of the last axis) to the next in memory."""
        return self.within.step if self.within is not None else self.row

    @property
    def row(self) -> int:
        """Elements of the last axis; 1 for a single number."""
        return self.shape[-1] if self.shape else 1

    @property
    def dense(self) -> bool:
        """Whether its elements follow each other in memory without gaps."""
        return self.step == self.row or self.elements == self.row

    @property
    def q(self) -> Quantization:
        """Its quantization; operators ask only after their check has passed."""
        if self.quant is None:
            raise ValueError(f"tensor '{self.name}' is not quantized")
        return self.quant


@dataclass(eq=False)
class Op:
    """One operator of the graph.

    Attributes:
        kind: name in the model format, e.g. "CONV_2D".
        name: the layer's name: its first output's.
        inputs: in the model's order; None where an optional input is absent.
        outputs: in the model's order.
        attrs: the operator's own attributes, see `lotor.ops`.
        clamp: limits of the quantized output that a rewrite has folded in, besides those of a
            fused activation.
        uint8: the model has it as a uint8 operator; it was converted to int8, but some of the
            reference's uint8 kernels round in a way of their own.
        intermediates: tensors without a value, whose quantization the operator needs.
    """

    kind: str
    name: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    attrs: Any = None
    clamp: tuple[int, int] | None = None
    uint8: bool = False
    intermediates: Sequence[Tensor] = ()

    def input(self, index: int) -> Tensor:
        """Return an input that must be present."""
        tensor = self.inputs[index]
        if tensor is None:
            raise ValueError(f"layer '{self.name}' lacks input {index}")
        return tensor


@dataclass(frozen=True)
class Signature:
    """A named function of the model; names of inputs and outputs to indices in the model file."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(eq=False)
class Graph:
    """A model: operators in an order that can be run, with the tensors at its borders.

    Attributes:
        name: of the model.
        inputs: tensors that a run is given.
        outputs: tensors that a run gives.
        ops: in an order that can be run.
        signatures: the model's named functions by their key.
        labels: class names that the model file holds for an output.
        subgraphs: what CALL_ONCE layers run, by their number in the model file.
    """

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    ops: list[Op] = field(default_factory=list)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    subgraphs: Mapping[int, "Graph"] = field(default_factory=dict)
