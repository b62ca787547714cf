"""The kernels for Armv7-M of further operators and of layers of any shape."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from any_layers import any_convolution, any_dense, any_depthwise, products
from cortex_m import needs_emulator
from kernel_layers import check_overlap, check_random_layers, taken
from test_dsp_operators import overlapping, pools, softmaxes
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m3"


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [
        (softmaxes, "softmax_v7m"),
        (pools, "max_pool_2d_v7m"),
        (pools, "average_pool_2d_v7m"),
        (pools, "mean_v7m"),
        (products, "mul_v7m"),
        (any_convolution, "conv_2d_v7m"),
        (any_dense, "fully_connected_v7m"),
        (any_depthwise, "depthwise_conv_2d_v7m_general"),
    ],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory)


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), TARGET, tmp_path) == {
        "lotor_depthwise_conv_2d_v7m_general",
        "lotor_depthwise_conv_2d_v7m_general forward",
        "lotor_conv_2d_v7m forward",
        "lotor_conv_2d_v7m_pointwise forward",
        "lotor_mul_v7m forward",
        "lotor_softmax_v7m forward",
        "lotor_average_pool_2d_v7m forward",
        "lotor_max_pool_2d_v7m forward",
        "lotor_mean_v7m forward",
    }


def test_overlap_of_groups_is_as_declared(tmp_path: Path) -> None:
    found = {}
    for name, shape, filters, side, stride in (
        ("pixels", (1, 5, 7, 6), 6, 1, 1),
        ("pixels that grow", (1, 5, 7, 4), 8, 1, 1),
        ("pixels that shrink", (1, 6, 6, 8), 4, 1, 1),
        ("windows", (2, 7, 6, 6), 6, 3, 1),
        ("windows with stride", (1, 9, 10, 4), 8, 3, 2),
    ):
        m = ModelBuilder(seed=1)
        weights = m.weights((filters, side, side, shape[3] // 2))
        m.output(m.conv2d(m.input(shape, Quant(0.05, 3)), weights=weights, stride=(stride, stride)))
        found[name] = m
    assert check_overlap(found, TARGET, tmp_path) == {"lotor_conv_2d_v7m forward"}


@pytest.mark.parametrize("zero_point", [0, 255])
def test_largest_sums_of_weights_with_a_zero_point(zero_point: int, tmp_path: Path) -> None:
    """So many inputs that neither their sums nor those of products fit half a word."""
    rng = np.random.default_rng(0)
    m = ModelBuilder(seed=3)
    weights = rng.choice(np.array([-128, 127], np.int8), (5, 1, 1, 700))
    weights[0] = -128
    weights[1] = 127
    x = m.input((1, 3, 3, 700), Quant(0.05, -128))
    m.output(m.conv2d(x, weights=weights, per_channel=False))
    m.output(m.conv2d(x, weights=weights[..., :350].repeat(2, 0), per_channel=False))
    flat = m.reshape(x, (9, 700))
    m.output(m.fully_connected(flat, weights=weights.reshape(5, 700), per_channel=False))
    m.to_uint8(zero_point)
    names = ("conv_2d_v7m_pointwise", "conv_2d_v7m", "fully_connected_v7m")
    assert {f"lotor_{name}" for name in names} <= taken(m, TARGET, tmp_path).keys()
