"""Cases of the operators of two inputs that work element by element, with broadcasting."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tflite
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, activations, builder, float32s, quants, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor

FUSED = ("ADD", "SUB", "MUL", "DIV")  # those with a fused activation
_OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
}
_QUANTIZED = ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE")
_RAW = ("MAXIMUM", "MINIMUM")
# Shapes of two inputs: rows for each pixel, both ways, a number for a row, many axes.
SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((1, 4, 3, 5), (1, 4, 3, 5)),
    ((1, 4, 3, 5), (1, 1, 1, 5)),
    ((1, 1, 1, 5), (1, 4, 3, 5)),
    ((2, 3, 5), ()),
    ((1,), (2, 3, 5)),
    ((1, 4, 1, 3), (2, 1, 5, 1)),
    ((3, 1, 4, 1), (1, 5, 1, 2)),
    ((4, 3, 1), (4, 3, 5)),
    ((2, 1, 3, 1, 2, 1), (5, 1, 4, 1, 3)),
    ((2, 1, 2, 1, 2, 1, 2, 1), (1, 2, 1, 2, 1, 2, 1, 2)),
)


def binary(
    m: ModelBuilder,
    kind: str,
    a: Tensor,
    b: Tensor,
    quant: Quant | None = None,
    activation: str = "NONE",
    pot: bool = False,
    dtype: str | None = None,
) -> Tensor:
    """An operator of two inputs; `quant` and `dtype` of the output default to the first's."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    y = m.tensor(shape, quant or a.quant, dtype or a.dtype)
    fields: dict[str, Any] = {}
    if kind in FUSED:
        number = getattr(tflite.ActivationFunctionType, activation)
        fields["FusedActivationFunction"] = number
    if kind in ("ADD", "SUB"):
        fields["PotScaleInt16"] = pot
    return m.operator(kind, [a, b], [y], _OPTIONS.get(kind), **fields)


def values(m: ModelBuilder, shape: Sequence[int], dtype: str, quant: Quant | None) -> Tensor:
    """A constant of random numbers."""
    if dtype == "float32":
        return m.constant(m.rng.normal(0, 3, shape), None, dtype)
    limits = np.iinfo(dtype)
    data = m.rng.integers(limits.min, limits.max, tuple(shape), dtype=np.int64, endpoint=True)
    return m.constant(data, quant, dtype)


def pairs(
    m: ModelBuilder,
    dtype: str,
    quant_a: Quant | None,
    quant_b: Quant | None,
    places: Iterable[int] = range(len(SHAPES)),
) -> list[tuple[Tensor, Tensor]]:
    """Inputs of the model and constants, of these shapes."""
    found = []
    for place in places:
        left, right = SHAPES[place]
        sides = [
            values(m, shape, dtype, quant) if constant else m.input(shape, quant, dtype)
            for shape, quant, constant in (
                (left, quant_a, place % 3 == 2),
                (right, quant_b, place % 3 == 1),
            )
        ]
        found.append((sides[0], sides[1]))
    return found


@case
def binary_int8(m: ModelBuilder) -> None:
    shapes = pairs(m, "int8", Quant(0.03, 5), Quant(0.05, -7))
    for place, (a, b) in enumerate(shapes):
        kind = (*_QUANTIZED, *_RAW)[place % 6]
        activation = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[place % 4]
        m.output(binary(m, kind, a, b, Quant(0.09, -11), activation))
    a, b = shapes[1]
    for kind in _QUANTIZED:
        m.output(binary(m, kind, a, b, Quant(0.07, 3)))


