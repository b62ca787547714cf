"""Integers that round as a float64 factor does, at every sum where the result can change."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from lotor import host
from lotor.ops import fully_connected
from lotor.ops.exact_scale import exact_scale
from lotor.ops.quantization import FixedPoint
from tflite_builder import ModelBuilder, Quant


def by_double(sums: npt.NDArray[np.int64], scale: float, steps: int) -> npt.NDArray[np.int64]:
    products = sums.astype(np.float64) * scale
    rounded = np.where(products < 0, np.ceil(products - 0.5), np.floor(products + 0.5))
    clamped: npt.NDArray[np.int64] = np.clip(rounded, -steps, steps).astype(np.int64)
    return clamped


def by_integers(sums: npt.NDArray[np.int64], exact: FixedPoint, steps: int) -> list[int]:
    half = 1 << (exact.shift - 1)
    results = []
    for value in sums.tolist():
        wide = value * exact.multiplier + half - (value < 0)
        assert abs(wide) < 1 << 63
        assert abs(wide >> exact.shift) < 1 << 31
        results.append(min(max(wide >> exact.shift, -steps), steps))
    return results


def decisive(scale: float, limit: int, steps: int) -> npt.NDArray[np.int64]:
    """Sums around every half step that the result can take, of both signs, and the extremes."""
    ties = np.minimum((np.arange(-1, steps + 2) + 0.5) / scale, float(limit)).astype(np.int64)
    near = (ties[:, None] + np.arange(-2, 3)).ravel()
    both = np.concatenate([near, -near, [limit, -limit, limit - 1, 0]])
    return np.unique(np.clip(both, -limit, limit))


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_double_at_every_border(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(300):
        scale = float(np.exp(rng.uniform(math.log(1e-7), math.log(30))))
        limit = int(np.exp(rng.uniform(0, math.log(2.0**31))))
        steps = int(rng.integers(1, 256))
        exact = exact_scale(scale, limit, steps)
        if exact is not None:
            found += 1
            sums = decisive(scale, limit, steps)
            assert by_integers(sums, exact, steps) == by_double(sums, scale, steps).tolist()
    assert found > 270


@pytest.mark.parametrize("scale", [2.0**-9, 3 * 2.0**-8, 0.5, 1.0, 1.5, 7.0, 1 / 3, 0.001])
def test_equals_the_double_at_every_sum(scale: float) -> None:
    exact = exact_scale(scale, 70_000, 255)
    assert exact is not None
    sums = np.arange(-70_000, 70_001)
    assert by_integers(sums, exact, 255) == by_double(sums, scale, 255).tolist()


def test_dead_channels_and_wild_factors() -> None:
    assert exact_scale(1e-30, 2**31, 255) == FixedPoint(0, 62)
    assert exact_scale(3.0, 0, 255) is not None
    assert exact_scale(2.0**31, 5, 255) is None  # its integers would leave their types
    assert exact_scale(100.0, 2**31, 255) is None


def test_none_where_31_bits_cannot_tell_two_sums_apart() -> None:
    refused = [
        s for s in np.linspace(1e-7, 1.1e-7, 200) if exact_scale(float(s), 2**31, 255) is None
    ]
    assert refused
    # For the same scale and small sums there are integers again.
    assert exact_scale(float(refused[0]), 2**20, 255) is not None


def test_the_proof_covers_every_sum_that_a_layer_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []

    def recorded(scale: float, limit: int, steps: int) -> FixedPoint | None:
        limits.append(limit)
        return exact_scale(scale, limit, steps)

    monkeypatch.setattr(fully_connected, "exact_scale", recorded)
    weights = np.array([[3, -5, 7], [-100, 127, -127], [0, 1, 0]], np.int8)
    bias, zero_point = np.array([11, -12, 50_000]), -37
    m = ModelBuilder()
    x = m.input((1, 3), Quant(0.5, zero_point))
    scales = Quant((0.01, 0.02, 0.03))
    m.output(m.fully_connected(x, weights=weights, weight_quant=scales, bias=bias))
    host.load(m.build())
    ends = np.array(np.meshgrid(*[[-128, 127]] * 3)).reshape(3, -1) - zero_point
    assert limits == np.abs(weights @ ends + bias[:, None]).max(axis=1).tolist()
