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
KINDS = ("conv_2d", "depthwise_conv_2d")


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


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), TARGET, tmp_path) == {
        "lotor_conv_2d_v7m forward",
        "lotor_conv_2d_v7m_pointwise forward",
        "lotor_depthwise_conv_2d_v7m",
        "lotor_depthwise_conv_2d_v7m forward",
        "lotor_add_v7m forward",
    }


def test_numbers_of_pixels_and_inputs(tmp_path: Path) -> None:
    """Every rest of six pixels, of a turn of eight pairs, and of four bytes; a single input."""
    m = ModelBuilder(seed=3)
    shapes = [(pixels, 6) for pixels in range(1, 8)] + [(4, inputs) for inputs in range(1, 35, 3)]
    for pixels, inputs in shapes:
        x = m.input((1, 1, pixels, inputs), Quant(0.05, 3))
        m.output(m.conv2d(x, 3, (1, 1)))
        m.output(m.conv2d(x, 2, (1, 3)))
    found = taken(m, TARGET, tmp_path)
    assert found == {"lotor_conv_2d_v7m": len(shapes), "lotor_conv_2d_v7m_pointwise": len(shapes)}


@pytest.mark.parametrize(("a", "b", "y"), [(0.25, 0.25, 0.5), (0.5, 0.25, 1.0), (0.125, 0.5, 0.5)])
def test_sums_that_end_at_halves(a: float, b: float, y: float, tmp_path: Path) -> None:
    m = ModelBuilder(seed=4)
    shape = (1, 9, 7)
    m.output(m.add(m.input(shape, Quant(a, 3)), m.input(shape, Quant(b, -5)), quant=Quant(y, 4)))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["away"] == 1  # as the reference rounds
    assert taken(m, TARGET, tmp_path) == {"lotor_add_v7m": 1}


@pytest.mark.parametrize("lowest", [-127, -128])
def test_weights_and_inputs_at_their_ends(lowest: int, tmp_path: Path) -> None:
    """The largest sums of two products, in both halves of a word."""
    rng = np.random.default_rng(0)
    m = ModelBuilder(seed=3)
    weights = rng.choice(np.array([lowest, 127], np.int8), (9, 1, 1, 20))
    weights[0] = lowest
    lowest_depthwise = rng.choice(weights.reshape(-1), (1, 3, 3, 20))
    lowest_depthwise[..., 0] = lowest
    x = m.input((1, 5, 5, 20), Quant(0.05, -128))
    m.output(m.conv2d(x, weights=weights))
    m.output(m.depthwise_conv2d(x, weights=lowest_depthwise))
    names = {
        f"lotor_{kind}_{name}" for kind, name in zip(KINDS, ("v7m_pointwise", "v7m"), strict=True)
    }
    assert taken(m, TARGET, tmp_path).keys() == names


def test_layers_take_the_kernels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), activation="RELU")
    x = m.depthwise_conv2d(x, activation="RELU")
    y = m.conv2d(x, 8, (1, 1))
    x = m.depthwise_conv2d(m.add(x, y), stride=(2, 2))
    m.output(m.fully_connected(m.reshape(x, (1, 72)), 5))
    compiled = compile_model(m.build(), TARGET)
    names = [layer.steps[0].variant.instruction_set for layer in compiled.layers]
    assert names == ["v7m"] * 6
