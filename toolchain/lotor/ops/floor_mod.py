"""FLOOR_MOD: the rest of a division rounded down; integers are plain numbers."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary


class FloorMod(Binary):
    """int8, int16, int32, float32; with broadcasting; the result has the divisor's sign.

    Integers by zero, where the reference stops, give 0. Quantization does not matter, as in the
    reference: the output is not clamped, so that no limits can be folded into it.
    """

    kind = "FLOOR_MOD"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    uint8 = False
    plain = True

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        if a.dtype == np.float32:
            rest = np.fmod(a, b)
            return np.where((rest != 0) & ((b < 0) != (rest < 0)), rest + b, rest)
        if not b.all():
            return None
        return np.where(b == -1, a.dtype.type(0), a % np.where(b == -1, a.dtype.type(1), b))
