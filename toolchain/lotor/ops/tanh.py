"""TANH: the hyperbolic tangent."""

from lotor.graph import Array, DType, Op
from lotor.ops import sigmoid16
from lotor.ops.lookup import table8, tanh
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call


class Tanh(Unary):
    """int8, int16 with output scale 2^-15, float32 within 4 ulp."""

    kind = "TANH"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    uint8 = True

    def limits(self, op: Op) -> list[str]:
        y = op.outputs[0]
        if y.dtype is not DType.INT16:
            return []
        found = sigmoid16.input_problems(op)
        if sigmoid16.binary_exponent(y.q.scale) != -15:
            found.append(f"output scale is {y.q.scale:g}; {2.0**-15:g} needed")
        return found

    def table(self, op: Op) -> Array:
        return table8(tanh, op.input(0).q, op.outputs[0].q)

    def call(self, op: Op) -> KernelCall:
        if op.input(0).dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "tanh_float")
        return sigmoid16.sigmoid_call(op, "tanh_int16", (-12, -11))
