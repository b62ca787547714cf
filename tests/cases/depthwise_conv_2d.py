"""Cases of DEPTHWISE_CONV_2D."""

from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, image, scaling, window
from tflite_builder import ModelBuilder


@case
def depthwise_conv_2d(m: ModelBuilder) -> None:
    x = m.input((1, 9, 8, 5))
    m.output(m.depthwise_conv2d(x, 1, (3, 3), (2, 2), activation="RELU"))
    m.output(m.depthwise_conv2d(x, 3, (2, 3), padding="VALID", per_channel=False))


@random_models
def random_depthwise_conv_2d(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for _ in range(BRANCHES):
        times = draw(st.sampled_from([1, 1, 2, 3, 8]))
        m.output(m.depthwise_conv2d(x, times, **window(draw, x), **scaling(draw)))
    return m
