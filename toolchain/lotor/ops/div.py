"""DIV: elementwise quotient of two tensors."""

from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary, FusedAttributes, clamped, output_range
from lotor.ops.quantization import factor_problems, fixed_point


class Div(Binary):
    """int8 and int16 with quantizations of their own, int32 towards zero, float32; broadcasting.

    Integers by zero, where the reference stops, give 0. Quantized quotients go through a reciprocal
    of 31 bits; where they are so small that the reference shifts by more than 31 bits, which is
    undefined, the result is the zero point.
    """

    kind = "DIV"
    options = "DivOptions"
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    wide = False
    clamps = True

    def read(self, options: Any) -> FusedAttributes:
        return FusedAttributes(options.FusedActivationFunction())

    def limits(self, op: Op) -> list[str]:
        quantized = op.input(0).dtype in (DType.INT8, DType.INT16)
        return factor_problems(_factor(op)) if quantized else []

    def params(self, op: Op) -> dict[str, int | float]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        if a.dtype not in (DType.INT8, DType.INT16):
            return output_range(op)
        factor = fixed_point(_factor(op))
        params: dict[str, int | float] = {"multiplier": factor.multiplier, "shift": factor.shift}
        if a.dtype is DType.INT8:
            params |= {
                "a_offset": -a.q.zero_point,
                "b_offset": -b.q.zero_point,
                "out_offset": y.q.zero_point,
            }
        return params | output_range(op)

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        if a.dtype == np.float32:
            return clamped(op, a / b)
        if not b.all():
            return None
        # In 64 bits, as the lowest number by -1 wraps.
        quotient = np.abs(a.astype(np.int64)) // np.abs(b.astype(np.int64))
        signed = np.where((a < 0) != (b < 0), -quotient, quotient)
        return clamped(op, signed.astype(a.dtype))


def _factor(op: Op) -> float:
    """Return the factor from a quotient to the output, in float32 as in the reference."""
    a, b, y = (np.float32(t.q.scale) for t in (op.input(0), op.input(1), op.outputs[0]))
    with np.errstate(all="ignore"):  # infinity is refused
        return float(a / (b * y))
