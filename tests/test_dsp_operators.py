"""The kernels for the DSP instructions of further operators and of layers of any shape."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from any_layers import any_convolution, any_dense, any_depthwise, products, uint8
from cases.binary import binary
from cases.strategies import BRANCHES, Draw, activations, builder, quants, window
from cortex_m import needs_emulator
from kernel_layers import check_overlap, check_random_layers
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m4"


@st.composite
def pools(draw: Draw) -> ModelBuilder:
    """Windows inside the image for means, any for the largest; means over one or two axes."""
    m, old = builder(draw), draw(uint8)
    shape = (draw(st.sampled_from([1, 1, 2])), draw(st.integers(2, 17)), draw(st.integers(2, 15)))
    x = m.input((*shape, draw(st.integers(4, 11))), draw(quants))
    for _ in range(BRANCHES):
        how = window(draw, x, dilated=False)
        m.output(m.max_pool2d(x, **how, activation=draw(activations)))
        sides = (draw(st.integers(1, shape[1])), draw(st.integers(1, shape[2])))
        how = {"stride": how["stride"], "padding": "VALID"}
        m.output(m.average_pool2d(x, sides, **how, activation=draw(activations)))
        if not old:
            axes = draw(st.sampled_from([(1, 2), (1,), (2,)]))
            m.output(m.mean(x, axes, quant=draw(quants)))
    if old:
        m.to_uint8()
    return m


@st.composite
def softmaxes(draw: Draw) -> ModelBuilder:
    """Of fewer than 512 classes: LiteRT stops where their exponentials sum up to that."""
    m = builder(draw)
    scale = draw(st.sampled_from([0.01, 0.037, 0.1, 0.25]))
    depth = draw(st.sampled_from([256, 257, 400, 511]))
    m.output(m.softmax(m.input((draw(st.integers(1, 2)), depth), Quant(scale, 3))))
    return m


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [
        (softmaxes, "softmax_dsp"),
        (pools, "max_pool_2d_dsp"),
        (pools, "average_pool_2d_dsp"),
        (pools, "mean_dsp"),
        (products, "mul_dsp"),
        (any_convolution, "conv_2d_dsp_general"),
        (any_dense, "fully_connected_dsp_general"),
        (any_depthwise, "depthwise_conv_2d_dsp_general"),
    ],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory)


def overlapping() -> dict[str, ModelBuilder]:
    """One layer each."""
    found = {}
    for name, shape, times, kernel, stride in (
        ("channels", (2, 9, 7, 5), 1, (5, 3), 1),
        ("channels of large images", (1, 40, 30, 2), 1, (3, 5), 1),
        ("rows", (1, 12, 11, 5), 1, (5, 5), 2),
        ("rows of large images", (2, 44, 40, 8), 1, (5, 5), 2),
        ("rows that grow", (1, 9, 8, 5), 3, (3, 3), 1),
        ("columns", (1, 24, 1, 6), 1, (5, 1), 2),
    ):
        m = ModelBuilder(seed=1)
        x = m.input(shape, Quant(0.05, 3))
        m.output(m.depthwise_conv2d(x, times, kernel, (stride, stride)))
        found[name] = m
    for name, shape, channels, side, stride in (
        ("pixels", (1, 5, 7, 6), 6, 1, 1),
        ("pixels that grow", (1, 5, 7, 4), 9, 1, 1),
        ("windows with stride", (1, 9, 10, 4), 8, 3, 2),
        ("a filter", (1, 9, 10, 4), 1, 3, 1),
    ):
        m = ModelBuilder(seed=1)
        weights = m.weights((channels, side, side, shape[3]))
        weights.reshape(-1)[0] = -128
        m.output(m.conv2d(m.input(shape, Quant(0.05, 3)), weights=weights, stride=(stride, stride)))
        found[name] = m
    for name, part in (("products", (1, 7, 5)), ("products of channels", (1, 1, 5))):
        m = ModelBuilder(seed=1)
        a, b = m.input((1, 7, 5), Quant(0.05, 3)), m.input(part, Quant(0.07, 9))
        m.output(binary(m, "MUL", a, b, quant=Quant(0.1173, 3), activation="NONE"))
        found[name] = m
    for name, shape, side, stride in (
        ("a pool", (1, 6, 7, 6), 3, 2),
        ("pixels of many channels", (2, 3, 4, 9), 1, 1),
        ("all pixels", (1, 5, 5, 8), 5, 1),
    ):
        for kind in ("largest", "mean"):
            m = ModelBuilder(seed=1)
            x = m.input(shape, Quant(0.05, 3))
            pool = m.max_pool2d if kind == "largest" else m.average_pool2d
            m.output(pool(x, (side, side), (stride, stride), "VALID"))
            found[f"{kind} of {name}"] = m
    m = ModelBuilder(seed=1)
    m.output(m.mean(m.input((1, 6, 5, 7), Quant(0.05, 3)), (2,)))
    found["means"] = m
    m = ModelBuilder(seed=1)
    m.output(m.softmax(m.input((2, 300), Quant(0.05, 3))))
    found["softmax"] = m
    return found


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), TARGET, tmp_path) == {
        "lotor_depthwise_conv_2d_dsp_general",
        "lotor_depthwise_conv_2d_dsp_general forward",
        "lotor_conv_2d_dsp_general forward",
        "lotor_mul_dsp forward",
        "lotor_softmax_dsp forward",
        "lotor_average_pool_2d_dsp forward",
        "lotor_max_pool_2d_dsp forward",
        "lotor_mean_dsp forward",
    }
