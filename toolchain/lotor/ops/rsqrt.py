"""RSQRT: one divided by the square root."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.fixed import divide_by_power, multiply_high, requantize
from lotor.ops.lookup import BYTES, clamped8, table16
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import FixedPoint, fixed_point
from lotor.ops.unary import Unary, float_value, plain_call, table16_call

_FRACTION = 20  # bits that the root keeps before the scales are applied


class Rsqrt(Unary):
    """int8 in fixed point, int16 by interpolation, float32.

    Quantized zero gives the highest output, and so do inputs below, at which the reference stops.
    """

    kind = "RSQRT"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)

    def limits(self, op: Op) -> list[str]:
        if op.input(0).dtype is not DType.INT8:
            return []
        factor = _factor(op)
        shift = fixed_point(factor).shift - _FRACTION if factor < 1 << 30 else 31
        if -31 <= shift <= 30:
            return []
        return [f"its scales give a factor of {factor:g} to the output; 2^-11 ... 2^30 supported"]

    def table(self, op: Op) -> Array:
        y = op.outputs[0].q
        factor = fixed_point(_factor(op))
        scaled = FixedPoint(factor.multiplier, factor.shift - _FRACTION)
        values = np.full(256, 127)
        for index, steps in enumerate((BYTES - op.input(0).q.zero_point).tolist()):
            if steps > 0:
                root = inverse_root(steps)
                one = FixedPoint(root.multiplier, root.shift + _FRACTION)
                data = requantize(np.array([1]), one)
                values[index] = requantize(data, scaled)[0] + y.zero_point
        return clamped8(values)

    def call(self, op: Op) -> KernelCall:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return plain_call(op, "elementwise", "rsqrt_float")
        highest = np.float32(32767) * np.float32(y.q.scale)

        def function(value: Array) -> Array:
            positive = value > 0
            roots = np.float32(1) / np.sqrt(np.where(positive, value, np.float32(1)))
            return np.where(positive, roots, highest)

        return table16_call(op, table16(function, x.q.scale, 0, y.q.scale))

    def evaluate(self, op: Op) -> list[Array] | None:
        x = float_value(op)
        if x is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            return [np.float32(1) / np.sqrt(x)]


def _factor(op: Op) -> float:
    root = np.sqrt(np.float32(op.input(0).q.scale))
    with np.errstate(over="ignore", divide="ignore"):  # infinity is refused
        return float(1 / np.float64(root * np.float32(op.outputs[0].q.scale)))


def inverse_root(value: int) -> FixedPoint:
    """Return 1 / sqrt(value) as the reference's Newton iteration gives it; value >= 1.

    `lotor_inverse_root` is the same in C.
    """
    if value == 1:
        return FixedPoint((1 << 31) - 1, 0)
    right = 11
    while value >= 1 << 29:
        value //= 4
        right += 1
    pairs = (31 - value.bit_length()) // 2 - 1
    right -= pairs
    half = divide_by_power(np.array([value << 2 * pairs >> 1]), 1)
    x = np.array([1 << 28])  # Q3.28
    for _ in range(5):
        cube = _rescaled(multiply_high(_high(x, x), int(x[0])), 6)
        x = _rescaled(multiply_high(x, 3 << 27) - multiply_high(cube, int(half[0])), 3)
    root = int(multiply_high(x, 1518500250)[0])  # sqrt(1/2)
    return FixedPoint(root << max(-right, 0), -max(right, 0))


def _high(a: Array, b: Array) -> Array:
    return multiply_high(a, int(b[0]))


def _rescaled(x: Array, left: int) -> Array:
    """Return x * 2^left, saturated to int32."""
    saturated: Array = np.clip(x << left, -(1 << 31), (1 << 31) - 1)
    return saturated
