"""Requantization in products of 32 bits: the reference's outputs around every step."""

import numpy as np
import pytest

from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import ShortLine, short_line

_WORD = 1 << 32


def output(line: ShortLine, c: int, x: int, limits: tuple[int, int]) -> int:
    """What the kernels compute, none of whose steps may exceed 32 bits."""
    count = x - int(line.first[c])
    if count < 0:
        return limits[0]
    if count >= line.reach[c]:
        return limits[1]
    addend = int(line.addend[c]) + (int(line.below[c]) if count < line.zero[c] else 0)
    lowest = count * int(line.lowest[c])
    assert lowest < _WORD, (c, x)
    lower = (lowest >> int(line.bits[c])) + count * int(line.low[c]) + addend
    total = (lower >> int(line.bits[c])) + count * int(line.high[c])
    assert 0 <= lower < _WORD, (c, x)
    assert 0 <= total < _WORD, (c, x)
    return (total >> 24) + limits[0] + 1


@pytest.mark.parametrize("zero_point", [-128, -17, 127])
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_line_is_the_reference_around_every_step(seed: int, once: bool, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    limits = (-128, 127) if seed % 3 else (-100, 90)
    center = rng.integers(-(1 << 17), 1 << 17, 4) * (seed % 2)
    reach = rng.integers(300, 1 << 21, 4)
    multiplier, right = rng.integers(1 << 30, 1 << 31, 4), rng.integers(5, 13, 4)
    shift = 31 + right if once else -right
    low, high = center - reach, center + reach
    sums = Sums(once, 0 * reach, low, high, multiplier, shift, zero_point, limits)
    line = short_line(sums)
    assert line is not None
    steps = sums.steps()
    near = np.concatenate([steps, steps - 1, steps + 1, low[:, None], high[:, None]], axis=1)
    near = np.clip(near, low[:, None], high[:, None])
    want = sums.outputs(near)
    for c in range(4):
        for x, y in zip(near[c].tolist(), want[c].tolist(), strict=True):
            assert output(line, c, x, limits) == y, (c, x)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("seed", range(12))
def test_a_bend_beyond_which_there_are_no_steps(seed: int, side: int) -> None:
    """Sums that end close to zero, as where all weights have one sign."""
    rng = np.random.default_rng(seed)
    limits = (-128, 127)
    ends = rng.integers(300, 1 << 21, 4), rng.integers(0, 1 << 14, 4)
    below, above = ends if side < 0 else ends[::-1]
    low, high = -below, above
    multiplier, right = rng.integers(1 << 30, 1 << 31, 4), rng.integers(12, 15, 4)
    sums = Sums(False, 0 * low, low, high, multiplier, -right, int(rng.integers(-99, 99)), limits)
    line = short_line(sums)
    assert line is not None
    steps = sums.steps()
    around = [low[:, None], high[:, None], 0 * steps, 0 * steps - 1, steps, steps - 1]
    points = np.clip(np.concatenate(around, axis=1), low[:, None], high[:, None])
    want = sums.outputs(points)
    for c in range(4):
        for x, y in zip(points[c].tolist(), want[c].tolist(), strict=True):
            assert output(line, c, x, limits) == y, (c, x)


def test_sums_of_packed_pixels_can_be_told_apart() -> None:
    """The steps of `v6m_dense.h` in integers of 32 bits, up to the largest sums."""
    rng = np.random.default_rng(0)
    most = (1 << 20) - (1 << 15) - 1
    x, y, z = rng.integers(-most, most + 1, (3, 100_000))
    for sums in (x, y, z):
        sums[::5] = rng.choice([-most, most, 0, -1, 1 << 15, -(1 << 15)], 20_000)

    def word(n: np.ndarray, left: int = 0, right: int = 0) -> np.ndarray:
        return (((n << left) + (_WORD >> 1)) % _WORD - (_WORD >> 1)) >> right

    first, second = word(x + (y << 16)), word(z + (x << 5) + (y << 10))
    low = word(first, 16, 16)
    middle = word(first - low) >> 16
    rest = word(second - (low << 5) - (middle << 10))
    h = word(rest, 6, 27) + (word(rest, 6, 26) & 1)
    rest = word(rest - (h << 21) + (h << 10))
    third = word(rest, 6, 6)
    g = word(rest - third) >> 26
    assert np.array_equal(low + (h << 16), x)
    assert np.array_equal(middle - h + (g << 16), y)
    assert np.array_equal(third, z)
