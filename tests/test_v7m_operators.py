"""The kernels for Armv7-M of further operators and of layers of any shape."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from any_layers import any_depthwise, products
from cortex_m import needs_emulator
from kernel_layers import check_overlap, check_random_layers
from test_dsp_operators import overlapping, pools, softmaxes
from tflite_builder import ModelBuilder

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
        (any_depthwise, "depthwise_conv_2d_v7m_general"),
    ],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory)


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
