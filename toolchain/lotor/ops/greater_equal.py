"""GREATER_EQUAL: whether an element is greater than another or equal."""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.comparison import Comparison


class GreaterEqual(Comparison):
    """int8 with quantizations of their own, int16 as plain numbers, int32, float32."""

    kind = "GREATER_EQUAL"
    function = "less"
    inverted = True

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.asarray(a >= b)
