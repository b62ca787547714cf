"""SQUARED_DIFFERENCE: the square of the difference of two tensors."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary, output_range
from lotor.ops.summing import sum_params, sum_problems, twice_larger_scale

_HEAD = 7  # more bits that both inputs get, so that the square has twice as many


class SquaredDifference(Binary):
    """int8 with quantizations of their own, int32, float32; with broadcasting."""

    kind = "SQUARED_DIFFERENCE"
    clamps = True
    dtypes = (DType.INT8, DType.INT32, DType.FLOAT32)
    uint8 = False
    wide = False

    def limits(self, op: Op) -> list[str]:
        return sum_problems(_factor(op)) if op.input(0).dtype is DType.INT8 else []

    def params(self, op: Op) -> dict[str, int | float]:
        if op.input(0).dtype is not DType.INT8:
            return {}
        return sum_params(op, _factor(op)) | output_range(op)

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        difference = a - b
        return np.asarray(difference * difference)


def _factor(op: Op) -> float:
    """Return the factor from a square with head room to the output."""
    twice_max = twice_larger_scale(op)
    with np.errstate(over="ignore"):
        scale = np.float32(1 << 2 * _HEAD) * np.float32(op.outputs[0].q.scale)
    return twice_max * twice_max / float(scale)
