"""Cases of the operators of one input that work element by element."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, quants, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor

_LOGISTIC = {"int8": Quant(1 / 256, -128), "uint8": Quant(1 / 256, 0), "int16": Quant(2.0**-15)}
# Fields of the option tables.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "LEAKY_RELU": ("LeakyReluOptions", {"Alpha": 0.3}),
    "GELU": ("GeluOptions", {"Approximate": False}),
}
_UINT8 = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "GELU")
_INT8 = (*_UINT8, "HARD_SWISH", "ABS", "NEG", "EXP", "LOG")
_POSITIVE = ("SQRT", "RSQRT")  # at numbers below zero the reference stops with an error
_INT16 = ("RELU", "RELU6", "LEAKY_RELU", "ABS", "NEG", "EXP", "LOG", "GELU")
_FLOAT = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "HARD_SWISH", "ABS")


def unary(
    m: ModelBuilder, kind: str, x: Tensor, quant: Quant | None = None, **fields: Any
) -> Tensor:
    """An operator of one input; `fields` are those of its options."""
    if kind == "LOGISTIC" and x.dtype != "float32":
        quant = _LOGISTIC[x.dtype]
    y = m.tensor(x.shape, None if x.dtype == "float32" else quant or x.quant, x.dtype)
    if kind not in _OPTIONS:
        return m.operator(kind, [x], [y])
    options, defaults = _OPTIONS[kind]
    return m.operator(kind, [x], [y], options, **(defaults | fields))


@case
def tables(m: ModelBuilder) -> None:
    x, positive = m.input((1, 256), Quant(0.05, -7)), m.input((1, 256), Quant(0.05, -128))
    for kind in _INT8:
        m.output(unary(m, kind, x, Quant(0.031, 5)))
    for kind in _POSITIVE:
        m.output(unary(m, kind, positive, Quant(0.031, 5)))
    m.output(unary(m, "GELU", x, Approximate=True), unary(m, "LEAKY_RELU", x, Alpha=-1.5))


@edge
def tables_of_uint8(m: ModelBuilder) -> None:
    x = m.input((1, 256), Quant(0.05, 121), dtype="uint8")
    for kind in (*_UINT8, "HARD_SWISH"):
        m.output(unary(m, kind, x, Quant(0.031, 133)))


@edge
def tables_that_saturate(m: ModelBuilder) -> None:
    for scale in (2.0**-20, 3.0, 1000.0):
        x = m.input((1, 256), Quant(scale, 3))
        for out in (2.0**-10, 2.0**-3, 100.0):
            for kind in ("EXP", "LOG", "TANH", "LEAKY_RELU", "RELU6", "ABS"):
                m.output(unary(m, kind, x, Quant(out, -3)))
            if scale / out < 128:
                m.output(unary(m, "HARD_SWISH", x, Quant(out, -3)))


@edge
def roots_of_extreme_scales(m: ModelBuilder) -> None:
    for scale in (2.0**-20, 1.0, 1000.0):
        x = m.input((1, 256), Quant(scale, -128))
        for out in (2.0**-8, 0.7):
            m.output(unary(m, "SQRT", x, Quant(out, 3)))
            if scale * out**2 > 1e-7:
                m.output(unary(m, "RSQRT", x, Quant(out, 3)))


@random_models
def random_tables(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 256), draw(quants))
    for kind in draw(st.lists(st.sampled_from(_INT8), min_size=6, max_size=6)):
        alpha = float(draw(float32s(-3.0, 3.0)))
        fields = {"LEAKY_RELU": {"Alpha": alpha}, "GELU": {"Approximate": draw(st.booleans())}}
        m.output(unary(m, kind, x, draw(quants), **fields.get(kind, {})))
    positive = m.input((1, 256), Quant(draw(quants).single, -128))
    for kind in _POSITIVE:
        m.output(unary(m, kind, positive, Quant(draw(float32s(0.02, 1.0)), draw(zero_points))))
    return m


@case
def elementwise(m: ModelBuilder) -> None:
    """The forms that are no tables and exact."""
    x = m.input((1, 512), Quant(float(np.float32(0.0003))), dtype="int16")
    for kind in _INT16:
        m.output(unary(m, kind, x, Quant(float(np.float32(0.0002)))))
    for scale in (2.0**-12, 2.0**-11, 0.0003, 0.01, 1.7):
        z = m.input((1, 512), Quant(float(np.float32(scale))), dtype="int16")
        m.output(unary(m, "LOGISTIC", z), unary(m, "TANH", z, Quant(2.0**-15)))
    f = m.input((1, 64), dtype="float32")
    for kind in (*_FLOAT, "NEG", "SQUARE", "SIGN", "FLOOR"):
        m.output(unary(m, kind, f))
    for kind in _POSITIVE:
        m.output(unary(m, kind, unary(m, "ABS", f)))
    for dtype in ("int32", "int64"):
        i = m.input((1, 16), dtype=dtype)
        m.output(unary(m, "NEG", i))
        if dtype == "int32":
            m.output(unary(m, "ABS", i), unary(m, "SIGN", i))


@case
def float_functions(m: ModelBuilder) -> None:
    """The inexact forms, so coarsely quantized that their last bits do not matter."""
    x = m.input((1, 64), dtype="float32")
    for kind in ("EXP", "LOGISTIC", "TANH", "GELU", "SIN", "COS"):
        m.output(m.quantize(unary(m, kind, x), Quant(0.013, -20)))
    positive = unary(m, "ABS", m.dequantize(m.input((1, 256), Quant(0.05, 0))))
    m.output(m.quantize(unary(m, "LOG", positive), Quant(0.05, 20)))
    m.output(m.quantize(unary(m, "GELU", x, Approximate=True), Quant(0.013, -20)))


@edge
def elementwise_extremes(m: ModelBuilder) -> None:
    for scale in (2.0**-18, 0.02, 100.0):
        x = m.input((1, 512), Quant(float(np.float32(scale))), dtype="int16")
        for out in (2.0**-15, 0.003, 1.0):
            for kind in ("RELU", "RELU6", "LEAKY_RELU", "ABS", "LOG", "EXP"):
                m.output(unary(m, kind, x, Quant(float(np.float32(out)))))
        m.output(unary(m, "LEAKY_RELU", x, Quant(0.5), Alpha=-2.0))
    # Of zeros a negative alpha changes the sign.
    m.output(unary(m, "LEAKY_RELU", m.input((1, 64), dtype="float32"), Alpha=-2.0))


@edge
def every_int16(m: ModelBuilder) -> None:
    for scale in (2.0**-12, 2.0**-11, float(np.float32(0.0003))):
        x = m.input((1, 65536), Quant(scale), "int16")
        m.output(unary(m, "LOGISTIC", x), unary(m, "TANH", x, Quant(2.0**-15)))
    m.output(unary(m, "GELU", x))


@random_models
def random_elementwise(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 600), Quant(draw(float32s(1e-5, 0.002))), dtype="int16")
    for kind in _INT16:
        m.output(unary(m, kind, x, Quant(draw(float32s(1e-5, 0.002)))))
    m.output(unary(m, "LEAKY_RELU", x, Alpha=float(draw(float32s(-3.0, 3.0)))))
    m.output(unary(m, "LOGISTIC", x), unary(m, "TANH", x, Quant(2.0**-15)))
    return m
