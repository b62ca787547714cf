"""Cases of QUANTIZE."""

import numpy as np

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, quants, scales, zero_points
from tflite_builder import ModelBuilder, Quant


@case
def quantize(m: ModelBuilder) -> None:
    x = m.input((1, 40), dtype="float32")
    y = m.quantize(x, Quant(float(np.float32(0.05)), 3))
    m.output(m.quantize(y, Quant(0.11, -20)), y)


@random_models
def random_quantize(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 300), draw(quants))
    for _ in range(BRANCHES):
        m.output(m.dequantize(m.quantize(x, draw(quants))))
    return m


@random_models
def quantize_floats(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((1, 400), dtype="float32")
    # The scale around whose ties the inputs lie, and any other.
    for scale in (float(np.float32(0.05)), draw(scales)):
        y = m.quantize(x, Quant(scale, draw(zero_points)))
        m.output(y, m.dequantize(y))
    return m
