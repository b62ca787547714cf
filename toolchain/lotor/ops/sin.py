"""SIN: the sine of radians."""

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call


class Sin(Unary):
    """float32 within 3 ulp, of numbers of any size."""

    kind = "SIN"
    dtypes = (DType.FLOAT32,)

    def call(self, op: Op) -> KernelCall:
        return plain_call(op, "elementwise", "sin_float")
