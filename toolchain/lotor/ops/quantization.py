"""Fixed-point constants, computed as the TensorFlow Lite kernels compute them.

Source: TensorFlow Lite 8-bit quantization specification, and the behaviour of
`QuantizeMultiplier` and `CalculateActivationRangeQuantized` of LiteRT's kernel library.
"""

import enum
import math
from dataclasses import dataclass

import numpy as np

from lotor.graph import Array, DType, Op, Tensor


class Activation(enum.Enum):
    """A fused activation; the value is its number in the model format."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


@dataclass(frozen=True)
class FixedPoint:
    """A positive real number as `multiplier * 2**(shift - 31)`."""

    multiplier: int
    shift: int


def fixed_point(real: float) -> FixedPoint:
    """Return the int32 multiplier and the shift that stand for a real factor >= 0."""
    if real == 0.0:
        return FixedPoint(0, 0)
    mantissa, shift = math.frexp(real)
    # Round half away from zero; floor(x + 0.5) is that for x >= 0, and exact here.
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return FixedPoint(0, 0)
    return FixedPoint(multiplier, shift)


def factor_problems(real: float) -> list[str]:
    """Return a line if a factor between scales is so large that its shift leaves int32."""
    if real < 1 << 30:  # false for not-a-number too
        return []
    return [f"its scales give a factor of {real:g} to the output; below 2^30 needed"]


def fixed_points(reals: Array) -> tuple[Array, Array]:
    """Return multipliers (int32) and shifts (int8) of an array of factors."""
    points = [fixed_point(float(real)) for real in reals]
    return (
        np.array([p.multiplier for p in points], np.int32),
        np.array([p.shift for p in points], np.int8),
    )


def channel_scales(x: Tensor, weights: Tensor, y: Tensor, channels: int) -> Array:
    """Return float64[channels]: the factor from accumulator to output of each channel."""
    scales = np.broadcast_to(weights.q.scales.astype(np.float64), (channels,))
    return np.float64(x.q.scale) * scales / np.float64(y.q.scale)


def quantize_value(value: float, scale: float, zero_point: int) -> int:
    """Return the quantized value of a real number: float32 division, half away from zero."""
    with np.errstate(over="ignore"):
        ratio = float(np.float32(value) / np.float32(scale))
    steps = min(abs(ratio), 2.0**31)  # of infinity too
    return zero_point + int(math.copysign(math.floor(steps + 0.5), ratio))


def activation_range(op: Op) -> tuple[int, int]:
    """Return the limits of a layer's output: its type's, a fused activation's, a folded clamp's."""
    y = op.outputs[0]
    limits = np.iinfo(y.np_dtype)
    low, high = int(limits.min), int(limits.max)
    activation = Activation(getattr(op.attrs, "activation", 0))
    scale, zero_point = y.q.scale, y.q.zero_point
    if activation in (Activation.RELU, Activation.RELU6):
        low = max(low, quantize_value(0.0, scale, zero_point))
    if activation is Activation.RELU6:
        high = min(high, quantize_value(6.0, scale, zero_point))
    if activation is Activation.RELU_N1_TO_1:
        low = max(low, quantize_value(-1.0, scale, zero_point))
        high = min(high, quantize_value(1.0, scale, zero_point))
    if op.clamp is not None:
        # First the activation, then the clamp: a value below both limits ends at the clamp's.
        low, high = (min(max(limit, op.clamp[0]), op.clamp[1]) for limit in (low, high))
    return low, high


def same_numbers(a: Tensor, b: Tensor) -> bool:
    """Return whether one is uint8 and one int8, and equal numbers differ by 128 in both."""
    if a.dtype is DType.INT8:
        a, b = b, a
    if (a.dtype, b.dtype) != (DType.UINT8, DType.INT8) or a.quant is None or b.quant is None:
        return False
    if a.q.per_channel or b.q.per_channel:
        return False
    return a.q.scale == b.q.scale and a.q.zero_point - 128 == b.q.zero_point


def activation_problems(number: int) -> list[str]:
    """Return a line if a fused activation is not one of `Activation`."""
    if number in {a.value for a in Activation}:
        return []
    return [
        f"fused activation number {number} is not supported; use NONE, RELU, RELU6 or RELU_N1_TO_1"
    ]
