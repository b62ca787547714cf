"""Cases of REDUCE_MAX."""

from cases import case, edge
from cases.arg_max import with_gaps
from cases.mean import every_axis, reduction, three_groups
from tflite_builder import ModelBuilder, Quant


@case
def reduce_max(m: ModelBuilder) -> None:
    for x in (
        m.input((2, 5, 3), Quant(0.1, 7)),
        m.input((2, 5, 3), Quant(0.1, 0), "int16"),
        m.input((2, 5, 3), None, "int32"),
        m.input((2, 5, 3), None, "float32"),
    ):
        m.output(reduction(m, "REDUCE_MAX", x, 1))


@edge
def reduce_max_axes(m: ModelBuilder) -> None:
    every_axis(m, "REDUCE_MAX", m.input((3, 4, 5), None, "float32"))
    three_groups(m, "REDUCE_MAX", m.input((2, 3, 2, 3, 4), Quant(0.1, 7)))


@edge
def reduce_max_and_min_with_gaps(m: ModelBuilder) -> None:
    x = with_gaps(m, (4, 5, 3))
    for kind in ("REDUCE_MAX", "REDUCE_MIN"):
        m.output(reduction(m, kind, x, 1), reduction(m, kind, x, (0, 1, 2), True))


@edge
def reduce_max_uint8(m: ModelBuilder) -> None:
    m.output(reduction(m, "REDUCE_MAX", m.input((2, 5, 3), Quant(0.1, 7)), 1))
    m.to_uint8()
