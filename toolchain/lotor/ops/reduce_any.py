"""REDUCE_ANY: whether any is true, over any axes."""

from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.reduction import Reduction


class ReduceAny(Reduction):
    """bool."""

    kind = "REDUCE_ANY"
    dtypes = (DType.BOOL,)
    kernel = ("reduce", "logical")
    every: ClassVar[bool] = False

    def lower(self, op: Op) -> list[KernelCall]:
        (call,) = super().lower(op)
        call.function = "logical"  # there is one type only
        return [call]

    def arithmetic(self, op: Op) -> dict[str, int | float]:
        return {"every": int(self.every)}

    def fold(self, op: Op, lines: Array) -> Array | None:
        return np.asarray(lines.all(axis=0) if self.every else lines.any(axis=0))
