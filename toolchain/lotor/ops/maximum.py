"""MAXIMUM: the larger of two elements; integers as they are."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary


class Maximum(Binary):
    """int8, int16, int32, float32; with broadcasting.

    Quantized numbers are compared and copied without regard to their scales, as in the reference:
    the output is not clamped, so that no limits can be folded into it.
    """

    kind = "MAXIMUM"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    plain = True

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.where(a > b, a, b)
