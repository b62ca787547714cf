"""Cases of SUM."""

from cases import case, edge
from cases.mean import every_axis, reduction, three_groups
from tflite_builder import ModelBuilder, Quant


@case
def sum_over_axes(m: ModelBuilder) -> None:
    x = m.input((2, 5, 3), Quant(0.1, 7))
    m.output(reduction(m, "SUM", x, 1, quant=Quant(0.3, -50)))
    m.to_uint8()
    m.output(reduction(m, "SUM", m.input((2, 5, 3), None, "float32"), (0, 1)))


@edge
def sum_of_other_types(m: ModelBuilder) -> None:
    every_axis(m, "SUM", m.input((3, 4, 5), None, "float32"))
    every_axis(m, "SUM", m.input((3, 4, 5), None, "int32"))


@edge
def sum_of_uint8(m: ModelBuilder) -> None:
    x = m.input((2, 3, 2, 3, 4), Quant(0.1, 7))
    three_groups(m, "SUM", x)
    for scale in (0.01, 0.1, 2.0, 300.0, 2.0**-14):
        m.output(reduction(m, "SUM", x, (2, 3), quant=Quant(scale, -3)))
    m.to_uint8()


@edge
def reductions_of_constants(m: ModelBuilder) -> None:
    floats = m.constant(m.rng.normal(0, 9, (3, 4, 2)), None, "float32")
    ints = m.constant(m.rng.integers(-(2**30), 2**29, (3, 4, 2)), None, "int32")
    for c in (floats, ints):
        x = m.input((1, 4, 1), None, c.dtype)
        for kind in ("SUM", "MEAN", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"):
            for axes in ((0, 2), (0, 1, 2)):
                y = m.tensor(x.shape, None, c.dtype)
                reduced = reduction(m, kind, c, axes, True)
                m.output(m.operator("ADD", [x, reduced], [y], "AddOptions", 1))


@edge
def sum_that_keeps_the_sign_of_zero(m: ModelBuilder) -> None:
    x = m.unary("ABS", m.input((1, 3), None, "float32"))
    minus = m.constant([-0.0], None, "float32")
    zero = m.operator("MUL", [x, minus], [m.tensor((1, 3), None, "float32")], "MulOptions")
    m.output(reduction(m, "SUM", zero, (1,)), reduction(m, "SUM", zero, (0, 1), True))
