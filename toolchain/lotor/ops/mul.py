"""MUL: elementwise product of two tensors."""

from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary, FusedAttributes, clamped, output_range
from lotor.ops.quantization import fixed_point

# Of int8 every other product leaves the output's range then; of a few bits more, the reference's
# 32 bits overflow, which is undefined.
_MAX_FACTOR = 1 << 14


class Mul(Binary):
    """int8 and int16 with quantizations of their own, int32, float32; with broadcasting."""

    kind = "MUL"
    clamps = True
    options = "MulOptions"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)

    def read(self, options: Any) -> FusedAttributes:
        return FusedAttributes(options.FusedActivationFunction())

    def limits(self, op: Op) -> list[str]:
        factor = _factor(op) if op.input(0).dtype in (DType.INT8, DType.INT16) else 0.0
        if factor < _MAX_FACTOR:  # false for not-a-number too
            return []
        return [f"its scales give a factor of {factor:g} to the output; below 2^14 needed"]

    def params(self, op: Op) -> dict[str, int | float]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        limits = output_range(op)
        if a.dtype not in (DType.INT8, DType.INT16):
            return limits
        factor = fixed_point(_factor(op))
        params: dict[str, int | float] = {"multiplier": factor.multiplier, "shift": factor.shift}
        if a.dtype is DType.INT16:
            return params | limits
        return params | {
            "a_offset": -a.q.zero_point,
            "b_offset": -b.q.zero_point,
            "low": limits["out_min"] - y.q.zero_point,
            "high": limits["out_max"] - y.q.zero_point,
            "out_offset": y.q.zero_point,
        }

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return clamped(op, a * b)


def _factor(op: Op) -> float:
    """Return the factor from a product to the output, in float32 as in the reference."""
    a, b, y = (np.float32(t.q.scale) for t in (op.input(0), op.input(1), op.outputs[0]))
    with np.errstate(all="ignore"):  # infinity is refused
        return float(a * b / y)
