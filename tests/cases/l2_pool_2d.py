"""Cases of L2_POOL_2D."""

from cases import case
from cases.average_pool_2d import pool
from tflite_builder import ModelBuilder


@case
def l2_pool_2d(m: ModelBuilder) -> None:
    x = m.input((1, 7, 6, 5), dtype="float32")
    m.output(pool(m, "L2_POOL_2D", x), pool(m, "L2_POOL_2D", x, (2, 2), (1, 1), "VALID", "RELU6"))
