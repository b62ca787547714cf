"""NOT_EQUAL: whether two elements differ."""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.equal import Equal


class NotEqual(Equal):
    """int8 and int16 with quantizations of their own, int32, float32, bool."""

    kind = "NOT_EQUAL"
    inverted = True

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.asarray(a != b)
