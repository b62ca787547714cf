"""Cases of PRELU."""

from collections.abc import Sequence

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, quants, scales, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor


def prelu(
    m: ModelBuilder,
    x: Tensor,
    shape: Sequence[int],
    quant: Quant | None = None,
    alpha_quant: Quant | None = None,
) -> Tensor:
    """PRELU with random factors of a shape."""
    if x.dtype == "float32":
        alpha = m.constant(m.rng.normal(0, 1, tuple(shape)), None, "float32")
    else:
        dtype = "uint8" if x.dtype == "uint8" else "int8"
        low = 0 if dtype == "uint8" else -128
        values = m.rng.integers(low, low + 256, tuple(shape))
        alpha = m.constant(values, alpha_quant or Quant(0.004, low + 131), dtype)
    y = m.tensor(x.shape, None if x.dtype == "float32" else quant or x.quant, x.dtype)
    return m.operator("PRELU", [x, alpha], [y])


@case
def prelus(m: ModelBuilder) -> None:
    x, f = m.input((1, 3, 4, 5), Quant(0.07, 9)), m.input((1, 3, 4, 5), dtype="float32")
    z = m.input((1, 3, 4, 5), Quant(0.0003), "int16")
    u = m.input((1, 3, 4, 5), Quant(0.07, 99), "uint8")
    for shape in ((1, 1, 5), (3, 4, 5), (3, 1, 1), (1,), (1, 3, 4, 1)):
        m.output(prelu(m, x, shape, Quant(0.05, -3)), prelu(m, f, shape), prelu(m, z, shape))
        m.output(prelu(m, u, shape, Quant(0.05, 133)))


@edge
def prelu_extremes(m: ModelBuilder) -> None:
    for scale in (2.0**-20, 1.0, 1000.0):
        for out in (2.0**-8, 0.5, 100.0):
            x = m.input((1, 4, 64), Quant(scale, 3))
            m.output(prelu(m, x, (4, 64), Quant(out, 127), Quant(2.0**-6, 0)))


@random_models
def random_prelu(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = m.input((2, 3, 30), draw(quants))
    for shape in ((30,), (3, 30), (3, 1)):
        alpha_quant = Quant(draw(scales) / 10, draw(zero_points))
        m.output(prelu(m, x, shape, draw(quants), alpha_quant))
    z = m.input((2, 3, 30), Quant(draw(float32s(1e-5, 0.002))), "int16")
    m.output(prelu(m, z, (30,), Quant(draw(float32s(1e-5, 0.002)))))
    return m
