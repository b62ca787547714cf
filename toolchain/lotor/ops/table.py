"""TABLE: any function of one int8 tensor; made by rewrites, unknown to model files."""

from dataclasses import dataclass

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary


@dataclass(frozen=True, eq=False)
class TableAttributes:
    """int8[256]: the results for -128 ... 127."""

    values: Array


class Table(Unary):
    """int8."""

    kind = "TABLE"
    internal = True
    dtypes = (DType.INT8,)
    uint8 = True

    def limits(self, op: Op) -> list[str]:
        values = getattr(op.attrs, "values", None)
        if values is None or values.shape != (256,) or values.dtype != np.int8:
            return ["its table needs 256 entries of int8"]
        return []

    def table(self, op: Op) -> Array:
        values: Array = op.attrs.values
        return values

    def call(self, op: Op) -> KernelCall:
        raise ValueError(f"'{op.name}' is no int8 layer")
