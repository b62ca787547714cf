"""A requantization as one multiply-add and one shift, proved equal for all sums that can occur.

What a layer makes of a sum (scaled and rounded, moved by the zero point, clamped) only grows with
it, so it is known from the least sum that reaches each output value. A line
`(sum * multiplier + addend) >> shift` that passes these steps at the same sums is the same,
however the reference rounds. Bias, zero point and rounding are all in the addend.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall

_WORD = 1 << 32
_LARGEST = (1 << 31) - 1  # of an int32
_FARTHEST = 22  # bits to the right; the zero point must not leave int32 as it is added
_MOST_SHIFT = 22  # so that all here fits int64
_NONE = -(1 << 62)
_MOVES_AT_ONCE = 4096
_NEIGHBOURS = 4  # multipliers that are tried on both sides of the obvious one
# Sums (int64[channels, n]) to outputs.
Outputs = Callable[[Array], Array]


@dataclass(frozen=True)
class LinearScale:
    """`((sum * factor + move << lift) * multiplier + (addend << 32)) >> (32 + shift)`.

    For each channel.

    Attributes:
        multiplier: int32[channels], at least 0.
        addend: int32[channels].
        lift: bits that sums are shifted to the left; `sum * factor + move << lift` fits int32.
        shift: bits that the upper word is shifted to the right, 1 to 31.
        move: int64[channels]; kernels have it in the bias. A sum has many steps within one of the
            addend, so some of them land where no addend alone does, and sums need no lift.
    """

    multiplier: Array
    addend: Array
    lift: int
    shift: int
    move: Array

    @property
    def table(self) -> Array:
        """What the kernels read of each channel, int64[channels, 2]."""
        return np.stack([self.multiplier, self.addend], 1).astype(np.int64)


def linear_scale(
    outputs: Outputs,
    scale: Array,
    ranges: tuple[Array, Array],
    limits: tuple[int, int],
    lift: int,
    factor: int = 1,
    shifts: Sequence[int] = (),
    moves: int = 0,
) -> LinearScale | None:
    """Return the line that gives the same outputs after clamping; None if there is none.

    Args:
        outputs: the reference; for every channel it must not fall as sums grow.
        scale: float64[channels], about how much an output grows with the sum.
        ranges: int64[channels] each, the least and the largest sum that can occur.
        limits: what the outputs are clamped to.
        lift: see `LinearScale`.
        factor: the same.
        shifts: those to try, in their order; by default from the largest to 1.
        moves: the farthest move to try.
    """
    low, high = ranges
    most = (max(-int(low.min()), int(high.max())) * factor + moves) << lift
    if most > _LARGEST or not scale.max() > 0:
        return None
    steps = _steps(outputs, ranges, limits)
    per_sum = float(scale.max()) * 2.0**32 / (factor << lift)
    farthest = int(np.floor(np.log2(_LARGEST / per_sum)))
    for shift in shifts or range(_MOST_SHIFT, 0, -1):
        if shift > farthest:
            continue
        found = _line(steps, scale, ranges, limits, (lift, factor, shift), moves)
        if found is not None:
            return found
    return None


def _steps(outputs: Outputs, ranges: tuple[Array, Array], limits: tuple[int, int]) -> Array:
    """Return int64[channels, outputs]: the least sum that gives each but the lowest output.

    The least sum of all where every sum gives it; one more than the largest where none does.
    """
    low, high = ranges[0][:, None], ranges[1][:, None]
    values = np.arange(limits[0] + 1, limits[1] + 1)
    below, reaches = (np.repeat(at, len(values), axis=1) for at in (low - 1, high + 1))
    while np.any(reaches - below > 1):
        middle = (below + reaches) >> 1
        enough = outputs(np.clip(middle, low, high)) >= values
        open_ = reaches - below > 1
        reaches = np.where(open_ & enough, middle, reaches)
        below = np.where(open_ & ~enough, middle, below)
    return reaches


def _line(
    steps: Array,
    scale: Array,
    ranges: tuple[Array, Array],
    limits: tuple[int, int],
    tried: tuple[int, int, int],
    moves: int,
) -> LinearScale | None:
    """Return the line with one lift, factor and shift; None where a channel has none."""
    lift, factor, shift = tried
    windows = _windows(steps, scale, ranges, limits, tried)
    if (np.max([most - least for _, least, most in windows], axis=0) < 0).any():
        return None
    multiplier, addend, move = (np.zeros_like(windows[0][0]) for _ in range(3))
    left = np.arange(len(scale))  # channels without a line
    near = np.array(sorted(range(-moves, moves + 1), key=abs))
    for some in np.split(near, range(1, len(near), _MOVES_AT_ONCE)):
        for m, least, most in windows:
            # Most channels have no addend for any of these moves, as words tell: look at the rest.
            at = left[_may_fit(some, m[left] << lift, least[left], most[left])]
            if not len(at):
                continue
            moved = (some * m[at, None]) << lift
            a = -(-(least[at, None] - moved) // _WORD)
            fits = (a * _WORD + moved <= most[at, None]) & (np.abs(a) <= _LARGEST)
            for end in ranges:
                product = ((end[at, None] * factor + some) << lift) * m[at, None]
                fits &= np.abs((product >> 32) + a) <= _LARGEST
            first = fits.argmax(axis=1)
            found = fits[np.arange(len(at)), first]
            new, column = at[found], first[found]
            multiplier[new], addend[new], move[new] = m[new], a[found, column], some[column]
            left = np.setdiff1d(left, new, assume_unique=True)
            if not len(left):
                small = multiplier.astype(np.int32), addend.astype(np.int32)
                return LinearScale(*small, lift, shift, move)
    return None


def _windows(
    steps: Array,
    scale: Array,
    ranges: tuple[Array, Array],
    limits: tuple[int, int],
    tried: tuple[int, int, int],
) -> list[tuple[Array, Array, Array]]:
    """Return multipliers and the least and the largest addend of each, with 32 bits more."""
    (low, high), (lift, factor, shift) = ranges, tried
    times = factor << lift
    values = np.arange(limits[0] + 1, limits[1] + 1, dtype=np.int64) << (32 + shift)
    whole = np.clip(np.round(scale * 2.0 ** (32 + shift) / times), 0, _LARGEST).astype(np.int64)
    windows = []
    for change in sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs):
        m = np.clip(whole + change, 0, _LARGEST)
        at = steps * times * m[:, None]
        # At the least sum of a value the line has reached it, at the sum before it has not.
        least = np.where(steps <= high[:, None], values - at, _NONE).max(axis=1, initial=_NONE)
        before = at - (m * times)[:, None]
        most = np.where(steps > low[:, None], values - before, -_NONE)
        windows.append((m, least, most.min(axis=1, initial=-_NONE) - 1))
    return windows


def _may_fit(moves: Array, times: Array, least: Array, most: Array) -> Array:
    """Return for which channels a move brings a multiple of 2^32 between `least` and `most`.

    Args:
        moves: int64[n].
        times: int64[channels], how far one move goes.
        least: int64[channels].
        most: int64[channels].
    """
    words = moves.astype(np.uint32) * times.astype(np.uint32)[:, None]
    words -= least.astype(np.uint32)[:, None]
    room = np.clip(most - least, 0, _WORD - 1).astype(np.uint32)
    fits: Array = (words <= room[:, None]).any(axis=1) & (most >= least)
    return fits


@dataclass(frozen=True)
class TwiceRounded:
    """`multiply_high(sum, multiplier)` divided by a power of two, as the reference has it.

    Attributes:
        multiplier: int32[channels].
        addend: int32[channels], half a step and the zero point.
        right: int64[channels], the exponent of the power, at least 1.
    """

    multiplier: Array
    addend: Array
    right: Array
    lift: int = 0
    shift: int = 0
    move: int = 0

    @property
    def table(self) -> Array:
        """What the kernels read of each channel, int64[channels, 3]."""
        return np.stack([self.multiplier, self.addend, self.right], 1).astype(np.int64)


@dataclass(frozen=True)
class Sums:
    """The sums of a layer's channels and what becomes of them.

    Attributes:
        once: rounded once, half away from zero, as dense layers are; else twice.
        bias: int64[channels], with the input's zero point in it.
        low: int64[channels], the least sum that can occur.
        high: int64[channels], the largest.
        multiplier: int64[channels], of the reference.
        shift: int64[channels], of the reference; to the left, or if rounded once, to the right.
        zero_point: of the output.
        limits: what the output is clamped to.
    """

    once: bool
    bias: Array
    low: Array
    high: Array
    multiplier: Array
    shift: Array
    zero_point: int
    limits: tuple[int, int]

    @classmethod
    def of(cls, call: KernelCall, filters: Array) -> Self:
        """Return those of a call of a portable kernel with filters int8[channels, taps]."""
        p, wide = call.params, filters.astype(np.int64)
        in_offset = int(p.get("in_offset", 0))  # which dense layers have in their bias
        bias = call.constants["bias"].astype(np.int64) + in_offset * wide.sum(axis=1)
        ends = wide * -128, wide * 127
        sums = cls(
            call.kernel == "fully_connected",
            bias,
            np.minimum(*ends).sum(axis=1) + bias,
            np.maximum(*ends).sum(axis=1) + bias,
            np.broadcast_to(call.constants["multiplier"].astype(np.int64), bias.shape),
            np.broadcast_to(call.constants["shift"].astype(np.int64), bias.shape),
            int(p["out_offset"]),
            (int(p["out_min"]), int(p["out_max"])),
        )
        return sums._with_small_constants(np.abs(wide).sum(axis=1) == 0)

    def _with_small_constants(self, empty: Array) -> Self:
        """Return the same outputs with small sums for channels that have no weights.

        Such a channel is a constant, which a file may have as a huge bias of a scale of almost
        nothing. It takes the coarsest scale of the others.
        """
        if not empty.any() or np.any(~self.once & (self.shift[empty] > 0)):
            return self
        constant = self.outputs(self.bias[:, None])[:, 0] - self.zero_point
        far = self.shift if self.once else -self.shift
        nearest, farthest = (31, _FARTHEST + 31) if self.once else (1, _FARTHEST)
        right = int(max(nearest, far[~empty].min(initial=farthest)))
        bias = np.where(empty, constant << (right - 30 if self.once else right + 1), self.bias)
        return replace(
            self,
            bias=bias,
            low=np.where(empty, bias, self.low),
            high=np.where(empty, bias, self.high),
            multiplier=np.where(empty, 1 << 30, self.multiplier),
            shift=np.where(empty, right if self.once else -right, self.shift),
        )

    @property
    def largest(self) -> int:
        """The largest magnitude, also of what the reference shifts to the left."""
        left = 0 if self.once else np.maximum(self.shift, 0)
        return int((np.maximum(-self.low, self.high) << left).max())

    def line(
        self,
        lifts: Sequence[int],
        factor: int = 1,
        shifts: Sequence[int] = (),
        moves: int = 0,
        *,
        biased: bool = True,
    ) -> LinearScale | None:
        """Return the line that equals the reference with the first lift that has one.

        Args:
            lifts: to try.
            factor: of the sums.
            shifts: to try; without any, all that there can be.
            moves: see `linear_scale`.
            biased: whether the bias is in the sums; if not, it is in the addend.
        """
        if self.largest > _LARGEST:  # the reference wraps
            return None
        bias = np.zeros_like(self.bias) if biased else self.bias
        arrays = (self.low - bias, self.high - bias, bias, self.multiplier, self.shift)
        content = tuple(array.tobytes() for array in arrays)
        tried = tuple(lifts), factor, tuple(shifts), moves
        return _line_of(content, self.once, self.zero_point, self.limits, *tried)

    def implied(self, line: LinearScale) -> LinearScale | None:
        """Return a line whose addends follow from its multipliers; None where a channel has none.

        The reference's first rounding adds half a unit of its product. That is a power of two of
        the addend, and the multiplier's leading zeros say which: see `implied_addends`.

        Args:
            line: of these sums, without a factor and moves; lift and shift are taken from it.
        """
        ranges = self.low, self.high
        tried = line.lift, 1, line.shift
        multiplier, addend = (np.zeros_like(self.bias) for _ in range(2))
        left = np.ones(len(self.bias), bool)
        for m, least, most in _windows(self.steps(), self.scale, ranges, self.limits, tried):
            a = implied_addends(m, self.zero_point, line.lift, line.shift)
            fits = left & (a << 32 >= least) & (a << 32 <= most)
            for end in ranges:
                fits &= np.abs(((end << line.lift) * m >> 32) + a) <= _LARGEST
            multiplier[fits], addend[fits] = m[fits], a[fits]
            left &= ~fits
        if left.any():
            return None
        return replace(line, multiplier=multiplier.astype(np.int32), addend=addend.astype(np.int32))

    @property
    def joined(self) -> Self | None:
        """All channels as one, whose line is that of each; None where their scales differ."""
        if len(np.unique(self.multiplier)) > 1 or len(np.unique(self.shift)) > 1:
            return None
        return replace(
            self,
            bias=self.bias[:1],
            low=self.low.min(keepdims=True),
            high=self.high.max(keepdims=True),
            multiplier=self.multiplier[:1],
            shift=self.shift[:1],
        )

    @property
    def scale(self) -> Array:
        """About how much an output grows with the sum, float64[channels]."""
        grows: Array = self.multiplier * (
            2.0**-self.shift if self.once else 2.0 ** (self.shift - 31)
        )
        return grows

    def outputs(self, sums: Array) -> Array:
        """Return what the reference makes of sums, int64[channels, n]."""
        right = (self.shift if self.once else np.maximum(-self.shift, 0))[:, None]
        multiplier = self.multiplier[:, None]
        half, mask = (np.int64(1) << right) >> 1, (np.int64(1) << right) - 1
        if self.once:
            rounded = (sums * multiplier + half - (sums < 0)) >> right
        else:
            left = np.maximum(self.shift, 0)[:, None]
            scaled = ((sums << left) * multiplier + (1 << 30)) >> 31
            rounded = (scaled >> right) + ((scaled & mask) > (mask >> 1) + (scaled < 0))
        clamped: Array = np.clip(rounded + self.zero_point, *self.limits)
        return clamped

    def steps(self) -> Array:
        """Return the least sum that gives each output but the lowest, see `_steps`."""
        return _steps(self.outputs, (self.low, self.high), self.limits)

    def rounded_twice(self) -> TwiceRounded | None:
        """Return the reference's own way; None where it takes a shift to the left, or a far one."""
        right = -self.shift
        if right.min() < 1 or right.max() > _FARTHEST:
            return None
        addend = (np.int64(1) << (right - 1)) + (self.zero_point << right)
        return TwiceRounded(self.multiplier.astype(np.int32), addend.astype(np.int32), right)


def implied_addends(multiplier: Array, zero_point: int, lift: int, shift: int) -> Array:
    """Return half a step, the zero point, and `1 << (lift - 1)` shifted by the leading zeros."""
    leading = 32 - np.frexp(multiplier.astype(np.float64))[1].astype(np.int64)
    base = (zero_point << shift) + (1 << shift >> 1)
    addends: Array = base + ((1 << lift >> 1) >> leading)
    return addends


@lru_cache(maxsize=1024)
def _line_of(
    content: tuple[bytes, ...],
    once: bool,
    zero_point: int,
    limits: tuple[int, int],
    lifts: tuple[int, ...],
    factor: int,
    shifts: tuple[int, ...],
    moves: int,
) -> LinearScale | None:
    """Return `Sums.line`; layers in stripes ask for the same one many times."""
    low, high, bias, multiplier, shift = (np.frombuffer(array, np.int64) for array in content)
    sums = Sums(once, bias, low, high, multiplier, shift, zero_point, limits)

    def outputs(partial: Array) -> Array:
        return sums.outputs(partial + bias[:, None])

    for lift in lifts:
        found = linear_scale(outputs, sums.scale, (low, high), limits, lift, factor, shifts, moves)
        if found is not None:
            return found
    return None
