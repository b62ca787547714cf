"""Cases of FULLY_CONNECTED."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, float32s, quants, scaling
from tflite_builder import _ACTIVATIONS, ModelBuilder, Quant, Tensor

_BIAS_TYPES = {"float32": 0, "int32": 2, "int64": 4}  # "float32": not said


def dense(
    m: ModelBuilder,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    quant: Quant | None = None,
    activation: str = "NONE",
    bias_type: str = "float32",
    dtype: str | None = None,
) -> Tensor:
    """FULLY_CONNECTED of any types, on rows."""
    units, depth = weights.shape
    y = m.tensor((int(np.prod(x.shape)) // depth, units), quant, dtype or x.dtype)
    return m.operator(
        "FULLY_CONNECTED",
        [x, weights, bias],
        [y],
        "FullyConnectedOptions",
        version=11 if bias_type != "float32" else 7 if x.dtype == "int16" else 6,
        FusedActivationFunction=_ACTIVATIONS[activation],
        QuantizedBiasType=_BIAS_TYPES[bias_type],
    )


def wide(m: ModelBuilder, x: Tensor, units: int, bias: str | None, **scaling: Any) -> Tensor:
    """int16 activations and int8 weights; `bias` is its type, None for none."""
    depth = x.shape[-1]
    per_channel = scaling.pop("per_channel", False)
    scales = tuple(float(s) for s in m.rng.uniform(0.002, 0.009, units if per_channel else 1))
    values = m.rng.integers(-(2**24), 2**24, units)
    return dense(
        m,
        x,
        m.constant(m.weights((units, depth)), Quant(scales)),
        None
        if bias is None
        else m.constant(values, Quant(tuple(x.scale * s for s in scales)), bias),
        Quant(float(np.float32(x.scale * 0.005 * 70 * depth**0.5))),
        bias_type="int32" if bias == "int32" else "float32",
        **scaling,
    )


@case
def fully_connected(m: ModelBuilder) -> None:
    x = m.input((3, 29))
    m.output(m.fully_connected(x, 6), m.fully_connected(x, 5, per_channel=True, bias=False))
    w = m.input((4, 29), Quant(0.02, 7))
    m.output(dense(m, x, w, m.constant(m.rng.integers(-999, 999, 4), None, "int32"), m.quant(0.3)))


@case
def fully_connected_of_other_types(m: ModelBuilder) -> None:
    x = m.input((3, 23), dtype="float32")
    f = m.constant(m.rng.normal(0, 1, (4, 23)), dtype="float32")
    b = m.constant(m.rng.normal(0, 1, 4), dtype="float32")
    m.output(dense(m, x, f, b, activation="RELU6"), dense(m, x, f))
    m.output(dense(m, x, m.input((3, 23), dtype="float32"), activation="RELU_N1_TO_1"))
    y = m.input((3, 23), Quant(0.0003), "int16")
    m.output(wide(m, y, 5, "int64", per_channel=True), wide(m, y, 4, None, activation="RELU"))
    m.output(wide(m, y, 4, "int32"))


@edge
def fully_connected_uint8(m: ModelBuilder) -> None:
    x = m.input((5, 31), Quant(0.04, 9))
    m.output(
        m.fully_connected(x, 7, activation="RELU6"),
        m.fully_connected(x, 3, bias=False),
        m.fully_connected(x, 4, quant=Quant(0.9, -3)),
    )
    m.to_uint8(weights_zero_point=151)


@edge
def fully_connected_of_asymmetric_weights(m: ModelBuilder) -> None:
    x = m.input((2, 300), Quant(2.0**-4, -128))
    for zero_point in (-128, 3, 127):
        m.output(m.fully_connected(x, 5, weight_quant=Quant(2.0**-5, zero_point)))


@edge
def fully_connected_with_scales_no_integer_equals(m: ModelBuilder) -> None:
    # Every step of the output decides; the products round up to a half step in float64 alone.
    x = m.input((256, 1), Quant(1.0, 0))
    for scale in (1e-7, 3e-9, 0.3):
        bias = m.rng.integers(-(2**31), 2**31, 40)
        quant = Quant(float(np.float32(0.001 / scale)), 0)
        for weights in (Quant(0.001), Quant(tuple(m.rng.uniform(0.0005, 0.001, 40)))):
            values = m.weights((40, 1))
            m.output(
                m.fully_connected(x, weights=values, weight_quant=weights, bias=bias, quant=quant)
            )


@edge
def fully_connected_with_sums_that_wrap(m: ModelBuilder) -> None:
    x = m.input((2, 600), Quant(0.01, 0), "int16")
    weights = m.constant(np.full((4, 600), 127), Quant(0.01))
    bias = m.constant([2**31 - 1, -(2**31), 0, 5], None, "int32")
    m.output(dense(m, x, weights, bias, Quant(3.7), bias_type="int32"))
    y = m.input((2, 60), Quant(0.5, -128))
    ends = np.array([2**31 - 1, -(2**31), 2**31 - 9, 4])
    one = Quant(2.0**-10)
    m.output(m.fully_connected(y, 4, bias=ends, weight_quant=one, quant=Quant(2.0**12, 3)))


@random_models
def random_fully_connected(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    rows, depth = draw(st.integers(1, 4)), draw(st.integers(1, 70))
    shape = draw(st.sampled_from([(rows, depth), (1, rows, depth), (1, 1, rows, depth)]))
    x = m.input(shape, draw(quants))
    uint8 = draw(st.booleans())
    for _ in range(BRANCHES):
        scales_ = scaling(draw)
        scales_["per_channel"] &= not uint8
        bias = draw(st.sampled_from([None, False]))
        units = draw(st.integers(1, 12))
        keep = draw(st.booleans())
        weights = None if keep or len(shape) == 2 else m.weights((units, depth))
        m.output(m.fully_connected(x, units, weights=weights, bias=bias, keep_dims=keep, **scales_))
    if uint8:
        m.to_uint8(draw(st.integers(0, 255)))
    return m


@random_models
def random_fully_connected_int16(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input(
        (draw(st.integers(1, 3)), draw(st.integers(1, 70))),
        Quant(draw(float32s(1e-4, 0.1))),
        "int16",
    )
    for _ in range(BRANCHES):
        m.output(
            wide(
                m,
                x,
                draw(st.integers(1, 9)),
                draw(st.sampled_from([None, "int32", "int64"])),
                per_channel=draw(st.booleans()),
                activation=draw(st.sampled_from(["NONE", "RELU", "RELU6"])),
            )
        )
    return m
