"""HARD_SWISH: x min(max(x + 3, 0), 6) / 6."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import BYTES, clamped8
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import fixed_point
from lotor.ops.unary import Unary, plain_call

_HIGH_RESOLUTION = 128  # factor on the input, so that 16-bit products keep their bits


class HardSwish(Unary):
    """int8 in 16-bit fixed point, float32."""

    kind = "HARD_SWISH"
    dtypes = (DType.INT8, DType.FLOAT32)
    uint8 = True

    def limits(self, op: Op) -> list[str]:
        if op.input(0).dtype is DType.FLOAT32:
            return []
        out, slope = _factors(op)
        found = []
        if not out < 1:
            found.append(
                f"its scales give a factor of {out * _HIGH_RESOLUTION:g}; below 128 needed"
            )
        if not slope < 1 << 30:
            found.append(f"input scale {op.input(0).q.scale:g} is too large; below 10^7 needed")
        return found

    def table(self, op: Op) -> Array:
        out, slope = _factors(op)
        out_multiplier, out_exponent = _multiplier16(out)
        slope_multiplier, slope_exponent = _multiplier16(slope)
        value = (BYTES - op.input(0).q.zero_point) * _HIGH_RESOLUTION
        scaled = _multiply_high16(value, out_multiplier)
        # -3 ... 3 to -1 ... 1, saturated; the last doubling is the only one that decides.
        gate = value
        if slope_exponent > 0:
            gate = _saturated16(gate << (slope_exponent - 1))
        gate = _multiply_high16(gate, slope_multiplier)
        if slope_exponent > 0:
            gate = _saturated16(gate << 1)
        if slope_exponent < 0:
            gate = _divide_by_power16(gate, -slope_exponent)
        gate = (gate + (1 << 15)) >> 1
        product = gate * scaled
        truncated = np.sign(product) * (np.abs(product) >> 15)
        result = _divide_by_power16(truncated, -out_exponent) + op.outputs[0].q.zero_point
        return clamped8(result)

    def call(self, op: Op) -> KernelCall:
        return plain_call(op, "hard_swish", "hard_swish_float")


def _factors(op: Op) -> tuple[float, float]:
    """Return the factors to the output and to the gate; float32, as in the reference."""
    fine = np.float32(1 / _HIGH_RESOLUTION) * np.float32(op.input(0).q.scale)
    with np.errstate(over="ignore"):  # infinity is refused
        out = fine / np.float32(op.outputs[0].q.scale)
        return float(out), float(fine / (np.float32(3) / np.float32(32768)))


def _multiplier16(real: float) -> tuple[int, int]:
    """Return a factor as `multiplier * 2^(exponent - 15)`."""
    wide = fixed_point(real)
    return min((wide.multiplier + (1 << 15)) >> 16, 32767), wide.shift


def _saturated16(x: Array) -> Array:
    result: Array = np.clip(x, -32768, 32767)
    return result


def _multiply_high16(a: Array, b: int) -> Array:
    """Return a * b / 2^15, rounded half up."""
    return (a * b + (1 << 14)) >> 15


def _divide_by_power16(x: Array, exponent: int) -> Array:
    """Return x / 2^exponent, rounded half away from zero, as 16-bit arithmetic leaves it."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1  # all bits, as a 16-bit number
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
