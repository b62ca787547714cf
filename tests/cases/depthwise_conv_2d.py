"""Cases of DEPTHWISE_CONV_2D."""

from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, image, scaling, typed_image, window
from tflite_builder import ModelBuilder, Quant


@case
def depthwise_conv_2d(m: ModelBuilder) -> None:
    x = m.input((1, 9, 8, 5))
    m.output(m.depthwise_conv2d(x, 1, (3, 3), (2, 2), activation="RELU"))
    m.output(m.depthwise_conv2d(x, 3, (2, 3), padding="VALID", per_channel=False))
    m.output(m.depthwise_conv2d(x, 2, weight_dtype="int4"))


@case
def depthwise_conv_2d_of_other_types(m: ModelBuilder) -> None:
    x = m.input((1, 6, 5, 4), Quant(1e-4), "int16")
    m.output(m.depthwise_conv2d(x, 2, stride=(2, 1), activation="RELU6"))
    y = m.input((1, 5, 6, 3), dtype="float32")
    m.output(m.depthwise_conv2d(y, 2, dilation=(2, 1), activation="RELU_N1_TO_1"))
    m.output(m.depthwise_conv2d(y, padding="VALID", bias=False))


@random_models
def random_depthwise_conv_2d(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for _ in range(BRANCHES):
        times = draw(st.sampled_from([1, 1, 2, 3, 8]))
        m.output(m.depthwise_conv2d(x, times, **window(draw, x), **scaling(draw)))
    return m


@random_models
def depthwise_conv_2d_of_any_type(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = typed_image(draw, m)
    uint8 = x.dtype == "int8" and draw(st.booleans())
    small = x.dtype == "int8" and not uint8
    for _ in range(BRANCHES):
        kind = draw(st.sampled_from(["int4", "int8"])) if small else "int8"
        times = draw(st.sampled_from([1, 1, 2, 3]))
        geometry = window(draw, x)
        scales = scaling(draw, x, uint8)
        m.output(m.depthwise_conv2d(x, times, weight_dtype=kind, **geometry, **scales))
    if uint8:
        m.to_uint8(draw(st.integers(0, 255)))
    return m
