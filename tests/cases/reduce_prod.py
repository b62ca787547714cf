"""Cases of REDUCE_PROD."""

from cases import case, edge
from cases.mean import every_axis, reduction
from tflite_builder import ModelBuilder


@case
def reduce_prod(m: ModelBuilder) -> None:
    m.output(reduction(m, "REDUCE_PROD", m.input((2, 3, 3), None, "int32"), 1))
    m.output(reduction(m, "REDUCE_PROD", m.input((2, 3, 3), None, "float32"), (0, 1)))


@edge
def reduce_prod_axes(m: ModelBuilder) -> None:
    every_axis(m, "REDUCE_PROD", m.input((2, 4, 3), None, "float32"))
    every_axis(m, "REDUCE_PROD", m.input((2, 4, 3), None, "int32"))
