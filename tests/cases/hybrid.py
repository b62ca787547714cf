"""Cases of float32 activations beside int8 weights."""

from typing import Any

import numpy as np
import tflite
from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, activations, builder, pair, window
from tflite_builder import ModelBuilder, Quant, Tensor, Window

KINDS = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}


def hybrid(
    m: ModelBuilder,
    kind: str,
    x: Tensor,
    weights: Any,
    scales: tuple[float, ...],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    activation: str = "NONE",
    weight_dtype: str = "int8",
) -> Tensor:
    """A convolution with weights of 8 or 4 bits, one scale or one for each output channel."""
    axis = 0 if kind == "CONV_2D" else 3
    channels = weights.shape[axis]
    w = m.constant(weights, Quant(scales, 0, axis), weight_dtype)
    b = m.constant(m.rng.normal(0, 1, channels), None, "float32")
    size = Window((weights.shape[1], weights.shape[2]), stride, dilation, padding).output(x)
    fields = {
        "Padding": getattr(tflite.Padding, padding),
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": getattr(tflite.ActivationFunctionType, activation),
    }
    if axis == 3:
        fields["DepthMultiplier"] = channels // x.shape[3]
    y = m.tensor((x.shape[0], *size, channels), None, "float32")
    return m.operator(kind, [x, w, b], [y], KINDS[kind], 6, **fields)


def hybrid_dense(
    m: ModelBuilder,
    x: Tensor,
    units: int,
    depth: int | None = None,
    per_channel: bool = False,
    activation: str = "NONE",
    asymmetric: bool = False,
    bias: bool = True,
    weight_dtype: str = "int8",
    keep_dims: bool = False,
) -> Tensor:
    """FULLY_CONNECTED on rows of `depth` (the last axis), with weights of 8 or 4 bits."""
    depth = depth or x.shape[-1]
    weights = m.weights((units, depth))
    scales = scales_of(m, units if per_channel else 1)
    w = m.constant(weights >> 4 if weight_dtype == "int4" else weights, Quant(scales), weight_dtype)
    b = m.constant(m.rng.choice([-0.0, 0.7, -1.3, 5.9], units), None, "float32") if bias else None
    shape = (*x.shape[:-1], units) if keep_dims else (int(np.prod(x.shape)) // depth, units)
    return m.operator(
        "FULLY_CONNECTED",
        [x, w, b],
        [m.tensor(shape, None, "float32")],
        "FullyConnectedOptions",
        12 if per_channel else 9,
        FusedActivationFunction=getattr(tflite.ActivationFunctionType, activation),
        AsymmetricQuantizeInputs=asymmetric,
        KeepNumDims=keep_dims,
    )


def scales_of(m: ModelBuilder, count: int) -> tuple[float, ...]:
    return tuple(float(s) for s in m.rng.uniform(0.001, 0.02, count).astype(np.float32))


@case
def dynamic_range(m: ModelBuilder) -> None:
    x = m.input((2, 5, 6, 4), dtype="float32")
    m.output(hybrid(m, "CONV_2D", x, m.weights((3, 3, 2, 4)), scales_of(m, 3), (2, 1)))
    m.output(hybrid(m, "CONV_2D", x, m.weights((4, 2, 2, 4)), scales_of(m, 1)))
    small = m.weights((4, 2, 2, 2)) >> 4
    m.output(hybrid(m, "CONV_2D", x, small, scales_of(m, 4), weight_dtype="int4"))
    taps = m.weights((1, 3, 3, 8))
    m.output(hybrid(m, "DEPTHWISE_CONV_2D", x, taps, scales_of(m, 8), activation="RELU6"))


@case
def dynamic_range_dense(m: ModelBuilder) -> None:
    x = m.input((3, 37), dtype="float32")
    m.output(hybrid_dense(m, x, 5, activation="RELU"), hybrid_dense(m, x, 3, bias=False))
    m.output(hybrid_dense(m, x, 4, per_channel=True, asymmetric=True, activation="RELU6"))
    m.output(hybrid_dense(m, x, 6, weight_dtype="int4", per_channel=True))
    m.output(hybrid_dense(m, x, 2, weight_dtype="int4", asymmetric=True, activation="RELU"))


@random_models
def random_hybrid(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    groups = draw(st.sampled_from([1, 1, 2]))
    batches = draw(st.sampled_from([1, 1, 2]))
    shape = (batches, *pair(draw, 1, 7), groups * draw(st.integers(1, 5)))
    x = m.input(shape, dtype="float32")
    for _ in range(BRANCHES):
        geometry = window(draw, x)
        kernel, activation = geometry.pop("kernel"), draw(activations)
        if draw(st.booleans()):
            kind, channels = "CONV_2D", groups * draw(st.integers(1, 4))
            weights = m.weights((channels, *kernel, shape[3] // groups))
            # One channel alone has one scale, and groups need several.
            one = (groups == 1 and draw(st.booleans())) or channels == 1
        else:
            kind, channels, one = "DEPTHWISE_CONV_2D", shape[3] * draw(st.integers(1, 3)), False
            weights = m.weights((1, *kernel, channels))
        scales = scales_of(m, 1 if one else channels)
        m.output(hybrid(m, kind, x, weights, scales, activation=activation, **geometry))
    return m


@random_models
def random_hybrid_dense(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    depth, groups = draw(st.integers(1, 60)), draw(st.integers(1, 3))
    x = m.input((draw(st.integers(1, 3)), groups * depth), dtype="float32")
    for _ in range(BRANCHES):
        units = draw(st.integers(1, 9))
        keep = groups == 1 and draw(st.booleans())
        several, asymmetric, bias = (draw(st.booleans()) for _ in range(3))
        dtype = draw(st.sampled_from(["int8", "int4"]))
        kind = draw(activations)
        m.output(hybrid_dense(m, x, units, depth, several, kind, asymmetric, bias, dtype, keep))
    return m
