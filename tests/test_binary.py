"""How operators of two inputs walk over them, and what they refuse, in one line each."""

import numpy as np
import pytest

from cases.binary import binary
from cases.comparison import select
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.ops.broadcast import Operand, walk
from tflite_builder import ModelBuilder, Quant, Tensor


def _reason(m: ModelBuilder, *outputs: Tensor) -> str:
    m.output(*outputs)
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    (problem,) = caught.value.problems
    return problem.reason


SHAPES_AND_LOOPS: list[tuple[list[tuple[int, ...]], int, int]] = [
    ([(2, 3, 4, 5), (2, 3, 4, 5)], 120, 0),
    ([(1, 1, 2, 3, 4), (3, 4)], 12, 1),
    ([(2, 3, 4), ()], 24, 0),
    ([(1, 8, 9, 6), (1, 1, 1, 6)], 6, 1),
    ([(2, 8, 9, 6), (2, 1, 1, 6)], 6, 2),
    ([(2, 8, 9, 6), (1, 8, 9, 1)], 6, 2),
    ([(7, 1, 5, 1), (7, 1, 5, 1)], 35, 0),
    ([(1, 4, 1, 3), (2, 1, 5, 1)], 3, 3),
    ([(2, 3), (2, 3), (1, 3)], 3, 1),
    ([(), ()], 1, 0),
]


def _dense(shape: tuple[int, ...]) -> Operand:
    return Operand(shape, shape[-1] if shape else 1)


@pytest.mark.parametrize(("shapes", "row", "loops"), SHAPES_AND_LOOPS)
def test_walks_have_long_rows(shapes: list[tuple[int, ...]], row: int, loops: int) -> None:
    output = np.broadcast_shapes(*shapes)
    found = walk([_dense(s) for s in shapes], _dense(output))
    assert (found.row, found.loops[0]) == (row, loops)
    assert found.loops.size == 1 + loops * (2 + len(shapes))


@pytest.mark.parametrize("kind", ["ADD", "MAXIMUM", "LESS", "DIV", "FLOOR_MOD"])
def test_inputs_of_two_types(kind: str) -> None:
    m = ModelBuilder()
    a, b = m.input((2, 3), dtype="int32"), m.input((2, 3), dtype="float32")
    dtype = "bool" if kind == "LESS" else "int32"
    assert _reason(m, binary(m, kind, a, b, dtype=dtype)) == (
        f"tensor '{b.name}' is float32; int32 needed"
    )


def test_an_output_of_another_type() -> None:
    m = ModelBuilder()
    a = m.input((2, 3), dtype="float32")
    assert "float32; bool needed" in _reason(m, binary(m, "LESS", a, a))
    m = ModelBuilder()
    a, one = m.input((2, 3), dtype="int32"), m.constant(1, None, "int32")
    y = binary(m, "MUL", one, one, Quant(0.1), dtype="int8")
    assert "int8; int32 needed" in _reason(m, y, binary(m, "ADD", a, a))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("ADD", "int64"), ("POW", "float32"), ("LESS", "bool"), ("LOGICAL_OR", "int8")],
)
def test_types_without_a_kernel(kind: str, dtype: str) -> None:
    m = ModelBuilder()
    a = m.input((2, 3), Quant(0.1) if dtype == "int8" else None, dtype)
    y = binary(m, kind, a, a, dtype="bool" if kind in ("LESS", "LOGICAL_OR") else None)
    assert f"is {dtype}; " in _reason(m, y)


@pytest.mark.parametrize("kind", ["SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"])
def test_no_uint8_form(kind: str) -> None:
    m = ModelBuilder()
    a = m.input((2, 3), Quant(0.1, 3), "uint8")
    assert "no uint8 form" in _reason(m, binary(m, kind, a, a))


@pytest.mark.parametrize("scale", [1.0, 1.5, 3e38, 1 - 2.0**-24])
def test_scales_that_the_reference_does_not_compare(scale: float) -> None:
    m = ModelBuilder()
    a, b = m.input((2, 3), Quant(0.1)), m.input((2, 3), Quant(scale))
    y = binary(m, "LESS", a, b, dtype="bool")
    if scale < 1:
        m.output(y)
        compile_model(m.build())
    else:
        assert "scales below 1 only" in _reason(m, y)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "SQUARED_DIFFERENCE"])
def test_outputs_far_finer_than_the_inputs(kind: str) -> None:
    head = 2.0**14 if kind == "SQUARED_DIFFERENCE" else 2.0**20
    factor = 4 if kind == "SQUARED_DIFFERENCE" else 2
    for scale, fits in ((factor / head * 1.01, True), (factor / head, False)):
        m = ModelBuilder()
        a = m.input((2, 3), Quant(1.0))
        y = binary(m, kind, a, a, Quant(float(np.float32(scale))))
        if fits:
            m.output(y)
            compile_model(m.build())
        else:
            assert "below 1 needed" in _reason(m, y)


def test_products_that_overflow_in_the_reference() -> None:
    for dtype in ("int8", "int16"):
        for scale, fits in ((2.0**-13 * 1.01, True), (2.0**-14, False)):
            m = ModelBuilder()
            a = m.input((2, 3), Quant(1.0), dtype)
            y = binary(m, "MUL", a, a, Quant(float(np.float32(scale))))
            if fits:
                m.output(y)
                compile_model(m.build())
            else:
                assert "below 2^14 needed" in _reason(m, y)


def test_shifts_of_powers_of_two() -> None:
    for scales, kind, reason in (
        ((2.0**-8, 2.0**-10, 2.0**-9), "ADD", "power-of-two scales"),
        ((2.0**-9, 2.0**-8, 2.0**-9), "SUB", "power-of-two scales"),
        ((2.0**-9, 2.0**-25, 2.0**-9), "ADD", "power-of-two scales"),
        ((2.0**-9, 2.0**-10, 2.0**-9), "ADD", "no broadcasting"),
    ):
        m = ModelBuilder()
        a, b = m.input((4,), Quant(scales[0]), "int16"), m.input((1,), Quant(scales[1]), "int16")
        assert reason in _reason(m, binary(m, kind, a, b, Quant(scales[2]), pot=True))


def test_int16_without_a_scale_or_with_a_zero_point() -> None:
    for quant in (None, Quant(0.1, 3)):
        m = ModelBuilder()
        a = m.input((4,), Quant(0.1), "int16")
        with pytest.raises(UnsupportedModelError):
            m.output(binary(m, "MUL", a, m.input((4,), quant, "int16")))
            compile_model(m.build())


def test_selections_that_do_not_fit() -> None:
    for condition, a, b, kind in (
        ((3,), (2, 3), (2, 3), "SELECT"),
        ((2, 1), (2, 3), (2, 3), "SELECT"),
        ((), (2, 3), (3,), "SELECT"),
        ((4,), (2, 3), (3,), "SELECT_V2"),
    ):
        m = ModelBuilder()
        c, x, y = m.input(condition, dtype="bool"), m.input(a), m.input(b)
        out = m.tensor((2, 3), x.quant)
        text = _reason(m, m.operator(kind, [c, x, y], [out]))
        assert "shapes" in text and str(list(condition)) in text
    m = ModelBuilder()
    c, x = m.input((3,), dtype="bool"), m.input((3,), dtype="int64")
    assert "is int64; " in _reason(m, select(m, c, x, x))
