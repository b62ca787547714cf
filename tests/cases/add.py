"""Cases of ADD."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, activations, builder, quants
from tflite_builder import ModelBuilder, Quant


@case
def add(m: ModelBuilder) -> None:
    x = m.input((1, 5, 4, 3))
    m.output(m.add(x, m.input((1, 5, 4, 3)), "RELU"))


@edge
def add_of_very_different_scales(m: ModelBuilder) -> None:
    a, b = m.input((1, 256), Quant(0.25, 3)), m.input((1, 256), Quant(2.0**-20, -128))
    m.output(m.add(a, b), m.add(b, a), m.add(b, b, quant=Quant(0.25, 0)))


@edge
def clamps_at_a_tie_of_single_precision(m: ModelBuilder) -> None:
    # 6 / scale is half a step in float32 and just off it in float64.
    x = m.input((1, 256), Quant(0.25, -128))
    for steps in range(20, 250):
        scale = np.float32(6) / np.float32(steps + 0.5)
        if np.float32(6) / scale == steps + 0.5 > 6 / float(scale):
            m.output(m.add(x, x, "RELU6", Quant(float(scale), -128)))
    assert len(m.outputs) > 5


@random_models
def random_add(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    a, b = m.input(shape, draw(quants)), m.input(shape, draw(quants))
    for left, right in ((a, b), (b, a), (a, a)):
        quant = draw(st.one_of(st.none(), quants))
        m.output(m.add(left, right, draw(activations), quant))
    return m
