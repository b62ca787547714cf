"""What the compiler must know of an operator, and what it becomes."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lotor.graph import Array, DType, Op, Tensor


@dataclass(frozen=True)
class CFunction:
    """A C function that kernels are given: the name of its type, and the text that defines it."""

    type: str
    text: str


@dataclass
class KernelCall:
    """A call of a C kernel: `KERNEL_VARIANT(&params, inputs, constants, outputs)`.

    An operator becomes one or several of them. A tensor among the outputs that nothing reads is
    scratch memory.

    Attributes:
        kernel: folder under `kernels/`.
        function: the C function is `lotor_FUNCTION_VARIANT`, its parameters
            `struct lotor_FUNCTION_params`.
        inputs: tensors read; constants among them are emitted as arrays.
        outputs: tensors written.
        params: fields of the parameter structure; a string is a C name.
        constants: further constant arrays, in the order of the C arguments.
        alias: the output is the input under another shape; nothing is called.
        structure: the function whose parameter structure it takes; None for its own.
        functions: C functions that the parameters name.
    """

    kernel: str
    function: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    params: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    alias: bool = False
    structure: str | None = None
    functions: Mapping[str, "CFunction"] = field(default_factory=dict)


@dataclass(frozen=True)
class Stripe:
    """What some rows of a layer's output [1, H, ...] need.

    Attributes:
        rows: for every input the rows (first, end) of its axis 1; None where all of it is needed.
        attrs: the attributes of a layer that computes these rows from those.
    """

    rows: tuple[tuple[int, int] | None, ...]
    attrs: Any


class Operator(abc.ABC):
    """One operator: how it is read, what is accepted, what it costs, how it lowers.

    A subclass in `ops/<op>.py` is found by itself; its kernel lies in `kernels/<op>/`.

    Attributes:
        kind: name in the model format.
        internal: whether rewrites alone make it, and no model file holds it.
        inputs: how many inputs must be present.
        outputs: how many outputs it has; None for any number.
        options: name of the table that holds its attributes, None where there is nothing to read.
        stateful: it reads and writes variables among its inputs, and checks them itself.
        clamps: its int8 and int16 outputs are clamped to `activation_range(op)` at last, so that a
            rewrite may fold limits into `Op.clamp`.
        of_shape: its outputs follow from its input's shape alone, so that `evaluate` needs no data.
    """

    kind: ClassVar[str]
    internal: ClassVar[bool] = False
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int | None] = 1
    options: ClassVar[str | None] = None
    stateful: ClassVar[bool] = False
    clamps: ClassVar[bool] = False
    of_shape: ClassVar[bool] = False

    def read(self, options: Any) -> Any:
        """Return the attributes from the option table of the model.

        A custom operator ("CUSTOM:name") gets its bytes instead of a table.
        """
        return None

    def shapes(self, op: Op) -> list[tuple[int, ...]]:
        """Return the shapes of outputs of a custom operator, whose files may leave them open."""
        return []

    @abc.abstractmethod
    def problems(self, op: Op) -> list[str]:
        """Return what stops Lotor from compiling this layer: reason and mend; empty if nothing."""

    def macs(self, op: Op) -> int:
        """Return the multiply-accumulates of one inference."""
        return 0

    def strided(self, op: Op) -> bool:
        """Return whether the layer reads and writes tensors with gaps between rows.

        Its kernel then takes the elements from one row of the last axis to the next from
        `Tensor.step`, so that the tensor can be a part of a larger one.
        """
        return False

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        """Return what the rows `first` to `end` of the output need; None if it cannot be split.

        Rows are those of axis 1; the caller sees to it that axis 0 has one element.
        """
        return None

    def evaluate(self, op: Op) -> list[Array] | None:
        """Return the outputs of a layer whose inputs are all constants, exactly.

        None where only the device can compute it. Called before `problems`: inputs may be wrong.
        """
        return None

    @abc.abstractmethod
    def lower(self, op: Op) -> list[KernelCall]:
        """Return the kernel calls, in order; only after `problems` found none."""


def elementwise_stripe(op: Op, first: int, end: int) -> Stripe | None:
    """Return what rows of a layer need that works element by element, with broadcasting."""
    y = op.outputs[0]
    rows: list[tuple[int, int] | None] = []
    for x in op.inputs:
        shape = () if x is None else (1,) * (len(y.shape) - len(x.shape)) + x.shape
        same = len(shape) > 1 and shape[1] == y.shape[1] > 1
        if same and x is not None and (x.data is not None or len(x.shape) != len(y.shape)):
            return None  # constants are not cut
        rows.append((first, end) if same else None)
    return Stripe(tuple(rows), op.attrs)


def dtype_problems(tensors: Sequence[Tensor], *allowed: DType) -> list[str]:
    """Return a line for each tensor whose type is not among the allowed ones."""
    names = " or ".join(dtype.value for dtype in allowed)
    return [
        f"tensor '{tensor.name}' is {tensor.dtype.value}; {names} needed"
        for tensor in tensors
        if tensor.dtype not in allowed
    ]


def int8_problems(*tensors: Tensor) -> list[str]:
    """Return a line for each tensor that is not int8 with one scale and zero point."""
    found = []
    for tensor in tensors:
        if tensor.dtype is not DType.INT8:
            found.append(
                f"tensor '{tensor.name}' is {tensor.dtype.value}, int8 needed; "
                "quantize the model to full int8"
            )
        elif tensor.quant is None or tensor.quant.per_channel:
            found.append(f"activation '{tensor.name}' needs one scale and zero point")
        elif not -128 <= tensor.q.zero_point <= 127:
            found.append(f"'{tensor.name}' has zero point {tensor.q.zero_point}, no int8 value")
    return found


def same_quantization_problems(first: Tensor, second: Tensor) -> list[str]:
    """Return a line if two tensors do not share scale and zero point."""
    a, b = first.q, second.q
    if a.scale == b.scale and a.zero_point == b.zero_point:
        return []
    return [f"'{first.name}' and '{second.name}' must share one scale and zero point"]
