"""Rounding where it is decided: every half step of an output, every pair of operands."""

import numpy as np
import numpy.typing as npt
import pytest

from exactness import as_list, difference
from lotor import host
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant

SEEDS = range(6)
Ints = npt.NDArray[np.int64]


def f32(value: float) -> float:
    return float(np.float32(value))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return f32(np.exp(rng.uniform(np.log(low), np.log(high))))


def any_quant(rng: np.random.Generator) -> Quant:
    return Quant(log_uniform(rng, 1e-2, 5), int(rng.integers(-128, 128)))


def around_half_steps(factor: float) -> Ints:
    """Accumulators whose product with a factor is next to n + 1/2, for all n an int8 can be."""
    ties = np.round((np.arange(-140, 141) + 0.5) / factor)
    found = np.unique((ties[:, None] + np.arange(-2, 3)).astype(np.int64))
    kept: Ints = found[np.abs(found) < 2**31 - 1]
    return kept


def assert_equal(model: ModelBuilder, *inputs: npt.NDArray[np.int8]) -> None:
    content = model.build()
    got, want = host.load(content).run(*inputs), Oracle(content).run(*inputs)
    assert difference(as_list(got), as_list(want)) == ""


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_accumulators_at_every_half_step(seed: int, per_channel: bool) -> None:
    """The input is its zero point, so that the bias is the accumulator: one channel each."""
    rng = np.random.default_rng(seed)
    x_scale, w_scale = log_uniform(rng, 1e-4, 10), log_uniform(rng, 1e-5, 1)
    y = Quant(f32(x_scale * w_scale / log_uniform(rng, 5e-8, 1e-2)), int(rng.integers(-128, 128)))
    if per_channel:
        scales = [f32(w_scale * log_uniform(rng, 0.4, 2.5)) for _ in range(1500)]
        bias = np.array([rng.choice(around_half_steps(x_scale * s / y.single)) for s in scales])
        weights = Quant(tuple(scales))
    else:
        bias = around_half_steps(x_scale * w_scale / y.single)
        weights = Quant(w_scale)
    m = ModelBuilder()
    zero_point = int(rng.integers(-128, 128))
    x = m.input((1, 1, 1, 1), Quant(x_scale, zero_point))
    ones = np.ones((len(bias), 1, 1, 1), np.int8)
    m.output(
        m.conv2d(x, weights=ones, weight_quant=weights, bias=bias, quant=y),
        m.fully_connected(x, weights=ones[:, 0, 0], weight_quant=weights, bias=bias, quant=y),
        m.depthwise_conv2d(
            x,
            weights=ones.reshape(1, 1, 1, -1),
            weight_quant=Quant(weights.scale, 0, 3),
            bias=bias,
            quant=y,
        ),
    )
    assert_equal(m, np.full((1, 1, 1, 1), zero_point, np.int8))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_pair_of_summands(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    a, b = m.input((256, 256), any_quant(rng)), m.input((256, 256), any_quant(rng))
    scale = f32(max(a.scale, b.scale) * log_uniform(rng, 0.05, 20))
    activation = str(rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
    m.output(m.add(a, b, activation, Quant(scale, int(rng.integers(-128, 128)))))
    values = np.arange(-128, 128).astype(np.int8)
    assert_equal(m, np.repeat(values, 256).reshape(256, 256), np.tile(values, (256, 1)))


@pytest.mark.parametrize(("b_part", "y_part"), [(3, 3), (5, 5), (7, 3), (3, 7), (9, 5)])
def test_summands_that_tie(b_part: int, y_part: int) -> None:
    """Scales in small ratios: many sums are half steps, which the intermediate bits decide."""
    m = ModelBuilder()
    a, b = m.input((256, 256), Quant(0.5, 0)), m.input((256, 256), Quant(f32(0.5 / b_part), 0))
    m.output(m.add(a, b, "NONE", Quant(f32(2 / y_part), 3)))
    values = np.arange(-128, 128).astype(np.int8)
    assert_equal(m, np.repeat(values, 256).reshape(256, 256), np.tile(values, (256, 1)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_value_to_other_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    x = m.input((1, 256), any_quant(rng))
    m.output(*(m.quantize(x, any_quant(rng)) for _ in range(8)), m.dequantize(x))
    assert_equal(m, np.arange(-128, 128).astype(np.int8).reshape(1, 256))
