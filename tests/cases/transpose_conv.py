"""Cases of TRANSPOSE_CONV."""

from typing import Any

import numpy as np
import tflite
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.movement import concatenation, split
from cases.strategies import BRANCHES, Draw, builder, pair, scaling, typed_image
from tflite_builder import ModelBuilder, Quant, Scaling, Tensor


def transpose_conv(
    m: ModelBuilder,
    x: Tensor,
    weights: tuple[int, int, int],
    size: tuple[int, int],
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    activation: str = "NONE",
    bias: Any = None,
    per_channel: bool = True,
    multiplier: float | None = None,
    weight_quant: Quant | None = None,
    quant: Quant | None = None,
) -> Tensor:
    """TRANSPOSE_CONV; weights are (channels, height, width), `size` is the output's."""
    scale = Scaling(activation, per_channel, weight_quant, quant, multiplier)
    shape = (*weights, x.shape[3])
    w, b, quant = m.operands(x, m.weights(shape), 0, x.shape[3], bias, scale)
    y = m.tensor((x.shape[0], *size, weights[0]), quant, x.dtype)
    sizes = m.constant(np.array(y.shape), None, "int32")
    return m.operator(
        "TRANSPOSE_CONV",
        [sizes, w, x] if b is None else [sizes, w, x, b],
        [y],
        "TransposeConvOptions",
        4,
        Padding=getattr(tflite.Padding, padding),
        StrideH=stride[0],
        StrideW=stride[1],
        FusedActivationFunction=getattr(tflite.ActivationFunctionType, activation),
    )


@case
def transposed(m: ModelBuilder) -> None:
    x = m.input((1, 3, 4, 3))
    m.output(transpose_conv(m, x, (4, 3, 2), (6, 7), activation="RELU"))
    m.output(transpose_conv(m, x, (2, 4, 3), (6, 6), (1, 1), "VALID", bias=False))


@case
def transposed_of_other_types(m: ModelBuilder) -> None:
    x = m.input((1, 3, 2, 5), Quant(1e-4), "int16")
    m.output(transpose_conv(m, x, (2, 3, 3), (7, 5), padding="VALID"))
    m.output(m.narrow_bias(transpose_conv(m, x, (2, 2, 3), (6, 4), activation="RELU6")))
    y = m.input((1, 3, 4, 3), dtype="float32")
    m.output(transpose_conv(m, y, (2, 3, 4), (5, 8), activation="RELU6"))
    m.output(transpose_conv(m, y, (3, 2, 5), (9, 18), (3, 4), "VALID", bias=False))


@edge
def uint8_scales_multiply_in_float32(m: ModelBuilder) -> None:
    # The float32 product of the scales is 0.5, the exact one a little more: odd negative sums
    # lie on a tie, which rounds up, or below it.
    a, b = np.float32(0.7), np.float32(0.71428573)
    assert np.float32(a * b) == 0.5 and float(a) * float(b) != 0.5
    x = m.input((1, 8, 8, 1), Quant(float(a), 3))
    one: dict[str, Any] = {"weight_quant": Quant(float(b)), "quant": Quant(1.0, 5)}
    bias = np.array([0, 1])
    ones = np.ones((2, 1, 1, 1), np.int8)
    m.output(
        m.conv2d(x, weights=ones, bias=bias, **one),
        m.depthwise_conv2d(x, weights=ones.reshape(1, 1, 1, 2), bias=bias, **one),
        transpose_conv(m, x, (2, 1, 1), (8, 8), (1, 1), bias=bias, per_channel=False, **one),
    )
    m.to_uint8()


@edge
def convolutions_of_parts(m: ModelBuilder) -> None:
    # Inputs that lie in a larger tensor, and outputs that do.
    for dtype, quant in (("int8", Quant(0.05, 3)), ("int16", Quant(1e-4)), ("float32", None)):
        x = m.input((1, 3, 4, 6), quant, dtype)
        a, b, c = split(m, m.conv2d(x, 6, (1, 1), quant=quant), 3, 3)
        parts = [
            transpose_conv(m, a, (2, 3, 3), (3, 4), (1, 1), quant=quant),
            m.conv2d(b, 3, quant=quant),
            m.depthwise_conv2d(c, 2, quant=quant),
        ]
        m.output(concatenation(m, parts, 3))


@random_models
def random_transpose_conv(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = typed_image(draw, m, 5)
    uint8 = x.dtype == "int8" and draw(st.booleans())
    for _ in range(BRANCHES):
        kernel, stride = pair(draw, 1, 4), pair(draw, 1, 4)
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        size = []
        for n, k, s in zip(x.shape[1:3], kernel, stride, strict=True):
            low = (n - 1) * s + (1 if padding == "SAME" else k)
            size.append(low + draw(st.integers(0, s - 1)))
        y = transpose_conv(
            m,
            x,
            (draw(st.integers(1, 4)), *kernel),
            (size[0], size[1]),
            stride,
            padding,
            bias=draw(st.sampled_from([None, False])),
            **scaling(draw, x, uint8),
        )
        m.output(m.narrow_bias(y) if x.dtype == "int16" and draw(st.booleans()) else y)
    if uint8:
        m.to_uint8(draw(st.integers(0, 255)))
    return m
