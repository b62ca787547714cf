"""Requantization as a line: the reference's outputs at every sum where they change, and beside."""

import numpy as np
import pytest

from lotor.targets.linear_scale import Sums


def twice_rounded(x: int, multiplier: int, right: int) -> int:
    """SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT, of gemmlowp."""
    high = (x * multiplier + (1 << 30)) >> 31
    half = 1 << (right - 1)
    return (high + half) >> right if high >= 0 else -((-high + half) >> right)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("lifts", "factor"), [((8, 9, 10, 11), 1), ((8, 7, 6), 9)])
def test_a_line_is_the_reference_around_every_step(
    seed: int, lifts: tuple[int, ...], factor: int
) -> None:
    rng = np.random.default_rng(seed)
    high = rng.integers(20_000, 1 << 19, 4)
    multiplier, right = rng.integers(1 << 30, 1 << 31, 4), rng.integers(6, 10, 4)
    sums = Sums(False, 0 * high, -high, high, multiplier, -right, -128, (-128, 127))
    line = sums.line(lifts, factor)
    assert line is not None
    for c in range(4):
        scale = multiplier[c] / 2.0 ** (31 + right[c])
        for border in (np.arange(256) + 0.5) / scale:
            for x in range(int(border) - 1, int(border) + 3):
                if x > high[c]:
                    continue
                lifted = x * factor << line.lift
                assert abs(lifted) < 1 << 31
                product = lifted * int(line.multiplier[c]) + (int(line.addend[c]) << 32)
                got = np.clip(product >> (32 + line.shift), -128, 127)
                want = np.clip(twice_rounded(x, int(multiplier[c]), int(right[c])) - 128, -128, 127)
                assert got == want, (c, x)
