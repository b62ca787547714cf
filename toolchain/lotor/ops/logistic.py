"""LOGISTIC: 1 / (1 + e^-x)."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops import sigmoid16
from lotor.ops.lookup import exp, table8
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call


class Logistic(Unary):
    """int8 with output scale 1/256, int16 with output scale 2^-15, float32 within 4 ulp."""

    kind = "LOGISTIC"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    uint8 = True

    def limits(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return []
        bits = 8 if x.dtype is DType.INT8 else 15
        found = [] if x.dtype is DType.INT8 else sigmoid16.input_problems(op)
        if y.q.scale != 2.0**-bits:
            found.append(f"output scale is {y.q.scale:g}; {2.0**-bits:g} needed")
        return found

    def table(self, op: Op) -> Array:
        one = np.float32(1)
        return table8(lambda x: one / (one + exp(-x)), op.input(0).q, op.outputs[0].q)

    def call(self, op: Op) -> KernelCall:
        if op.input(0).dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "logistic_float")
        return sigmoid16.sigmoid_call(op, "logistic_int16", (-12,))
