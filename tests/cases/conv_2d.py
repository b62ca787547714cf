"""Cases of CONV_2D."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import (
    BRANCHES,
    Draw,
    builder,
    image,
    pair,
    quants,
    scaling,
    typed_image,
    window,
)
from tflite_builder import ModelBuilder, Quant


@case
def conv_2d(m: ModelBuilder) -> None:
    x = m.input((1, 9, 8, 3))
    m.output(m.conv2d(x, 7, (3, 3), (2, 1), activation="RELU6"))
    m.output(m.conv2d(x, 5, (2, 3), dilation=(2, 2), padding="VALID", per_channel=False))
    m.output(m.conv2d(x, 3, weight_dtype="int4", activation="RELU"))
    m.output(m.conv2d(x, 3, (2, 2)))  # padded after the last pixel only


@case
def conv_2d_of_other_types(m: ModelBuilder) -> None:
    x = m.input((1, 6, 5, 4), Quant(1e-4), "int16")
    m.output(m.conv2d(x, 3, stride=(2, 1), activation="RELU"))
    m.output(m.conv2d(x, weights=m.weights((6, 3, 2, 2)), padding="VALID"))
    y = m.input((1, 5, 6, 4), dtype="float32")
    m.output(m.conv2d(y, 3, dilation=(2, 1), activation="RELU6"))
    m.output(m.conv2d(y, weights=m.weights((4, 2, 2, 2)), stride=(1, 2)))


@edge
def int16_sums(m: ModelBuilder) -> None:
    # Ties of the requantization, biases of more than 32 bits, sums that wrap in 32.
    x = m.input((1, 8, 8, 1), Quant(2.0**-5), "int16")
    weights = np.arange(-8, 8, dtype=np.int8).reshape(16, 1, 1, 1)
    one = Quant(2.0**-6)
    # A factor just below 1 does not fit the 15 bits of its multiplier.
    for scale in (2.0**-16, 2.0**-13, 2.0**-11 * 1.00001, 2.0**-11, 2.0**-10, 2.0**-9, 2.0**-4):
        quant = Quant(float(np.float32(scale)))
        bias = np.arange(16) - 8
        m.output(m.conv2d(x, weights=weights, weight_quant=one, bias=bias, quant=quant))
    for bits in (31, 40, 45):
        large = np.array([1, -1, 3, -3] * 4) << bits
        quant = Quant(2.0 ** (bits - 24))
        m.output(m.conv2d(x, weights=weights, weight_quant=one, bias=large, quant=quant))


@edge
def int16_sums_of_32_bits(m: ModelBuilder) -> None:
    x = m.input((1, 3, 3, 300), Quant(2.0**-12), "int16")
    for multiplier in (1e-4, 2.0**-12, 0.7, 3.0):
        y = m.conv2d(x, 3, (2, 2), multiplier=multiplier)
        m.output(m.narrow_bias(y))


@edge
def uint8_groups(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 6), Quant(0.05, 11))
    for depth in (2, 3):
        m.output(m.conv2d(x, weights=m.weights((6, 2, 2, depth)), per_channel=False))
    m.to_uint8(77)


@edge
def float_limits(m: ModelBuilder) -> None:
    x = m.input((1, 3, 3, 2), dtype="float32")
    largest = float(np.finfo(np.float32).max)
    for activation in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1"):
        weights = np.array([1.0, -1.0, largest, -largest, 1e-45, 0.0, -0.0, 1.0], np.float32)
        bias = np.array([-0.0, 1e30, largest, 0.0], np.float32)
        m.output(m.conv2d(x, weights=weights.reshape(4, 1, 1, 2), bias=bias, activation=activation))


@random_models
def random_conv_2d(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for _ in range(BRANCHES):
        channels = draw(st.integers(1, 12))
        m.output(m.conv2d(x, channels, **window(draw, x), **scaling(draw)))
    return m


@random_models
def conv_2d_of_any_type(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    groups = draw(st.sampled_from([1, 1, 2]))
    x = typed_image(draw, m, groups=groups)
    uint8 = x.dtype == "int8" and draw(st.booleans())
    for _ in range(BRANCHES):
        kind = "int8" if uint8 else draw(st.sampled_from(["int4", "int8"]))
        geometry = window(draw, x)
        channels = groups * draw(st.integers(1, 4))
        weights = m.weights((channels, *geometry.pop("kernel"), x.shape[3] // groups))
        scales = scaling(draw, x, uint8)
        y = m.conv2d(x, weights=weights, weight_dtype=kind, **geometry, **scales)
        m.output(m.narrow_bias(y) if x.dtype == "int16" and draw(st.booleans()) else y)
    if uint8:
        m.to_uint8(draw(st.integers(0, 255)))
    return m


@random_models
def grouped_conv_2d(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    groups, depth = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    x = m.input((1, *pair(draw, 1, 6), groups * depth), draw(quants))
    for _ in range(BRANCHES):
        channels = groups * draw(st.integers(1, 4))
        geometry = window(draw, x)
        weights = m.weights((channels, *geometry.pop("kernel"), depth))
        m.output(m.conv2d(x, weights=weights, **geometry, **scaling(draw)))
    return m
