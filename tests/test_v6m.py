"""The kernels for Armv6-M on an emulated Cortex-M0+, against LiteRT's reference."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator
from kernel_layers import (
    check_overlap,
    check_random_layers,
    convolutions,
    depthwise,
    overlapping,
)
from tflite_builder import ModelBuilder

pytestmark = needs_emulator
TARGET = "cortex-m0plus"


@pytest.mark.parametrize(
    ("draw", "kernel"), [(convolutions, "conv_2d"), (depthwise, "depthwise_conv_2d")]
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}_v6m", tmp_path_factory)


def test_overlap_is_as_declared(tmp_path: Path) -> None:
    models = {name: m for name, m in overlapping().items() if name != "sums"}
    assert check_overlap(models, TARGET, tmp_path) == {
        "lotor_conv_2d_v6m forward",
        "lotor_depthwise_conv_2d_v6m forward",
    }
