"""The kernels for Armv7-M on an emulated Cortex-M3, against LiteRT's reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator
from kernel_layers import (
    check_overlap,
    check_random_layers,
    convolutions,
    dense,
    depthwise,
    overlapping,
    sums,
    taken,
)
from lotor.compiler import compile_model
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m3"


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(convolutions, "conv_2d"), (depthwise, "depthwise_conv_2d"),
     (dense, "fully_connected"), (sums, "add")],
)  # fmt: skip
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}_v7m", tmp_path_factory)


def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), TARGET, tmp_path) == {
        "lotor_conv_2d_v7m forward",
        "lotor_depthwise_conv_2d_v7m",
        "lotor_depthwise_conv_2d_v7m forward",
        "lotor_add_v7m forward",
    }


@pytest.mark.parametrize(("a", "b", "y"), [(0.25, 0.25, 0.5), (0.5, 0.25, 1.0), (0.125, 0.5, 0.5)])
def test_sums_that_end_at_halves(a: float, b: float, y: float, tmp_path: Path) -> None:
    m = ModelBuilder(seed=4)
    shape = (1, 9, 7)
    m.output(m.add(m.input(shape, Quant(a, 3)), m.input(shape, Quant(b, -5)), quant=Quant(y, 4)))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["away"] == 1  # as the reference rounds
    assert taken(m, TARGET, tmp_path) == {"lotor_add_v7m": 1}


def test_windows_that_are_too_large(tmp_path: Path) -> None:
    """The assembly takes the bytes of six windows as a number of 16 bits."""
    for inputs, kernel in ((5460, "v7m"), (5462, "portable")):
        m = ModelBuilder(seed=3)
        weights = np.ones((2, 1, 1, inputs), np.int8)
        m.output(m.conv2d(m.input((1, 2, 2, inputs), Quant(0.05, 3)), weights=weights))
        assert taken(m, TARGET, tmp_path / kernel) == {f"lotor_conv_2d_{kernel}": 1}


def test_weights_and_inputs_at_their_ends(tmp_path: Path) -> None:
    """The largest sums of two products, in both halves of a word."""
    rng = np.random.default_rng(0)
    m = ModelBuilder(seed=3)
    weights = rng.choice(np.array([-127, 127], np.int8), (9, 1, 1, 20))
    x = m.input((1, 5, 5, 20), Quant(0.05, -128))
    m.output(m.conv2d(x, weights=weights))
    m.output(m.depthwise_conv2d(x, weights=rng.choice(weights.reshape(-1), (1, 3, 3, 20))))
    assert taken(m, TARGET, tmp_path) == {"lotor_conv_2d_v7m": 1, "lotor_depthwise_conv_2d_v7m": 1}


def test_layers_take_the_kernels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), activation="RELU")
    x = m.depthwise_conv2d(x, activation="RELU")
    y = m.conv2d(x, 8, (1, 1))
    x = m.depthwise_conv2d(m.add(x, y), stride=(2, 2))
    m.output(m.fully_connected(m.reshape(x, (1, 72)), 5))
    compiled = compile_model(m.build(), TARGET)
    assert [layer.steps[0].variant.name for layer in compiled.layers] == ["v7m"] * 6
