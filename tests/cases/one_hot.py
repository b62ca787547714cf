"""Cases of ONE_HOT."""

from cases import case, edge
from cases.movement import bytes_as, gather, ints
from tflite_builder import ModelBuilder, Quant, Tensor

VALUES: dict[str, tuple[float, float]] = {
    "bool": (True, False),
    "int8": (127, -128),
    "uint8": (255, 3),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (2**63 - 1, -5),
    "float32": (float("inf"), -0.0),
}
# Where 32 bits are kept of 64, these are 0, 1, the lowest, 0, -1 and 1.
WIDE = [2**32, 1 - 2**32, 2**31, -(2**63), 2**32 - 1, 1]


def one_hot(m: ModelBuilder, x: Tensor, depth: int, values: list[Tensor], axis: int = -1) -> Tensor:
    """A row of `depth` elements for each index; `values` are those of on and off."""
    at = len(x.shape) if axis == -1 else axis
    y = m.tensor((*x.shape[:at], depth, *x.shape[at:]), values[0].quant, values[0].dtype)
    inputs = [x, ints(m, depth), *values]
    return m.operator("ONE_HOT", inputs, [y], "OneHotOptions", Axis=axis)


def values_of(m: ModelBuilder, dtype: str) -> list[Tensor]:
    """Constants of a type."""
    quant = Quant(0.1, 3) if dtype == "int8" else None
    return [m.constant(value, quant, dtype) for value in VALUES[dtype]]


@case
def one_hot_of_every_type(m: ModelBuilder) -> None:
    x = m.input((2, 3), None, "int32")  # among what it is given are 0 to 5
    for dtype in VALUES:
        if dtype != "uint8":
            m.output(one_hot(m, x, 12, values_of(m, dtype)))
    for axis in (0, 1, 2):
        m.output(one_hot(m, x, 5, values_of(m, "float32"), axis))
    m.output(one_hot(m, m.input((3, 2), None, "int64"), 6, values_of(m, "int8"), 1))


@edge
def one_hot_of_many_indices(m: ModelBuilder) -> None:
    number = m.input((7, 5, 3), None, "uint8")
    for dtype in ("int32", "int64"):
        x = bytes_as(m, number, dtype)
        for axis in (-1, 0, 1, 2, 3):
            m.output(one_hot(m, x, 130, values_of(m, "uint8"), axis))


@edge
def one_hot_of_the_lower_half_of_an_index(m: ModelBuilder) -> None:
    place = bytes_as(m, m.input((8,), None, "bool"), "int32")
    table = ints(m, [WIDE[:3], WIDE[3:]], "int64")
    m.output(one_hot(m, gather(m, table, place), 2, values_of(m, "int32")))


@edge
def one_hot_of_a_single_index_and_values_at_run_time(m: ModelBuilder) -> None:
    x = bytes_as(m, m.input((), None, "bool"), "int32")
    values = [m.input(shape, None, "float32") for shape in ((1,), ())]
    m.output(one_hot(m, x, 2, values), one_hot(m, x, 1, values, 0))


@edge
def one_hot_of_constants(m: ModelBuilder) -> None:
    m.output(m.quantize(m.input((1,), Quant(0.1, 0))))  # no model is without an input
    limits = [[2**31 - 1, 0, 1], [2, -1, -(2**31)]]
    for dtype in VALUES:
        m.output(one_hot(m, ints(m, limits), 3, values_of(m, dtype), 1))
    m.output(one_hot(m, ints(m, WIDE, "int64"), 2, values_of(m, "int8")))


@edge
def one_hot_uint8(m: ModelBuilder) -> None:
    x = m.input((2, 3), None, "int32")
    m.output(one_hot(m, x, 4, values_of(m, "int8")))
    m.to_uint8()
