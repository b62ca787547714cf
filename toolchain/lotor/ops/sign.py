"""SIGN: -1, 0 or 1."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call


class Sign(Unary):
    """int32, float32."""

    kind = "SIGN"
    dtypes = (DType.INT32, DType.FLOAT32)
    plain = True

    def call(self, op: Op) -> KernelCall:
        name = "sign_float" if op.input(0).dtype is DType.FLOAT32 else "sign_int32"
        return plain_call(op, "elementwise", name)

    def evaluate(self, op: Op) -> list[Array] | None:
        x = op.inputs[0]
        if x is None or x.data is None or x.dtype not in self.dtypes:
            return None
        return [np.sign(x.data) + x.data.dtype.type(0)]
