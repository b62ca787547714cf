"""Cases of RESHAPE."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, image
from tflite_builder import ModelBuilder


@case
def reshape(m: ModelBuilder) -> None:
    x = m.input((1, 4, 3, 2))
    m.output(m.fully_connected(m.reshape(x, (2, 12)), 3), m.reshape(x, (24,)))


@edge
def reshapes_of_inputs_and_to_outputs(m: ModelBuilder) -> None:
    x = m.input((1, 4, 6, 2))
    flat = m.reshape(x, (2, 24))
    y = m.conv2d(m.reshape(flat, (1, 3, 8, 2)), 3)
    m.output(m.reshape(m.reshape(y, (1, 72)), (72,), as_input=False), m.reshape(x, (48,)), flat)


@random_models
def random_reshape(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m, 4, 4)
    y = m.conv2d(x, 2, (1, 1))
    flat = m.reshape(y, (x.shape[0], -1), as_input=draw(st.booleans()))
    m.output(m.reshape(x, (-1,)), flat)
    m.output(m.fully_connected(flat, 3, per_channel=draw(st.booleans())))
    return m
