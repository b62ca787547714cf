"""Cases of CONV_2D."""

from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, image, pair, quants, scaling, window
from tflite_builder import ModelBuilder


@case
def conv_2d(m: ModelBuilder) -> None:
    x = m.input((1, 9, 8, 3))
    m.output(m.conv2d(x, 7, (3, 3), (2, 1), activation="RELU6"))
    m.output(m.conv2d(x, 5, (2, 3), dilation=(2, 2), padding="VALID", per_channel=False))


@random_models
def random_conv_2d(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for _ in range(BRANCHES):
        channels = draw(st.integers(1, 12))
        m.output(m.conv2d(x, channels, **window(draw, x), **scaling(draw)))
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
