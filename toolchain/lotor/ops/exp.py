"""EXP: e^x."""

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import exp, table8, table16
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call, table16_call


class Exp(Unary):
    """int8, int16 by interpolation, float32 within 2 ulp."""

    kind = "EXP"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def table(self, op: Op) -> Array:
        return table8(exp, op.input(0).q, op.outputs[0].q)

    def call(self, op: Op) -> KernelCall:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "exp_float")
        return table16_call(op, table16(exp, x.q.scale, 0, y.q.scale))
