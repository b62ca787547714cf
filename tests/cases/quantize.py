"""Cases of QUANTIZE."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, float32s, quants, scales, zero_points
from tflite_builder import ModelBuilder, Quant

# Integer inputs, and what the reference quantizes them to.
_FORMS = {
    "int8": ("int8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}


@case
def quantize(m: ModelBuilder) -> None:
    x = m.input((1, 40), dtype="float32")
    y = m.quantize(x, Quant(float(np.float32(0.05)), 3))
    m.output(m.quantize(y, Quant(0.11, -20)), y)
    z = m.quantize(x, Quant(0.0005), "int16")
    m.output(z, m.dequantize(z))
    for dtype, outputs in _FORMS.items():
        i = m.input((1, 40), Quant(0.002 if dtype == "int16" else 0.03, 0), dtype)
        for out in outputs:
            m.output(m.quantize(i, Quant(0.017, 0), out))


@edge
def requantize_extremes(m: ModelBuilder) -> None:
    for dtype, outputs in _FORMS.items():
        for scale, zero_point in ((2.0**-30, 7), (1.0, -3), (1000.0, 1)):
            x = m.input((1, 99), Quant(scale, 0 if dtype == "int16" else zero_point), dtype)
            for out in outputs:
                for quant in (Quant(2.0**-12), Quant(1.0, 0 if out == "int16" else -9)):
                    if scale / quant.single < 1 << 24:
                        m.output(m.quantize(x, quant, out))


@edge
def quantize_int16_zero_points(m: ModelBuilder) -> None:
    x, f = m.input((1, 256), Quant(0.25, 5)), m.input((1, 64), dtype="float32")
    m.output(m.quantize(x, Quant(0.001, -700), "int16"), m.quantize(f, Quant(2.0**-9, 99), "int16"))


@random_models
def random_quantize(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 300), draw(quants))
    for _ in range(BRANCHES):
        m.output(m.dequantize(m.quantize(x, draw(quants))))
    return m


@random_models
def random_requantize(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    for dtype, outputs in _FORMS.items():
        scale = draw(float32s(1e-7, 1e-3) if dtype == "int32" else float32s(1e-4, 0.1))
        x = m.input((1, 300), Quant(scale, 0 if dtype == "int16" else draw(zero_points)), dtype)
        for out in outputs:
            zero_point = 0 if "int16" in (dtype, out) else draw(zero_points)
            m.output(m.quantize(x, Quant(draw(float32s(1e-4, 1.0)), zero_point), out))
    return m


@random_models
def quantize_floats(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 400), dtype="float32")
    # The scale around whose ties the inputs lie, and any other.
    for scale in (float(np.float32(0.05)), draw(scales)):
        y = m.quantize(x, Quant(scale, draw(zero_points)))
        m.output(y, m.dequantize(y))
    fine = Quant(0.05 / 2 ** draw(st.integers(0, 8)))
    m.output(m.quantize(x, fine, "int16"))
    return m
