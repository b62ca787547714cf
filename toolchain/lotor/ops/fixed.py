"""Fixed-point arithmetic of the TensorFlow Lite kernels on arrays, for tables made at compile time.

Source: gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, as LiteRT's reference
kernels use them; `kernels/common/fixed_point.h` is the same in C.
"""

import numpy as np

from lotor.graph import Array
from lotor.ops.quantization import FixedPoint


def multiply_high(a: Array, b: Array | int) -> Array:
    """Return a * b / 2^31, rounded half up, of int64 arrays that hold int32 values."""
    return (a * np.asarray(b, np.int64) + (1 << 30)) >> 31


def divide_by_power(x: Array, exponent: int) -> Array:
    """Return x / 2^exponent, rounded half away from zero."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def wrapped32(x: Array) -> Array:
    """Return what two's complement arithmetic of 32 bits leaves of int64 values."""
    return x.astype(np.int32).astype(np.int64)


def requantize(x: Array, factor: FixedPoint) -> Array:
    """Return x times a factor as int64, rounded twice; a shift to the left wraps."""
    shifted = wrapped32(x << max(factor.shift, 0))
    return divide_by_power(multiply_high(shifted, factor.multiplier), max(-factor.shift, 0))


def requantize_each(x: Array, multiplier: Array, shift: Array) -> Array:
    """Return `requantize` with a factor for each element; x and the factors are int64 arrays."""
    shifted = wrapped32(x << np.maximum(shift, 0))
    high = (shifted * multiplier + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    rounded: Array = (high >> right) + ((high & mask) > threshold)
    return rounded
