"""ABS: the magnitude."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.fixed import requantize
from lotor.ops.lookup import BYTES, clamped8
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import factor_problems, fixed_point
from lotor.ops.unary import Unary, float_value, plain_call


class Abs(Unary):
    """int8, int16, int32 (plain numbers), float32."""

    kind = "ABS"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)

    def limits(self, op: Op) -> list[str]:
        quantized = op.input(0).dtype in (DType.INT8, DType.INT16)
        return factor_problems(_factor(op)) if quantized else []

    def table(self, op: Op) -> Array:
        magnitudes = np.abs(BYTES - op.input(0).q.zero_point)
        values = requantize(magnitudes, fixed_point(_factor(op)))  # unchanged by a factor of 1
        return clamped8(values + op.outputs[0].q.zero_point)

    def call(self, op: Op) -> KernelCall:
        x = op.input(0)
        if x.dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "abs_float")
        if x.dtype is DType.INT32:
            return plain_call(op, "elementwise", "abs_int32")
        factor = fixed_point(_factor(op))
        return plain_call(
            op,
            "elementwise",
            "abs_int16",
            multiplier=factor.multiplier,
            shift=factor.shift,
        )

    def evaluate(self, op: Op) -> list[Array] | None:
        x = float_value(op)
        return None if x is None else [np.abs(x)]


def _factor(op: Op) -> float:
    with np.errstate(over="ignore"):  # infinity is refused
        return float(np.float32(op.input(0).q.scale) / np.float32(op.outputs[0].q.scale))
