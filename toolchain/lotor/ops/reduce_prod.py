"""REDUCE_PROD: the product over any axes."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.reduction import Reduction


class ReduceProd(Reduction):
    """int32, which wraps, and float32."""

    kind = "REDUCE_PROD"
    dtypes = (DType.INT32, DType.FLOAT32)
    kernel = ("reduce", "product")

    def fold(self, op: Op, lines: Array) -> Array | None:
        with np.errstate(all="ignore"):
            products = np.multiply.accumulate(lines, axis=0, dtype=lines.dtype)
        return np.asarray(products[-1])
