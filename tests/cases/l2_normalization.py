"""Cases of L2_NORMALIZATION."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, quants
from tflite_builder import ModelBuilder, Quant, Tensor


def l2_normalization(m: ModelBuilder, x: Tensor) -> Tensor:
    quants = {"int8": Quant(1 / 128, 0), "uint8": Quant(1 / 128, 128)}
    y = m.tensor(x.shape, quants.get(x.dtype), x.dtype)
    return m.operator("L2_NORMALIZATION", [x], [y], "L2NormOptions", 2)


@case
def l2_normalizations(m: ModelBuilder) -> None:
    m.output(l2_normalization(m, m.input((3, 10), Quant(0.1, 5))))
    m.output(l2_normalization(m, m.input((3, 40), Quant(0.1, 130), "uint8")))
    m.output(l2_normalization(m, m.input((3, 2, 5), dtype="float32")))


@edge
def l2_normalization_extremes(m: ModelBuilder) -> None:
    for depth in (1, 2, 3, 1000):
        for dtype, zero_points in (("int8", (-128, 0, 127)), ("uint8", (0, 128, 255))):
            for zero_point in zero_points:
                x = m.input((3, depth), Quant(0.1, zero_point), dtype)
                m.output(l2_normalization(m, x))


@random_models
def random_l2_normalization(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    for _ in range(3):
        shape = (draw(st.integers(1, 4)), draw(st.integers(1, 40)))
        m.output(l2_normalization(m, m.input(shape, draw(quants))))
    return m
