"""A requantization by products of 32 bits, as Armv6-M has them, proved equal for all sums.

A sum is counted from the first one that is above the lowest output. Those that lie before are the
lowest output, those from `reach` on the highest. In between the output is on a line
`(count * multiplier + addend) >> (24 + bits)`, with the multiplier in two parts: neither step of
`((count * low + addend) >> bits) + count * high` exceeds 32 bits. Where halves are rounded away
from zero, the line has another addend below zero. For large counts the multiplier has a third part,
with `bits` more: `(count * lowest) >> bits` is part of the addend.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lotor.graph import Array
from lotor.targets.linear_scale import Sums

_WORD = 1 << 32
_TOP = 24  # bits below the 256 outputs
_BITS = range(16, 3, -1)
_DEEP_BITS = range(12, 5, -1)
_NEIGHBOURS = 2  # multipliers that are tried on both sides of the best one
_NONE = 1 << 62


@dataclass(frozen=True)
class ShortLine:
    """What the kernels make of sums; int64[channels] each.

    Attributes:
        first: the least sum that gives more than the lowest output; counts begin there.
        reach: the count from which on the output is the highest.
        low: the multiplier's lower bits.
        addend: of the line.
        high: the multiplier's upper bits.
        bits: in `low`.
        zero: the count from which on sums are not negative.
        below: what is added to the addend before.
        lowest: the multiplier's third part; all 0 where it has two.
    """

    first: Array
    reach: Array
    low: Array
    addend: Array
    high: Array
    bits: Array
    zero: Array
    below: Array
    lowest: Array

    @property
    def deep(self) -> bool:
        """Whether any channel's multiplier has three parts."""
        return bool(self.lowest.any())

    @property
    def bent(self) -> bool:
        """Whether any channel has another addend below zero."""
        return bool(self.below.any())

    @property
    def table(self) -> Array:
        """What the kernels read of each channel, int64[channels, 5 to 8]."""
        columns = [self.reach, self.low, self.addend, self.high, self.bits]
        columns += [self.zero, self.below] if self.bent else []
        return np.stack([*columns, self.lowest] if self.deep else columns, 1)


def short_line(sums: Sums) -> ShortLine | None:
    """Return the line that gives the reference's outputs; None if there is none."""
    if sums.largest >= _WORD >> 1 or sums.limits[0] >= sums.limits[1]:
        return None
    arrays = (sums.bias, sums.low, sums.high, sums.multiplier, sums.shift)
    content = tuple(array.tobytes() for array in arrays)
    return _short_line(content, sums.once, sums.zero_point, sums.limits)


@lru_cache(maxsize=1024)
def _short_line(
    content: tuple[bytes, ...], once: bool, zero_point: int, limits: tuple[int, int]
) -> ShortLine | None:
    """Return `short_line`; layers in stripes ask for the same one many times."""
    bias, low, high, multiplier, shift = (np.frombuffer(array, np.int64) for array in content)
    sums = Sums(once, bias, low, high, multiplier, shift, zero_point, limits)
    steps = sums.steps()
    # Where all sums are above the lowest output, count from where the line would leave it.
    above = sums.outputs(low[:, None])[:, 0] - limits[0] - 1
    far = np.floor(np.maximum(above, 0) / np.maximum(sums.scale, 1e-9)).astype(np.int64)
    first, last = np.where(above < 0, steps[:, 0], low - far), steps[:, -1]
    if np.abs(first).max() >= _WORD >> 1 or (last - first).max() >= _WORD >> 1:
        return None
    counts = steps - first[:, None]
    start, zero = np.maximum(low - first, 0), np.clip(-first, 0, last - first)
    for deep, bend in ((False, False), (False, True), (True, False), (True, True)):
        found = np.zeros((len(first), 4), np.int64)  # multiplier, bits, both addends
        for bits in _DEEP_BITS if deep else _BITS:
            left = found[:, 1] == 0
            if left.any():
                ends = start[left], zero[left]
                found[left] = _lines(counts[left], ends, sums.scale[left], bits, (deep, bend))
        m, bits_of, addend, below = found.T
        if bits_of.all():
            mask = (1 << bits_of) - 1
            lowest, m = (m & mask, m >> bits_of) if deep else (0 * m, m)
            parts = m & mask, addend, m >> bits_of, bits_of
            return ShortLine(first, last - first, *parts, zero, below - addend, lowest)
    return None


def _lines(
    counts: Array, ends: tuple[Array, Array], scale: Array, bits: int, forms: tuple[bool, bool]
) -> Array:
    """Return int64[channels, 4]: multiplier, bits, the addends from zero on and below.

    All are 0 where a channel has no line.

    Args:
        counts: int64[channels, outputs], the least count that gives each output but the lowest.
        ends: the least count, and the one from which on sums are not negative.
        scale: how much the output grows with the sum.
        bits: of the multiplier that are its lower part.
        forms: the multiplier has three parts; the line may have two addends.
    """
    deep, bend = forms
    unit = bits if deep else 0  # of the addend
    below = _TOP + bits + unit
    found = np.zeros((len(counts), 4), np.int64)
    reach = counts[:, -1:]
    values = np.arange(counts.shape[1], dtype=np.int64) << below
    start, zero = (end[:, None] for end in ends)
    # Beyond the reach no count is looked up, before the start there is none. Of each part of the
    # line: where it must have reached each value, where not yet, and whether these are in the part.
    at = np.minimum(counts, reach)
    most_count = np.maximum(reach[:, 0] - 1, 0)
    parts = [(at, at - 1, at < reach, at > start)]
    if bend:  # the parts begin and end at zero, whatever values they have steps of
        after, up_to = np.maximum(at, zero), np.minimum(at, zero)
        parts = [
            (after, at - 1, after < reach, at > np.maximum(start, zero)),
            (at, up_to - 1, at < zero, up_to > start),
        ]

    def addends(m: Array) -> list[tuple[Array, Array]]:
        """Return the least addend of each part, and how many more there are."""
        found = []
        for reached, before, here, there in parts:
            needed, too_much = (values - point * m[:, None] for point in (reached, before))
            least = np.where(here, needed, 0).max(axis=1, initial=0)
            most = np.where(there, too_much, _NONE).min(axis=1, initial=_NONE)
            found.append((least, most - 1 - least))
        return found

    middle = _peak(
        lambda m: np.min([room for _, room in addends(m)], axis=0),
        np.ceil(scale * 2.0**below).astype(np.int64),
    )
    for change in sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs):
        m = np.maximum(middle + change, 0)
        lowest, upper = (m & ((1 << bits) - 1), m >> bits) if deep else (0 * m, m)
        fits = (found[:, 1] == 0) & (upper >> bits < _WORD) & (most_count * lowest < _WORD)
        sums = ((most_count * lowest) >> bits) + most_count * (upper & ((1 << bits) - 1))
        choices = []
        for least, room in addends(m):
            addend = -(-least >> unit)
            fits &= ((addend << unit) <= least + room) & (sums + addend < _WORD)
            choices.append(addend)
        chosen = np.stack([m, np.full_like(m, bits), choices[0], choices[-1]], 1)
        found[fits] = chosen[fits]
    return found


def _peak(height: Callable[[Array], Array], about: Array) -> Array:
    """Return where each of some concave functions of integers is highest, near `about`."""
    low, high = about - (about >> 5) - 8, about + (about >> 5) + 8
    while np.any(high - low > 2):
        third = (high - low) // 3
        left, right = low + third, high - third
        rises = height(left) < height(right)
        low, high = np.where(rises, left, low), np.where(rises, high, right)
    middle: Array = (low + high) >> 1
    return middle
