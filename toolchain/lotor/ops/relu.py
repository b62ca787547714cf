"""RELU, the base of its bounded forms: a clamp, with another quantization if need be."""

from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.fixed import requantize
from lotor.ops.lookup import BYTES, clamped8
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import FixedPoint, factor_problems, fixed_point, quantize_value
from lotor.ops.unary import Unary, float_value, plain_call


class Relu(Unary):
    """max(x, 0); int8, int16, float32."""

    kind = "RELU"
    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.FLOAT32)
    uint8 = True
    low: ClassVar[float] = 0.0
    high: ClassVar[float | None] = None

    def limits(self, op: Op) -> list[str]:
        return [] if op.input(0).dtype is DType.FLOAT32 else factor_problems(_factor(op))

    def bounds(self, op: Op) -> tuple[int, int]:
        """Return the limits of the quantized output."""
        y = op.outputs[0]
        limits = np.iinfo(y.np_dtype)
        low = max(int(limits.min), quantize_value(self.low, y.q.scale, y.q.zero_point))
        high = int(limits.max)
        if self.high is not None:
            high = min(high, quantize_value(self.high, y.q.scale, y.q.zero_point))
        return low, high

    def table(self, op: Op) -> Array:
        low, high = self.bounds(op)
        values = requantize(BYTES - op.input(0).q.zero_point, fixed_point(_factor(op)))
        return clamped8(np.clip(values + op.outputs[0].q.zero_point, low, high))

    def call(self, op: Op) -> KernelCall:
        if op.input(0).dtype is DType.FLOAT32:
            if self.high is None:
                return plain_call(op, "relu", "relu_float")
            return plain_call(op, "relu", "relu_bounded_float", low=self.low, high=self.high)
        factor: FixedPoint = fixed_point(_factor(op))
        low, high = self.bounds(op)
        return plain_call(
            op,
            "relu",
            "relu_int16",
            multiplier=factor.multiplier,
            shift=factor.shift,
            out_min=low,
            out_max=high,
        )

    def evaluate(self, op: Op) -> list[Array] | None:
        x = float_value(op)
        if x is None:
            return None
        above = np.where(x < self.low, np.float32(self.low), x)
        return [above if self.high is None else np.where(x > self.high, self.high, above)]


def _factor(op: Op) -> float:
    """Return the factor between the scales, a quotient of float32 as in the reference."""
    with np.errstate(over="ignore"):  # infinity is refused
        return float(np.float32(op.input(0).q.scale) / np.float32(op.outputs[0].q.scale))
