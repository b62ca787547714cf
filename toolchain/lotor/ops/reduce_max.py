"""REDUCE_MAX: the largest number over any axes."""

from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.reduction import Reduction, whole


class ReduceMax(Reduction):
    """int8, int16, int32, float32; input and output of one quantization.

    As in the reference, not-a-number is no input and -infinity becomes the lowest finite number,
    but where everything is reduced to one number: there the first input stays if it is either.
    """

    kind = "REDUCE_MAX"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    kernel = ("reduce", "extreme")
    largest: ClassVar[bool] = True

    def arithmetic(self, op: Op) -> dict[str, int | float]:
        fields: dict[str, int | float] = {"largest": int(self.largest)}
        if op.input(0).dtype is DType.FLOAT32:
            fields["whole"] = int(whole(op))
        return fields

    def fold(self, op: Op, lines: Array) -> Array | None:
        if lines.dtype == np.float32 and not np.all(np.isfinite(lines)):
            return None
        return np.asarray(lines.max(axis=0) if self.largest else lines.min(axis=0))
