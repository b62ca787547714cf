"""Cases of LOG_SOFTMAX."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, scales, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor


def log_softmax(m: ModelBuilder, x: Tensor) -> Tensor:
    quants = {"int8": Quant(1 / 16, 127), "uint8": Quant(1 / 16, 255)}
    y = m.tensor(x.shape, quants.get(x.dtype), x.dtype)
    return m.operator("LOG_SOFTMAX", [x], [y], "LogSoftmaxOptions", 2)


@case
def log_softmaxes(m: ModelBuilder) -> None:
    m.output(log_softmax(m, m.input((3, 10), Quant(0.1, 5))))
    m.output(log_softmax(m, m.input((3, 10), Quant(0.07, 130), "uint8")))
    x = m.input((3, 10), dtype="float32")
    m.output(m.quantize(log_softmax(m, x), Quant(0.13, 127)))


@edge
def log_softmax_extremes(m: ModelBuilder) -> None:
    for scale in (2.0**-24, 1e-4, 0.1, 0.125, 1.0, 31.0, 60.0, 1e4):
        m.output(log_softmax(m, m.input((3, 11), Quant(scale, 0))))
    m.output(log_softmax(m, m.input((1, 1), Quant(0.05, 0))))
    m.output(log_softmax(m, m.input((1, 4000), Quant(0.05, 0))))


@random_models
def random_log_softmax(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    for _ in range(3):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 40)))
        scale = draw(st.one_of(scales, float32s(2.0**-20, 60.0)))
        m.output(log_softmax(m, m.input(shape, Quant(scale, draw(zero_points)))))
    return m
