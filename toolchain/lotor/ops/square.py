"""SQUARE: the square."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, float_value, plain_call


class Square(Unary):
    """float32."""

    kind = "SQUARE"
    dtypes = (DType.FLOAT32,)

    def call(self, op: Op) -> KernelCall:
        return plain_call(op, "elementwise", "square_float")

    def evaluate(self, op: Op) -> list[Array] | None:
        x = float_value(op)
        if x is None:
            return None
        with np.errstate(over="ignore"):
            return [np.square(x)]
