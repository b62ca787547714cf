"""A float64 requantization as integer arithmetic, proved equal for all sums that can occur.

`round(sum * scale)` in float64, clamped to so many steps, changes its value at a few sums only. An
integer multiplier and a shift do the same exactly if they change at the same sums; whether there
are such, and which, follows from the list of those sums.
"""

import math

import numpy as np

from lotor.graph import Array
from lotor.ops.quantization import FixedPoint

_MAX_SHIFT = 62  # a sum below 2^31 times a multiplier below 2^31, and half a step, fit int64


def exact_scale(scale: float, limit: int, steps: int) -> FixedPoint | None:
    """Return integers that round as a float64 factor does.

    For every integer `sum` of at most `limit`, `sum * multiplier / 2**shift` and the float64
    product `sum * scale`, both rounded half away from zero and clamped to [-steps, steps], are
    equal; the former fits int32 before it is clamped.

    Args:
        scale: the factor, > 0.
        limit: of the sum's magnitude; below 2^31 + 1.
        steps: of the result's magnitude, at least 1.

    Returns:
        None if there are no such integers (multiplier below 2^31, shift from 1 to 62).
    """
    shift = min(_MAX_SHIFT, 31 - math.frexp(scale)[1])
    if shift < 1:
        return None
    # Both sides are odd functions, so that positive sums are enough.
    low, high = 0, (1 << 31) - 1
    half_step = 1 << (shift - 1)
    for step, first in enumerate(_first_sums(scale, limit, steps).tolist(), 1):
        middle = (2 * step - 1) * half_step  # a result of `step` begins here
        if first <= limit:
            low = max(low, -(-middle // first))
        if first > 1:
            high = min(high, -(-middle // (first - 1)) - 1)
    multiplier = min(max(round(scale * 2.0**shift), low), high)
    if low > high or (limit * multiplier >> shift) >= 1 << 30:
        return None
    return FixedPoint(multiplier, shift)


def _first_sums(scale: float, limit: int, steps: int) -> Array:
    """Return int64[steps]: the least sum that rounds to 1, 2, ...; limit + 1 where none does."""
    borders = np.arange(1, steps + 1) - 0.5
    with np.errstate(over="ignore"):
        guess = np.clip(np.ceil(borders / scale), 1, limit + 1)
    first = np.full(steps, limit + 1, np.int64)
    for offset in (1.0, 0.0, -1.0):  # the product's rounding can move a border by one
        tried = np.clip(guess + offset, 1, limit + 1)
        reaches = (tried * scale >= borders) & (tried <= limit)
        first[reaches] = tried[reaches].astype(np.int64)
    return first
