"""EQUAL: whether two elements are equal."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.comparison import Comparison


class Equal(Comparison):
    """int8 and int16 with quantizations of their own, int32, float32, bool."""

    kind = "EQUAL"
    dtypes = (*Comparison.dtypes, DType.BOOL)
    function = "equal"

    def scaled(self, op: Op) -> bool:
        return op.input(0).dtype in (DType.INT8, DType.INT16)

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return np.asarray(a == b)
