"""FLOOR_DIV: the quotient, rounded down; integers are plain numbers."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary


class FloorDiv(Binary):
    """int8, int16, int32, float32; with broadcasting.

    By zero, where the reference stops, the result is 0. Quantization does not matter, as in the
    reference: the output is not clamped, so that no limits can be folded into it.
    """

    kind = "FLOOR_DIV"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    uint8 = False
    plain = True
    wide = False

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        if not b.all():
            return None
        if a.dtype == np.float32:
            return np.floor(a.astype(np.float64) / b.astype(np.float64)).astype(np.float32)
        # In 64 bits, as the lowest number by -1 wraps.
        return (a.astype(np.int64) // b).astype(a.dtype)
