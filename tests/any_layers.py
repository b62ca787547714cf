"""Random layers of any shape, which kernels for several instruction sets take."""

import numpy as np
from hypothesis import strategies as st

from cases.binary import binary
from cases.strategies import BRANCHES, Draw, activations, builder, quants, scaling, window
from tflite_builder import ModelBuilder

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