@case
def binary_numbers(m: ModelBuilder) -> None:
    """int32 and float32, whole numbers and others."""
    for dtype, kinds in (
        ("int32", ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM")),
        ("float32", ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM")),
    ):
        (a, b), (c, d), (e, f) = pairs(m, dtype, None, None, (0, 1, 5))
        for kind, activation in zip(kinds, ("NONE", "RELU", "RELU6") * 2, strict=True):
            m.output(binary(m, kind, a, b, activation=activation))
            m.output(binary(m, kind, c, d), binary(m, kind, e, f))
    x = m.input((3, 7), dtype="int32")
    small = binary(m, "FLOOR_MOD", x, m.constant([40], None, "int32"))
    divisor = m.constant([3, -5, 1, 7, -2, 100, 2**31 - 1], None, "int32")
    m.output(binary(m, "FLOOR_DIV", x, divisor), binary(m, "FLOOR_MOD", x, divisor))
    m.output(binary(m, "POW", small, m.constant([[0], [1], [5]], None, "int32")))
    y = m.input((4, 5), dtype="float32")
    z = m.constant([0.7, -0.3, 1e-5, 3e4, -8], None, "float32")
    m.output(binary(m, "FLOOR_DIV", y, z), binary(m, "FLOOR_MOD", y, z))


@edge
def binary_int16(m: ModelBuilder) -> None:
    for kind in ("ADD", "SUB", "MUL", *_RAW):
        for a, b in pairs(m, "int16", Quant(0.0003), Quant(0.0005), (1, 3, 5)):
            m.output(binary(m, kind, a, b, Quant(0.0007), "RELU_N1_TO_1"))
            m.output(binary(m, kind, a, b, Quant(0.0007)))
    a, b = m.input((600,), Quant(2.0**-12), "int16"), m.input((600,), Quant(2.0**-15), "int16")
    c = m.input((3, 1), Quant(2.0**-12), "int16")
    for kind in ("ADD", "SUB"):
        for left, right in ((a, b), (b, a), (a, a)):
            m.output(binary(m, kind, left, right, Quant(2.0**-12), "RELU6", pot=True))
            m.output(binary(m, kind, left, right, Quant(2.0**-12), pot=True))
            # With another scale the general form is used.
            m.output(binary(m, kind, left, right, Quant(0.0003), pot=True))
    m.output(binary(m, "SUB", b, c, Quant(2.0**-12), pot=True))


@edge
def binary_uint8(m: ModelBuilder) -> None:
    """As TensorFlow 1 wrote it."""
    for place, (left, right) in enumerate(SHAPES[:7]):
        a, b = m.input(left, Quant(0.03, 5)), m.input(right, Quant(0.05, -7))
        m.output(binary(m, ("ADD", "SUB", "MUL", *_RAW)[place % 5], a, b, Quant(0.04, 9), "RELU6"))
    m.output(
        binary(m, "MUL", m.input((1, 3, 4, 5), Quant(0.1, 0)), values(m, (5,), "int8", Quant(0.02)))
    )
    m.to_uint8()


@edge
def plain_integers(m: ModelBuilder) -> None:
    """FLOOR_DIV and its kin take quantized integers as plain numbers."""
    for dtype, quant in (("int8", Quant(0.5, 3)), ("int16", Quant(0.25)), ("int32", None)):
        x = m.input((6, 300), quant, dtype)
        low = np.iinfo(dtype).min
        divisors = m.constant([[low], [-1], [-3], [1], [7], [-low - 1]], quant, dtype)
        if dtype == "int32":  # where the reference's own modulus by -1 is undefined
            divisors = m.constant([[low], [-2], [-3], [1], [7], [-low - 1]], quant, dtype)
        for kind in ("FLOOR_DIV", "FLOOR_MOD"):
            m.output(binary(m, kind, x, divisors))
            positive = binary(m, "MAXIMUM", x, m.constant(1, quant, dtype))
            m.output(
                binary(m, kind, x, positive),
                binary(m, kind, m.constant(11, quant, dtype), positive),
            )


@case
def divisions(m: ModelBuilder) -> None:
    """Divisors near zero: of larger ones the reference shifts small quotients too far."""
    near = np.array([1, 2, 3, 5, 7, 8, 11, 13, 15, -1, -2, -3, -6, -9, -14])
    for dtype, zero_point in (("int8", -5), ("int8", 112), ("int16", 0)):
        x = m.input((1, 40, 1), Quant(0.5, zero_point), dtype)
        divisors = m.constant(near + zero_point, Quant(0.25, zero_point), dtype)
        for scale in (0.124, 0.02):
            m.output(binary(m, "DIV", x, divisors, Quant(scale, 3 if dtype == "int8" else 0)))
        m.output(binary(m, "DIV", x, divisors, Quant(0.11, 0), "RELU6"))
        m.output(binary(m, "DIV", x, divisors, Quant(0.12, 0), "RELU"))
    x = m.input((1, 40, 1), dtype="int32")
    m.output(binary(m, "DIV", x, m.constant([1, -2, 3, 10, -2147483648], None, "int32")))
    x = m.input((1, 40, 1), dtype="float32")
    y = m.constant([0.3, -7, 1e30, -1e-30, 3], None, "float32")
    m.output(binary(m, "DIV", x, y), binary(m, "DIV", x, y, activation="RELU_N1_TO_1"))


@edge
def divisions_of_uint8(m: ModelBuilder) -> None:
    x = m.input((40, 1), Quant(0.5, 7))
    near = np.array([-128, -127, -126, -100, 3, 17])
    for zero_point in (-124, 9):
        divisors = m.constant(near, Quant(0.25, zero_point))
        m.output(binary(m, "DIV", x, divisors, Quant(0.007, 3)))
    m.to_uint8(weights_zero_point=4)


@edge
def floats_at_the_limits(m: ModelBuilder) -> None:
    """Infinities, not-a-number, zeros of both signs, the smallest numbers; all with all."""
    special = np.array([np.inf, -np.inf, 0.0, -0.0, 1e-45, 1.5e-39, 3e38, -3e38, 1.0, -2.5, 1e9])
    row = m.constant(special, None, "float32")
    divisors = m.constant(np.where(special == 0, 7, special), None, "float32")
    nothing = m.constant(0.0, None, "float32")
    # Behind a sum that only the run knows, or else a compiler could compute them.
    zeros = binary(m, "MUL", m.input((11, 1), dtype="float32"), nothing)
    ones = binary(m, "ADD", zeros, m.constant(1.0, None, "float32"))
    column = binary(m, "MUL", m.constant(special[:, None], None, "float32"), ones)
    difference = binary(m, "SUB", column, column)  # not-a-number among them

    def show(y: Tensor) -> None:
        """Outputs that tell all but the bits of not-a-number, which C leaves open."""
        m.output(binary(m, "EQUAL", y, y, dtype="bool"))
        m.output(binary(m, "MAXIMUM", y, nothing), binary(m, "MINIMUM", y, nothing))

    for a, b in ((column, row), (row, column), (difference, row), (row, difference)):
        for kind in (*_QUANTIZED, *_RAW, "FLOOR_MOD", "DIV"):
            show(binary(m, kind, a, b))
        show(binary(m, "ADD", a, b, activation="RELU"))
        show(binary(m, "SUB", a, b, activation="RELU_N1_TO_1"))
    show(binary(m, "FLOOR_DIV", column, divisors))


@edge
def scales_far_apart(m: ModelBuilder) -> None:
    ramp = m.constant(np.arange(-128, 128)[:, None], Quant(2.0**-4, 1))
    for scale in (2.0**-22, 2.0**-4, 1.3e-5, 2.0**9):
        for zero_point in (-128, 127, 3):
            x = m.input((64,), Quant(scale, zero_point))
            larger = max(scale, 2.0**-4)
            m.output(binary(m, "ADD", ramp, x, Quant(larger, -zero_point - 1)))
            m.output(binary(m, "SUB", x, ramp, Quant(larger / 3000, zero_point)))
            m.output(binary(m, "MUL", ramp, x, Quant(scale * 2, zero_point)))
            m.output(binary(m, "MUL", ramp, x, Quant(scale * 2.0**-17, zero_point)))
            m.output(binary(m, "SQUARED_DIFFERENCE", x, ramp, Quant(larger**2 / 7, zero_point)))


@edge
def folded_constants(m: ModelBuilder) -> None:
    """Layers of constants, which the compiler computes."""
    m.output(binary(m, "ADD", m.input((3,), dtype="int32"), m.constant(1, None, "int32")))
    left = np.array([[7, -7, 2**31 - 1, -(2**31), 0, -1, 3, 2**20]])
    right = np.array([[3], [-3], [7], [2**31 - 1], [-(2**31)], [5]])
    for dtype in ("int32", "int64"):
        a, b = m.constant(left, None, dtype), m.constant(right, None, dtype)
        for kind in ("ADD", "SUB", "MUL", *_RAW, "FLOOR_MOD"):
            m.output(binary(m, kind, a, b))
        for kind in ("ADD", "SUB", "MUL"):
            m.output(binary(m, kind, a, b, activation="RELU6"))
            m.output(binary(m, kind, b, a, activation="RELU_N1_TO_1"))
        for kind in ("LESS", "EQUAL", "NOT_EQUAL", "GREATER_EQUAL"):
            m.output(binary(m, kind, a, b, dtype="bool"))
    a, b = m.constant(left, None, "int32"), m.constant(right, None, "int32")
    for kind in ("DIV", "FLOOR_DIV", "SQUARED_DIFFERENCE"):
        m.output(binary(m, kind, a, b))
    base = m.constant([3, -2, 0, 1, 7], None, "int32")
    m.output(binary(m, "POW", base, m.constant([[0], [1], [2], [11]], None, "int32")))
    row = m.constant([0.1, -7.3, 3e38, 1e-45, 0, -0.0, 3.3], None, "float32")
    column = m.constant([[0.3], [-2.7], [5e37], [1.17e-38]], None, "float32")
    for kind in (*FUSED, *_RAW, "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"):
        m.output(binary(m, kind, row, column))
    for kind in FUSED:
        m.output(binary(m, kind, row, column, activation="RELU"))
    p, q = m.constant([True, False], None, "bool"), m.constant([[True], [False]], None, "bool")
    for kind in ("LOGICAL_AND", "LOGICAL_OR", "EQUAL", "NOT_EQUAL"):
        m.output(binary(m, kind, p, q))
    m.output(m.operator("LOGICAL_NOT", [p], [m.tensor((2,), None, "bool")]))
    chosen = m.tensor((2, 2), None, "int32")
    m.output(
        m.operator(
            "SELECT_V2",
            [q, m.constant([5, 6], None, "int32"), m.constant(1, None, "int32")],
            [chosen],
        )
    )


@edge
def factors_of_single_precision(m: ModelBuilder) -> None:
    """A power of two only where each step is rounded to float32 in turn: it makes ties."""
    ramp = m.constant(np.arange(-128, 128)[:, None], Quant(0.1, -5))
    products, quotients = 0, 0
    for n in range(400):
        a, b = np.float32(0.1), np.float32(0.07 + n / 3000)
        y = np.float32(a * b * np.float32(8))
        if a * b / y == 1 / 8 != float(a) * float(b) / float(y) and products < 3:
            products += 1
            x = m.input((20,), Quant(float(b), 3))
            m.output(binary(m, "MUL", ramp, x, Quant(float(y))))
        y = np.nextafter(np.float32(a / b / np.float32(16)), np.float32(1))
        if a / (b * y) == 16 not in (a / b / y, float(a) / float(b) / float(y)) and quotients < 3:
            quotients += 1
            x = m.input((1, 20), Quant(float(a), 3))
            divisors = m.constant(np.array([[32], [-32], [48], [7]]), Quant(float(b), 0))
            m.output(binary(m, "DIV", x, divisors, Quant(float(y), 0)))
    assert (products, quotients) == (3, 3)


@edge
def products_of_17_bits(m: ModelBuilder) -> None:
    """All below zero but the offset; vectors of 16 bits would have too few."""
    ramp = m.constant(np.arange(-128, 128)[:, None], Quant(0.1, 127))
    for columns in (20, 64):
        x = m.input((columns,), Quant(0.3, -128))
        for scale in (0.9, 0.5, 0.22, 0.12):
            m.output(binary(m, "MUL", ramp, x, Quant(scale, 127)))
            m.output(binary(m, "MUL", x, ramp, Quant(scale, 0), "RELU_N1_TO_1"))


@st.composite
def _shapes(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw(st.lists(st.integers(1, 5), min_size=0, max_size=5))
    sides = []
    for _ in range(2):
        side = [1 if draw(st.booleans()) else n for n in shape]
        dropped = draw(st.integers(0, len(shape))) if draw(st.booleans()) else 0
        sides.append(tuple(side[dropped:]))
    return sides[0], sides[1]


@random_models
def random_binary(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    for _ in range(3):
        left, right = draw(_shapes())
        if draw(st.booleans()):
            right = left
        a, b = m.input(left, draw(quants)), m.input(right, draw(quants))
        if draw(st.booleans()) and draw(st.booleans()):
            b = values(m, right, "int8", b.quant)
            m.inputs.pop()
        for kind in draw(st.lists(st.sampled_from((*_QUANTIZED, *_RAW)), min_size=2, max_size=3)):
            quant = Quant(draw(float32s(0.003, 2.0)), draw(zero_points))
            m.output(binary(m, kind, a, b, quant, draw(activations)))
    return m
