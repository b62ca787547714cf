"""The kernels for the DSP instructions of further operators and of layers of any shape."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from cases.binary import binary
from cases.strategies import BRANCHES, Draw, activations, builder, quants, scaling, window
from cortex_m import needs_emulator
from kernel_layers import check_overlap, check_random_layers
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m4"
uint8 = st.sampled_from([False, False, True])
zero_points = st.sampled_from([0, 1, 100, 128, 131, 255])  # of uint8 weights


@st.composite
def any_depthwise(draw: Draw) -> ModelBuilder:
    """Windows, strides and dilations of all kinds, columns, several outputs of a channel."""
    m, old = builder(draw), draw(uint8)
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 16))
    width = draw(st.sampled_from([1, *range(1, 18)]))
    x = m.input((batch, height, width, draw(st.integers(1, 5))), draw(quants))
    for _ in range(BRANCHES):
        shape = window(draw, x, dilated=not old)
        if draw(st.booleans()):
            shape["stride"] = (draw(st.integers(1, 2)),) * 2
        times = draw(st.integers(1, 3))
        m.output(m.depthwise_conv2d(x, times, **shape, **scaling(draw, uint8=old)))
    if old:
        m.to_uint8(draw(zero_points))
    return m


@st.composite
def any_convolution(draw: Draw) -> ModelBuilder:
    """Groups, weights with a zero point, or few pixels or filters; weights of -128."""
    m, old = builder(draw), draw(uint8)
    groups, few = draw(st.sampled_from([1, 1, 2, 3])), draw(st.booleans())
    sides = st.integers(1, 2 if few else 8)
    channels = groups * draw(st.integers(1, 9))
    x = m.input(
        (draw(st.sampled_from([1, 1, 2])), draw(sides), draw(sides), channels), draw(quants)
    )
    for _ in range(BRANCHES):
        shape = window(draw, x, dilated=not old)
        if draw(st.booleans()):
            shape = {"kernel": (1, 1)}
        filters = groups * draw(st.integers(1, 5))
        weights = m.weights((filters, *shape.pop("kernel"), channels // groups))
        weights.reshape(-1)[0] = -128
        m.output(m.conv2d(x, weights=weights, **shape, **scaling(draw, uint8=old)))
    if old:
        m.to_uint8(draw(zero_points))
    return m


@st.composite
def any_dense(draw: Draw) -> ModelBuilder:
    m, old = builder(draw), draw(uint8)
    inputs = draw(st.integers(1, 70))
    x = m.input((draw(st.integers(1, 3)), inputs), draw(quants))
    for _ in range(BRANCHES):
        weights = m.weights((draw(st.integers(1, 9)), inputs))
        weights.reshape(-1)[0] = -128
        m.output(m.fully_connected(x, weights=weights, **scaling(draw, uint8=old)))
    if old:
        m.to_uint8(draw(zero_points))
    return m


@st.composite
def products(draw: Draw) -> ModelBuilder:
    """Two tensors, one of which may be broadcast or constant."""
    m = builder(draw)
    whole = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    part = draw(
        st.sampled_from(
            [whole, (1, *whole[1:]), (1, 1, whole[2]), (1,), (*whole[:2], 1), whole[2:]]
        )
    )
    a = m.input(whole, draw(quants))
    b = m.input(part, draw(quants))
    if draw(st.booleans()):
        b = m.constant(m.rng.integers(-128, 128, part).astype(np.int8), draw(quants), "int8")
    for _ in range(BRANCHES):
        quant, turned = draw(quants), draw(st.booleans())
        operands = (b, a) if turned else (a, b)
        m.output(binary(m, "MUL", *operands, quant=quant, activation=draw(activations)))
    return m


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
