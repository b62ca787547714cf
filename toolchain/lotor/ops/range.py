"""RANGE: numbers in equal steps, known to the compiler."""

import math

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.movement import constant_calls, wrong_shape
from lotor.ops.operator import KernelCall, Operator, dtype_problems


class Range(Operator):
    """Start, limit and delta: one constant number each, of int32, int64 or float32."""

    kind = "RANGE"
    inputs = 3

    def problems(self, op: Op) -> list[str]:
        y, given = op.outputs[0], [op.input(i) for i in range(3)]
        found = dtype_problems([y], DType.INT32, DType.INT64, DType.FLOAT32)
        found = found or dtype_problems(given, y.dtype)
        if found:
            return found
        if any(t.data is None or t.elements != 1 for t in given):
            return ["start, limit and delta must be one constant number each"]
        count = _count(*(t.data.reshape(-1)[0] for t in given if t.data is not None))
        if count is None:
            return ["start, limit and delta give no finite range"]
        return wrong_shape(y, (count,))

    def evaluate(self, op: Op) -> list[Array] | None:
        return None if self.problems(op) else [_values(op)]

    def lower(self, op: Op) -> list[KernelCall]:
        return constant_calls(_values(op), op.outputs[0])


def _count(start: np.generic, limit: np.generic, delta: np.generic) -> int | None:
    """Return how many numbers there are, None if they do not lead from start to limit."""
    first, last, step = (value.item() for value in (start, limit, delta))
    if not (all(map(math.isfinite, (first, last, step))) and (last - first) * step >= 0 != step):
        return None
    if isinstance(start, np.floating):
        with np.errstate(over="ignore"):
            steps = np.abs((np.float32(last) - np.float32(first)) / np.float32(step))
        return math.ceil(steps) if np.isfinite(steps) else None
    count: int = -(-abs(last - first) // abs(step))
    return count


def _values(op: Op) -> Array:
    """Return the numbers; each is the one before plus delta, in the type's own arithmetic."""
    y = op.outputs[0]
    steps = np.full(y.shape, op.input(2).data, y.np_dtype)
    steps[:1] = np.asarray(op.input(0).data).reshape(-1)
    with np.errstate(over="ignore"):
        return np.add.accumulate(steps, dtype=y.np_dtype)
