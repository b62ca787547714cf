"""LESS: whether an element is less than another."""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.comparison import Comparison


class Less(Comparison):
    """int8 with quantizations of their own, int16 as plain numbers, int32, float32."""

    kind = "LESS"
    function = "less"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.asarray(a < b)
