"""POW: powers of whole numbers."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary


class Pow(Binary):
    """int32, with broadcasting; exact as long as the result fits, what does not fit wraps.

    For a negative exponent, where the reference stops, the result is 0.
    """

    kind = "POW"
    dtypes = (DType.INT32,)
    wide = False

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        if (b < 0).any():
            return None
        return np.power(a, b)
