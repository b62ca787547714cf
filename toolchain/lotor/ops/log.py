"""LOG: the natural logarithm."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import Function, log, table8, table16
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call, table16_call


class Log(Unary):
    """int8, int16 by interpolation, float32 within 2 ulp.

    Quantized inputs of zero and below give the lowest output, as in the reference.
    """

    kind = "LOG"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def table(self, op: Op) -> Array:
        return table8(_logarithm(op), op.input(0).q, op.outputs[0].q)

    def call(self, op: Op) -> KernelCall:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "log_float")
        return table16_call(op, table16(_logarithm(op), x.q.scale, 0, y.q.scale))


def _logarithm(op: Op) -> Function:
    y = op.outputs[0]
    steps = np.iinfo(y.np_dtype).min - y.q.zero_point
    lowest = np.float32(steps) * np.float32(y.q.scale)

    def function(x: Array) -> Array:
        positive = x > 0
        logarithms: Array = np.where(positive, log(np.where(positive, x, 1)), lowest)
        return logarithms

    return function
