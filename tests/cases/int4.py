"""Cases of weights of four bits: odd rows and channels, groups, and every value that they have."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.fully_connected import dense
from cases.hybrid import hybrid, scales_of
from cases.strategies import BRANCHES, Draw, builder, pair, quants, scaling, window
from tflite_builder import Array, ModelBuilder, Quant


def values(m: ModelBuilder, *shape: int) -> Array:
    """Random weights of four bits, -8 and 7 among them."""
    return m.rng.integers(-8, 8, shape, dtype=np.int8)


@case
def int4_weights(m: ModelBuilder) -> None:
    x = m.input((2, 7, 6, 6))
    m.output(m.conv2d(x, 5, (3, 3), (2, 1), activation="RELU6", weight_dtype="int4"))
    groups = values(m, 4, 3, 1, 3)  # rows of 9
    m.output(m.conv2d(x, weights=groups, dilation=(2, 1), weight_dtype="int4"))
    m.output(
        m.depthwise_conv2d(
            x, 3, (2, 3), dilation=(1, 2), activation="RELU_N1_TO_1", weight_dtype="int4"
        )
    )
    y = m.input((3, 29))
    m.output(m.fully_connected(y, 5, "RELU", True, weight_dtype="int4"))
    m.output(m.fully_connected(y, 4, bias=False, weight_dtype="int4"))


@case
def int4_weights_beside_other_types(m: ModelBuilder) -> None:
    x = m.input((2, 5, 4, 6), Quant(1e-4), "int16")
    m.output(m.conv2d(x, weights=values(m, 4, 3, 1, 3), activation="RELU", weight_dtype="int4"))
    y = m.input((2, 23), Quant(0.0003), "int16")
    for units in (1, 3):
        w = m.constant(values(m, units, 23), Quant(scales_of(m, units)), "int4")
        m.output(dense(m, y, w, m.constant(np.arange(units), None, "int64"), Quant(0.0006)))
    z = m.input((2, 5, 4, 6), dtype="float32")
    for scales in (4, 1):
        w4 = values(m, 4, 3, 1, 3 if scales > 1 else 6)
        m.output(hybrid(m, "CONV_2D", z, w4, scales_of(m, scales), weight_dtype="int4"))


@edge
def int4_weights_at_their_limits(m: ModelBuilder) -> None:
    x = m.input((1, 3, 3, 5), Quant(0.05, 127))
    y = m.input((2, 31), Quant(0.05, -128))
    for weight in (-8, 7, -1):
        fives = np.full((3, 1, 3, 5), weight, np.int8)
        m.output(m.conv2d(x, weights=fives, padding="VALID", weight_dtype="int4"))
        taps = np.full((1, 3, 1, 5), weight, np.int8)
        m.output(m.depthwise_conv2d(x, weights=taps, weight_dtype="int4"))
        rows = np.full((3, 31), weight, np.int8)
        m.output(m.fully_connected(y, weights=rows, weight_dtype="int4"))


@edge
def int4_weights_with_scales_no_integer_equals(m: ModelBuilder) -> None:
    x = m.input((256, 1), Quant(1.0, 0))
    for scale in (1e-7, 3e-9):
        ends = m.rng.integers(-(2**31), 2**31, 40)
        ends[:2] = 2**31 - 1, -(2**31)  # the sums wrap
        quant = Quant(float(np.float32(0.001 / scale)), 0)
        m.output(
            m.fully_connected(
                x,
                weights=values(m, 40, 1),
                weight_quant=Quant(0.001),
                bias=ends,
                quant=quant,
                weight_dtype="int4",
            )
        )


@edge
def int4_weights_with_sums_beyond_32_bits(m: ModelBuilder) -> None:
    x = m.input((2, 9), Quant(0.01), "int16")
    weights = m.constant(values(m, 4, 9), Quant(0.01), "int4")
    ends = m.constant([2**31 - 1, -(2**31), 0, 5], None, "int32")
    m.output(dense(m, x, weights, ends, Quant(3.7), bias_type="int32"))
    far = m.constant([2**40, -(2**41), 0, 2**31 - 1], None, "int64")
    m.output(dense(m, x, weights, far, Quant(2.0**14)))


@random_models
def random_int4(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    groups, depth = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 5))
    x = m.input((draw(st.sampled_from([1, 1, 2])), *pair(draw, 1, 7), groups * depth), draw(quants))
    for _ in range(BRANCHES):
        kind = draw(st.sampled_from(["conv", "depthwise", "dense"]))
        geometry, scales = window(draw, x), scaling(draw)
        kernel = geometry.pop("kernel")
        if kind == "conv":
            w = values(m, groups * draw(st.integers(1, 4)), *kernel, depth)
            m.output(m.conv2d(x, weights=w, weight_dtype="int4", **geometry, **scales))
        elif kind == "depthwise":
            w = values(m, 1, *kernel, x.shape[3] * draw(st.integers(1, 3)))
            m.output(m.depthwise_conv2d(x, weights=w, weight_dtype="int4", **geometry, **scales))
        else:
            w = values(m, draw(st.integers(1, 7)), int(np.prod(x.shape[1:])))
            m.output(m.fully_connected(x, weights=w, weight_dtype="int4", **scales))
    return m
