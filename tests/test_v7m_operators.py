"""The kernels for Armv7-M of further operators and of layers of any shape."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator
from kernel_layers import check_random_layers
from test_dsp_operators import any_depthwise
from tflite_builder import ModelBuilder

pytestmark = needs_emulator
TARGET = "cortex-m3"


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(any_depthwise, "depthwise_conv_2d_v7m_general")],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory)
