"""Cases of MAX_POOL_2D."""

from cases import case
from tflite_builder import ModelBuilder, Quant


@case
def max_pool_2d(m: ModelBuilder) -> None:
    x = m.input((1, 7, 6, 5), Quant(0.05, -20))
    m.output(m.max_pool2d(x, (3, 2), (2, 2), "SAME", "RELU"))
