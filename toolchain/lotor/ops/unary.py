"""What operators of one input that work element by element share."""

import abc
from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall, Operator, Stripe, dtype_problems, elementwise_stripe
from lotor.ops.typed import typed_problems


class Tabulated(abc.ABC):
    """An operator whose int8 layers map every value on its own, so that a table says all."""

    @abc.abstractmethod
    def table(self, op: Op) -> Array:
        """Return int8[256]: the results of an int8 layer for -128 ... 127."""


class Unary(Operator, Tabulated):
    """Input and output of one shape and type.

    An int8 layer is a table of 256 results, computed by the compiler. The other types have kernels.

    Attributes:
        dtypes: the types that it takes, as far as the reference does.
        uint8: whether the reference has it for uint8 too.
        plain: whether its integers are plain numbers, so that quantization does not matter.
    """

    dtypes: ClassVar[tuple[DType, ...]]
    uint8: ClassVar[bool] = False
    plain: ClassVar[bool] = False

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = (dtype_problems if self.plain else typed_problems)([x, y], *self.dtypes)
        if not found and x.dtype is not y.dtype:
            found.append(f"input {x.dtype.value} and output {y.dtype.value} differ in type")
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if op.uint8 and not self.uint8:
            found.append("the reference has no uint8 form of it; quantize the model to full int8")
        return found or self.limits(op)

    def limits(self, op: Op) -> list[str]:
        """Return what else stops a layer whose types, shapes and quantization are in order."""
        return []

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def table(self, op: Op) -> Array:
        raise NotImplementedError(op.kind)  # of operators without an int8 form

    def strided(self, op: Op) -> bool:
        return op.input(0).dtype is DType.INT8

    def lower(self, op: Op) -> list[KernelCall]:
        if op.input(0).dtype is DType.INT8:
            return [table_call(op, self.table(op))]
        return [self.call(op)]

    @abc.abstractmethod
    def call(self, op: Op) -> KernelCall:
        """Return the kernel call of a layer of another type than int8."""


def table_call(op: Op, values: Array) -> KernelCall:
    """Return the call of an int8 layer by table."""
    x, y = op.input(0), op.outputs[0]
    rows = 1 if x.dense and y.dense else y.elements // y.row
    params = {"rows": rows, "row": y.elements // rows, "in_step": x.step, "out_step": y.step}
    return KernelCall("table", "table", [x], [y], params, {"values": values})


def table16_call(op: Op, values: Array) -> KernelCall:
    """Return the call of an int16 layer by a table of 513 entries and interpolation."""
    x, y = op.input(0), op.outputs[0]
    return KernelCall(
        "table", "table_int16", [x], [y], {"elements": y.elements}, {"values": values}
    )


def plain_call(op: Op, kernel: str, function: str, **params: int | float) -> KernelCall:
    """Return the call of a kernel that needs the number of elements and `params`."""
    x, y = op.input(0), op.outputs[0]
    return KernelCall(kernel, function, [x], [y], {"elements": y.elements} | params)


def float_value(op: Op) -> Array | None:
    """Return the constant input of a float32 layer, None if it is something else."""
    x = op.inputs[0]
    if x is None or x.data is None or x.dtype is not DType.FLOAT32:
        return None
    return np.asarray(x.data, np.float32)
