"""Requantization as a line: the reference's outputs at every sum where they change, and beside."""

import numpy as np
import pytest

from lotor.targets.linear_scale import LinearScale, Sums


def twice_rounded(x: int, multiplier: int, right: int) -> int:
    """SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT, of gemmlowp."""
    high = (x * multiplier + (1 << 30)) >> 31
    half = 1 << (right - 1)
    return (high + half) >> right if high >= 0 else -((-high + half) >> right)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("lifts", "factor", "moves"), [((8, 9, 10, 11), 1, 0), ((8, 7, 6), 9, 0), ((0,), 1, 1 << 16)]
)
def test_a_line_is_the_reference_around_every_step(
    seed: int, lifts: tuple[int, ...], factor: int, moves: int
) -> None:
    rng = np.random.default_rng(seed)
    high = rng.integers(20_000, 1 << 19, 4)
    multiplier, right = rng.integers(1 << 30, 1 << 31, 4), rng.integers(6, 10, 4)
    sums = Sums(False, 0 * high, -high, high, multiplier, -right, -128, (-128, 127))
    line = sums.line(lifts, factor, moves=moves)
    assert line is not None
    check(sums, line, factor)


@pytest.mark.parametrize("seed", range(20))
def test_addends_that_follow_from_multipliers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    high = rng.integers(20_000, 1 << 19, 4)
    multiplier, right = rng.integers(1 << 30, 1 << 31, 4), rng.integers(4, 10, 4)
    zero_point = int(rng.integers(-128, 128))
    sums = Sums(False, 0 * high, -high, high, multiplier, -right, zero_point, (zero_point, 127))
    line = sums.line((8, 9, 10, 11), shifts=range(14, 0, -1))
    assert line is not None
    implied = sums.implied(line)
    assert implied is not None
    leading = np.array([32 - int(m).bit_length() for m in implied.multiplier])
    base = (zero_point << line.shift) + (1 << line.shift - 1)
    np.testing.assert_array_equal(implied.addend, base + (1 << line.lift - 1 >> leading))
    check(sums, implied)


def test_addends_that_do_not_follow() -> None:
    """Of sums that are rounded once there is no half of a first rounding."""
    one = np.array([1 << 30])
    sums = Sums(True, 0 * one, 0 * one - 5000, 0 * one + 5000, one, 0 * one + 36, 3, (-128, 127))
    line = sums.line((8,))
    assert line is not None
    assert sums.implied(line) is None


def check(sums: Sums, line: LinearScale, factor: int = 1) -> None:
    """Compare a line with the reference at the sums around all steps."""
    multiplier, right, high = sums.multiplier, -sums.shift, sums.high
    for c in range(len(high)):
        scale = multiplier[c] / 2.0 ** (31 + right[c])
        for border in (np.arange(256) + 0.5) / scale:
            for x in range(int(border) - 1, int(border) + 3):
                if x > high[c]:
                    continue
                lifted = x * factor + int(line.move[c]) << line.lift
                assert abs(lifted) < 1 << 31
                product = lifted * int(line.multiplier[c]) + (int(line.addend[c]) << 32)
                got = np.clip(product >> (32 + line.shift), *sums.limits)
                want = twice_rounded(x, int(multiplier[c]), int(right[c])) + sums.zero_point
                want = np.clip(want, *sums.limits)
                assert got == want, (c, x)
