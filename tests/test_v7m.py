"""The kernels for Armv7-M on an emulated Cortex-M3, against LiteRT's reference."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator
from kernel_layers import (
    check_random_layers,
    convolutions,
    depthwise,
)
from tflite_builder import ModelBuilder

pytestmark = needs_emulator
TARGET = "cortex-m3"


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(convolutions, "conv_2d"), (depthwise, "depthwise_conv_2d")],
)  # fmt: skip
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}_v7m", tmp_path_factory)
