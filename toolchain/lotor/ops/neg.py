"""NEG: the opposite of a number as it is stored; zero points do not matter to it."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import BYTES
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call


class Neg(Unary):
    """int8, int16, int32, int64, float32; the lowest integer stays, as it has no opposite."""

    kind = "NEG"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32)
    plain = True

    def table(self, op: Op) -> Array:
        return (-BYTES).astype(np.int8)

    def call(self, op: Op) -> KernelCall:
        dtype = op.input(0).dtype
        name = "float" if dtype is DType.FLOAT32 else dtype.value
        return plain_call(op, "elementwise", f"neg_{name}")

    def evaluate(self, op: Op) -> list[Array] | None:
        x = op.inputs[0]
        if x is None or x.data is None or x.dtype not in self.dtypes:
            return None
        return [np.negative(x.data)]
