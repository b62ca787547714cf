"""SQRT: the square root."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import BYTES, clamped8
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, float_value, plain_call


class Sqrt(Unary):
    """int8, int16, float32; quantized results are rounded towards zero.

    At quantized inputs below zero the reference stops with an error; here they count as zero.
    """

    kind = "SQRT"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def table(self, op: Op) -> Array:
        x, y = op.input(0).q, op.outputs[0].q
        steps = np.maximum(BYTES - x.zero_point, 0).astype(np.float32)
        with np.errstate(over="ignore"):
            real = np.sqrt(np.float32(x.scale) * steps) / np.float32(y.scale)
        whole = np.clip(real, 0, 1 << 16).astype(np.int64) + y.zero_point
        return clamped8(whole)

    def call(self, op: Op) -> KernelCall:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "sqrt_float")
        scales = {"in_scale": x.q.scale, "out_scale": y.q.scale}
        return plain_call(op, "elementwise", "sqrt_int16", **scales)

    def evaluate(self, op: Op) -> list[Array] | None:
        x = float_value(op)
        if x is None:
            return None
        with np.errstate(invalid="ignore"):
            return [np.sqrt(x)]
