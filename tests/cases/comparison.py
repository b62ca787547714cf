"""Cases of comparisons, of the logical operators and of SELECT."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.binary import SHAPES, binary, pairs
from cases.strategies import Draw, builder, float32s, zero_points
from tflite_builder import ModelBuilder, Quant, Tensor

KINDS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")


def compare(m: ModelBuilder, kind: str, a: Tensor, b: Tensor) -> Tensor:
    """A comparison."""
    return binary(m, kind, a, b, dtype="bool")


def select(
    m: ModelBuilder, condition: Tensor, a: Tensor, b: Tensor, kind: str = "SELECT_V2"
) -> Tensor:
    """SELECT_V2 with NumPy's broadcasting, SELECT with the shape of the inputs."""
    shape = a.shape
    if kind == "SELECT_V2":
        shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    y = m.tensor(shape, a.quant, a.dtype)
    return m.operator(kind, [condition, a, b], [y])


@case
def comparisons(m: ModelBuilder) -> None:
    quantized = pairs(m, "int8", Quant(0.3, 5), Quant(0.25, -7), range(6))
    for place, kind in enumerate(KINDS):
        a, b = quantized[place]
        m.output(compare(m, kind, a, b))
    for dtype in ("float32", "int32"):
        x = m.input((3, 4), dtype=dtype)
        for kind in KINDS:
            data: Any = m.rng.integers(-2, 3, (2, 1, 4))
            m.output(compare(m, kind, x, m.constant(data, None, dtype)))
    p, q = m.input((2, 3, 1), dtype="bool"), m.input((5,), dtype="bool")
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        m.output(binary(m, kind, p, q), binary(m, kind, p, p))
    m.output(compare(m, "EQUAL", p, q), compare(m, "NOT_EQUAL", p, q))
    m.output(m.operator("LOGICAL_NOT", [q], [m.tensor(q.shape, None, "bool")]))


@case
def selects(m: ModelBuilder) -> None:
    condition = m.input((2, 3, 4), dtype="bool")
    row, column = m.input((4,), dtype="bool"), m.input((3, 1), dtype="bool")
    number = m.input((), dtype="bool")
    for dtype, quant in (
        ("int8", Quant(0.1, 3)),
        ("int16", Quant(0.1)),
        ("int32", None),
        ("float32", None),
        ("bool", None),
    ):
        a, b = m.input((2, 3, 4), quant, dtype), m.input((2, 3, 4), quant, dtype)
        c, d = m.input((3, 1), quant, dtype), m.constant(np.ones((2, 1, 1)), quant, dtype)
        m.output(select(m, condition, a, b), select(m, row, c, d), select(m, column, a, c))
        m.output(select(m, number, d, a), select(m, condition, c, d))
        m.output(select(m, condition, a, b, "SELECT"), select(m, number, a, b, "SELECT"))
        first = m.constant([True, False], None, "bool")
        m.output(select(m, first, a, b, "SELECT"))


@edge
def comparisons_of_neighbours(m: ModelBuilder) -> None:
    """Scales with which different numbers count as equal, and those that hardly differ."""
    ramp = np.arange(-128, 128)
    for scale, other in ((0.003, 0.003), (0.003, 0.0031), (0.5, 0.9999), (2.0**-12, 2.0**-9)):
        x = m.input((256, 1), Quant(scale, 4))
        y = m.constant(ramp, Quant(other, -3))
        for kind in KINDS:
            m.output(compare(m, kind, x, y))
    a, b = m.input((4, 50), Quant(0.3, 5), "uint8"), m.input((50,), Quant(0.25, 200), "uint8")
    c, d = m.input((4, 50), Quant(0.003), "int16"), m.input((50,), Quant(0.004), "int16")
    for kind in KINDS:
        m.output(compare(m, kind, a, b), compare(m, kind, b, a))
        m.output(compare(m, kind, c, d), compare(m, kind, d, d))


@edge
def comparisons_with_not_a_number(m: ModelBuilder) -> None:
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, 3e38, 1.0])
    zeros = binary(m, "MUL", m.input((8, 1), dtype="float32"), m.constant(0, None, "float32"))
    ones = binary(m, "ADD", zeros, m.constant(1, None, "float32"))
    column = binary(m, "MUL", m.constant(special[:, None], None, "float32"), ones)
    for kind in KINDS:
        m.output(compare(m, kind, column, m.constant(special, None, "float32")))


@random_models
def random_comparison(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    small = st.builds(Quant, float32s(1e-6, 0.99), zero_points)
    for _ in range(3):
        left, right = draw(st.sampled_from(SHAPES))
        a, b = m.input(left, draw(small)), m.input(right, draw(small))
        c = m.input(draw(st.sampled_from([left, right, ()])), None, "bool")
        truth = compare(m, draw(st.sampled_from(KINDS)), a, b)
        m.output(truth, select(m, truth, a, b), select(m, c, b, a))
    return m
