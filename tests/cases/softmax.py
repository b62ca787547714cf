"""Cases of SOFTMAX."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, scales, zero_points
from tflite_builder import ModelBuilder, Quant


@case
def softmax(m: ModelBuilder) -> None:
    m.output(m.softmax(m.input((3, 10), Quant(0.1, 5))))


@edge
def softmax_extremes(m: ModelBuilder) -> None:
    for scale in (2.0**-25, 1e-4, 0.1, 1.0, 31.0, 60.0, 1e4):
        x = m.input((3, 11), Quant(scale, 0))
        m.output(m.softmax(x))
    m.output(m.softmax(m.input((1, 511), Quant(0.05, 0))))
    m.output(m.softmax(m.input((2, 3, 2, 5), Quant(0.05, 0)), beta=0.5))


@random_models
def random_softmax(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    rows, depth = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    scale = draw(st.one_of(scales, float32s(2.0**-20, 60.0)))
    x = m.input((rows, depth), Quant(scale, draw(zero_points)))
    for beta in (1.0, draw(float32s(0.25, 4.0))):
        m.output(m.softmax(x, beta))
    return m
