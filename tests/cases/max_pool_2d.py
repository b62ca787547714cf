"""Cases of MAX_POOL_2D."""

from cases import case, edge
from cases.arg_max import with_gaps
from cases.average_pool_2d import pool, pool_activations, pool_all_types
from tflite_builder import ModelBuilder, Quant


@case
def max_pool_2d(m: ModelBuilder) -> None:
    pool_all_types(m, "MAX_POOL_2D")


@edge
def max_pool_2d_activations(m: ModelBuilder) -> None:
    pool_activations(m, "MAX_POOL_2D")


@edge
def max_pool_2d_with_gaps(m: ModelBuilder) -> None:
    x = with_gaps(m, (2, 4, 5, 3))
    m.output(pool(m, "MAX_POOL_2D", x), pool(m, "AVERAGE_POOL_2D", x))


@edge
def max_pool_2d_uint8(m: ModelBuilder) -> None:
    x = m.input((1, 5, 4, 3), Quant(0.05, -20))
    m.output(m.max_pool2d(x, (2, 2), (1, 1), "SAME", "RELU6"))
    m.to_uint8()
