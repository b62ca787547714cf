"""Cases of REDUCE_MIN."""

from cases import case, edge
from cases.mean import every_axis, reduction, three_groups
from tflite_builder import ModelBuilder, Quant


@case
def reduce_min(m: ModelBuilder) -> None:
    for x in (
        m.input((2, 5, 3), Quant(0.1, 7)),
        m.input((2, 5, 3), Quant(0.1, 0), "int16"),
        m.input((2, 5, 3), None, "int32"),
        m.input((2, 5, 3), None, "float32"),
    ):
        m.output(reduction(m, "REDUCE_MIN", x, 1))


@edge
def reduce_min_axes(m: ModelBuilder) -> None:
    every_axis(m, "REDUCE_MIN", m.input((3, 4, 5), None, "float32"))
    three_groups(m, "REDUCE_MIN", m.input((2, 3, 2, 3, 4), Quant(0.1, 7)))


@edge
def reduce_min_uint8(m: ModelBuilder) -> None:
    m.output(reduction(m, "REDUCE_MIN", m.input((2, 5, 3), Quant(0.1, 7)), 1))
    m.to_uint8()
