"""Tables of functions of one quantized input, as the TensorFlow Lite kernels compute them.

Source: the behaviour of `LUTPopulate` of LiteRT's kernels. Its float32 functions are those of
the host's mathematics library; libraries differ in the last bit. About one entry in three million
depends on that bit, so the same library is asked here. Where it cannot be loaded, values are
rounded correctly.
"""

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from lotor.graph import Array, Quantization

Function = Callable[[Array], Array]

BYTES = np.arange(-128, 128)  # every value of int8, in the order of a table
_STEPS = 512


def library(name: str, fallback: Callable[[float], float]) -> Function:
    """Return a float32 function of the host's mathematics library, for arrays.

    Args:
        name: its name in C.
        fallback: the same in float64, rounded to float32 where there is no such library.
    """

    def values(x: Array) -> Array:
        function = _function(name) or (lambda value: _value(fallback, value))
        with np.errstate(over="ignore"):
            return np.array([function(float(v)) for v in x.flat]).astype(np.float32)

    return values


@cache
def _function(name: str) -> Callable[[float], float] | None:
    for file in ("libm.so.6", "libm.dylib"):
        try:
            found = getattr(ctypes.CDLL(file), name)
        except (OSError, AttributeError):
            continue
        found.restype = ctypes.c_float
        found.argtypes = [ctypes.c_float]
        return lambda value: float(found(value))
    return None


def _value(function: Callable[[float], float], x: float) -> float:
    try:
        return function(x)
    except OverflowError:
        return math.inf


def away(x: Array) -> Array:
    """Round half away from zero; the type is kept."""
    wide = x.astype(np.float64)  # where adding one half to a float32 is exact
    result: Array = np.copysign(np.floor(np.abs(wide) + 0.5), wide).astype(x.dtype)
    return result


def saturated(values: Array, low: int, high: int) -> Array:
    """Return numbers as integers within limits; not-a-number becomes the highest."""
    return np.clip(np.nan_to_num(values.astype(np.float64), nan=high), low, high).astype(np.int64)


def clamped8(values: Array) -> Array:
    """Return numbers as int8, saturated."""
    result: Array = np.clip(values, -128, 127).astype(np.int8)
    return result


def quantized(values: Array, y: Quantization, dtype: np.dtype[Any]) -> Array:
    """Return float32 numbers as quantized integers; those beyond the limits saturate."""
    limits = np.iinfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = away(values / np.float32(y.scale)).astype(np.float64)
    # Not-a-number becomes the lowest, as in the kernel.
    result: Array = np.clip(
        np.nan_to_num(steps, nan=-np.inf) + y.zero_point, limits.min, limits.max
    ).astype(dtype)
    return result


def table8(function: Function, x: Quantization, y: Quantization) -> Array:
    """Return int8[256]: a function of real numbers for -128 ... 127."""
    with np.errstate(over="ignore", invalid="ignore"):
        real = np.float32(x.scale) * (BYTES - x.zero_point).astype(np.float32)
        steps = away(function(real) * (np.float32(1) / np.float32(y.scale)))
        return saturated(steps + np.float32(y.zero_point), -128, 127).astype(np.int8)


def table16(function: Function, x_scale: float, x_zero_point: int, y_scale: float) -> Array:
    """Return int16[513]: a function at -32768, -32640, ..., 32768, between which is interpolated.

    Each value is corrected by half of the error that the interpolation has midway. Computed in
    float32; `double_table16` is the same in float64.
    """
    return _table16(np.float32, function, x_scale, x_zero_point, y_scale)


def double_table16(function: Function, x_scale: float, x_zero_point: int, y_scale: float) -> Array:
    """Return `table16` of a function of float64 arrays."""
    return _table16(np.float64, function, x_scale, x_zero_point, y_scale)


def _table16(
    real: type[np.floating], function: Function, x_scale: float, x_zero_point: int, y_scale: float
) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        low = real(x_scale) * real(-32768 - x_zero_point)
        high = real(x_scale) * real(32767 - x_zero_point)
        y_low, y_high = real(y_scale) * real(-32768), real(y_scale) * real(32767)
        step = (high - low) / real(_STEPS)
        inverse = real(65536) / (y_high - y_low)
        index = np.arange(_STEPS).astype(real)
        start = low + index * step
        value = away(function(start) * inverse)
        middle = away(function(start + step / real(2)) * inverse)
        following = function(low + (index + real(1)) * step) * inverse
        error = away((following + value) / real(2)) - middle
        last = away(function(np.array([high])) * inverse)
        entries = np.concatenate([value - away(error / real(2)), last])
        # Not-a-number, of infinities, becomes 0: what the lower half of its conversion leaves.
        return saturated(np.where(np.isnan(entries), 0, entries), -32768, 32767).astype(np.int16)


exp = library("expf", math.exp)
tanh = library("tanhf", math.tanh)
erfc = library("erfcf", math.erfc)
log = library("logf", math.log)  # of positive numbers
