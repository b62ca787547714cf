"""LEAKY_RELU: negative values times a factor."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.fixed import requantize
from lotor.ops.lookup import BYTES, clamped8
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import factor_problems, fixed_point
from lotor.ops.unary import Unary, plain_call


@dataclass(frozen=True)
class LeakyReluAttributes:
    """The factor of negative values."""

    alpha: float


class LeakyRelu(Unary):
    """x if x >= 0 else alpha x; int8, int16, float32."""

    kind = "LEAKY_RELU"
    options = "LeakyReluOptions"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    uint8 = True

    def read(self, options: Any) -> LeakyReluAttributes:
        return LeakyReluAttributes(options.Alpha())

    def limits(self, op: Op) -> list[str]:
        if not np.isfinite(op.attrs.alpha):
            return [f"alpha is {op.attrs.alpha}; a number needed"]
        if op.input(0).dtype is DType.FLOAT32:
            return []
        identity, alpha = _factors(op)
        return factor_problems(identity) + factor_problems(abs(alpha))

    def table(self, op: Op) -> Array:
        x, y = op.input(0), op.outputs[0]
        identity, alpha = _factors(op)
        values = BYTES - x.q.zero_point
        # A negative factor is applied by its magnitude, whose rounding differs from its own.
        sign = -1 if alpha < 0 else 1
        negative = sign * requantize(values, fixed_point(abs(alpha)))
        scaled = np.where(values < 0, negative, requantize(values, fixed_point(identity)))
        return clamped8(scaled + y.q.zero_point)

    def call(self, op: Op) -> KernelCall:
        if op.input(0).dtype is DType.FLOAT32:
            return plain_call(op, "leaky_relu", "leaky_relu_float", alpha=float(op.attrs.alpha))
        identity, alpha = _factors(op)
        positive, negative = fixed_point(identity), fixed_point(abs(alpha))
        return plain_call(
            op,
            "leaky_relu",
            "leaky_relu_int16",
            multiplier=positive.multiplier,
            shift=positive.shift,
            alpha_multiplier=negative.multiplier,
            alpha_shift=negative.shift,
            alpha_sign=-1 if alpha < 0 else 1,
        )


def _factors(op: Op) -> tuple[float, float]:
    """Return the factors of positive and of negative values; float32, as in the reference."""
    x, y = np.float32(op.input(0).q.scale), np.float32(op.outputs[0].q.scale)
    with np.errstate(over="ignore"):  # infinity is refused
        return float(x / y), float(x * np.float32(op.attrs.alpha) / y)
