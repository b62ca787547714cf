"""What operators of two inputs that work element by element share."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.activation import float_activation_range
from lotor.ops.broadcast import broadcast_call, broadcast_problems
from lotor.ops.operator import KernelCall, Operator, Stripe, dtype_problems, elementwise_stripe
from lotor.ops.quantization import (
    Activation,
    activation_problems,
    activation_range,
)
from lotor.ops.typed import suffix, typed_problems

_FOLDED = (DType.INT32, DType.INT64, DType.FLOAT32, DType.BOOL)


@dataclass(frozen=True)
class FusedAttributes:
    """Fused activation number."""

    activation: int


class Binary(Operator):
    """Two inputs of one type and broadcasting; the output of their type too.

    Attributes:
        dtypes: the types that it takes, as far as the reference does.
        uint8: whether the reference has it for uint8 too.
        plain: whether its integers are plain numbers, so that quantization does not matter.
        truth: whether the output is bool.
        wide: whether constants of int64 are folded.
    """

    inputs = 2
    dtypes: ClassVar[tuple[DType, ...]]
    uint8: ClassVar[bool] = True
    plain: ClassVar[bool] = False
    truth: ClassVar[bool] = False
    wide: ClassVar[bool] = True

    def problems(self, op: Op) -> list[str]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        alike = [a, b] if self.truth else [a, b, y]
        if self.plain:
            found = dtype_problems([a], *self.dtypes) or dtype_problems(alike, a.dtype)
        else:
            found = typed_problems(alike, *self.dtypes)
        if self.truth:
            found += dtype_problems([y], DType.BOOL)
        found += broadcast_problems([a, b], y)
        if op.uint8 and not self.uint8:
            found.append("the reference has no uint8 form of it; quantize the model to full int8")
        found += activation_problems(getattr(op.attrs, "activation", 0))
        return found or self.limits(op)

    def limits(self, op: Op) -> list[str]:
        """Return what else stops a layer whose types, shapes and quantization are in order."""
        return []

    def strided(self, op: Op) -> bool:
        return True

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def lower(self, op: Op) -> list[KernelCall]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        kernel = self.kind.lower()
        function = f"{kernel}{suffix(a.dtype)}"
        return [broadcast_call(kernel, function, [a, b], y, self.params(op))]

    def params(self, op: Op) -> dict[str, int | float]:
        """Return the kernel's parameters besides the walk over the tensors."""
        return {}

    def evaluate(self, op: Op) -> list[Array] | None:
        values = constant_inputs(op, 2)
        if values is None or activation_problems(getattr(op.attrs, "activation", 0)):
            return None
        a, b = op.input(0), op.input(1)
        y, dtype = op.outputs[0], a.dtype
        usable = dtype in self.dtypes or (self.wide and dtype is DType.INT64)
        if not usable or b.dtype is not dtype or broadcast_problems([a, b], y):
            return None
        if y.dtype is not (DType.BOOL if self.truth else dtype):
            return None
        # Integers wrap and floats overflow, as in the reference.
        with np.errstate(all="ignore"):
            result = self.compute(op, *values)
        return None if result is None else [result]

    @abc.abstractmethod
    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        """Return the layer's value for int32, int64, float32 or bool; None where it has none."""


def constant_inputs(op: Op, count: int) -> list[Array] | None:
    """Return the inputs of a layer that can be folded; None if it cannot."""
    values = []
    for tensor in op.inputs[:count]:
        if tensor is None or tensor.data is None or tensor.dtype not in _FOLDED:
            return None
        values.append(tensor.data)
    return values if len(values) == count else None


def output_range(op: Op) -> dict[str, int | float]:
    """Return `out_min` and `out_max` of a layer: its type's limits and a fused activation's."""
    dtype = op.outputs[0].dtype
    low: float
    high: float
    if dtype is DType.FLOAT32:
        low, high = float_activation_range(op)
    elif dtype in (DType.INT32, DType.INT64):
        low, high = integer_range(op)
    else:
        low, high = activation_range(op)
    return {"out_min": low, "out_max": high}


def integer_range(op: Op) -> tuple[int, int]:
    """Return the limits of a layer of plain integers."""
    limits = np.iinfo(op.outputs[0].np_dtype)
    low, high = int(limits.min), int(limits.max)
    activation = Activation(getattr(op.attrs, "activation", 0))
    return {
        Activation.NONE: (low, high),
        Activation.RELU: (0, high),
        Activation.RELU6: (0, 6),
        Activation.RELU_N1_TO_1: (-1, 1),
    }[activation]


def clamped(op: Op, x: Array) -> Array:
    """Return folded values within the limits of a fused activation; not-a-number passes."""
    limits = output_range(op)
    low, high = x.dtype.type(limits["out_min"]), x.dtype.type(limits["out_max"])
    x = np.where(x < low, low, x)
    return np.where(x > high, high, x)
