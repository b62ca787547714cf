"""Cases of SOFTMAX."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, scales, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor


def softmax_to(m: ModelBuilder, x: Tensor, dtype: str, quant: Quant, beta: float = 1.0) -> Tensor:
    """SOFTMAX with any output."""
    y = m.tensor(x.shape, quant, dtype)
    return m.operator("SOFTMAX", [x], [y], "SoftmaxOptions", Beta=beta)


@case
def softmax(m: ModelBuilder) -> None:
    x = m.input((3, 10), Quant(0.1, 5))
    m.output(m.softmax(x), softmax_to(m, x, "int16", Quant(2.0**-16, -32768)))
    y = m.input((3, 10), Quant(0.0003), "int16")
    m.output(softmax_to(m, y, "int16", Quant(2.0**-15)))
    z = m.input((3, 10), Quant(0.1, 130), "uint8")
    m.output(softmax_to(m, z, "uint8", Quant(1 / 256, 0)))
    # Rounded so coarsely that the last bits of the exponentials do not matter.
    m.output(m.quantize(m.softmax(m.input((3, 10), dtype="float32"), beta=0.7), Quant(0.03, -9)))


@edge
def softmax_of_uint8_to_any_scale(m: ModelBuilder) -> None:
    x = m.input((3, 10), Quant(0.1, 130), "uint8")
    m.output(softmax_to(m, x, "uint8", Quant(0.01, 3)))
    m.output(m.dequantize(softmax_to(m, x, "uint8", Quant(1 / 255, 0))))


@edge
def softmax_int16_extremes(m: ModelBuilder) -> None:
    for scale in (2.0**-25, 1e-4, 10 / 65535, 2.0**-10, 0.1, 4.9):
        x = m.input((3, 11), Quant(scale), "int16")
        m.output(softmax_to(m, x, "int16", Quant(2.0**-15)))
    m.output(softmax_to(m, m.input((1, 2000), Quant(1e-4), "int16"), "int16", Quant(2.0**-15)))
    m.output(softmax_to(m, m.input((3, 1), Quant(0.01), "int16"), "int16", Quant(2.0**-15)))
    for depth in (1, 4000):
        z = m.input((1, depth), Quant(0.05, 0))
        m.output(softmax_to(m, z, "int16", Quant(2.0**-16, -32768)))


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


@random_models
def random_softmax_int16(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    for _ in range(3):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 40)))
        x = m.input(shape, Quant(draw(float32s(2.0**-20, 2.0))), "int16")
        beta = draw(float32s(0.25, 2.0))
        m.output(softmax_to(m, x, "int16", Quant(2.0**-15), beta))
        y = m.input(shape, Quant(draw(scales), draw(zero_points)))
        m.output(softmax_to(m, y, "int16", Quant(2.0**-16, -32768), beta))
    return m
