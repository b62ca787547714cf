"""LESS_EQUAL: whether an element is less than another or equal."""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.comparison import Comparison


class LessEqual(Comparison):
    """int8 with quantizations of their own, int16 as plain numbers, int32, float32."""

    kind = "LESS_EQUAL"
    function = "less"
    swapped = True
    inverted = True

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.asarray(a <= b)
