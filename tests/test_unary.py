"""Operators of one input: bounds of inexact forms, limits, refusals, constants."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cases.log_softmax import log_softmax
from cases.prelu import prelu
from cases.softmax import softmax_to
from cases.unary import unary
from exactness import difference
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.frontend.tflite import read_model
from lotor.ops import lookup, operators
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant, Tensor

Array = npt.NDArray[Any]


def ulps(got: Array, exact: Array) -> float:
    """The largest error in units of the last place of the exact value."""
    finite = np.isfinite(exact)
    assert np.array_equal(np.isfinite(got), finite)
    unit = np.spacing(np.abs(exact[finite]).astype(np.float32)).astype(np.float64)
    return float(np.max(np.abs(got[finite].astype(np.float64) - exact[finite]) / unit))


def both(build: Callable[[ModelBuilder, Tensor], Tensor], x: Array) -> tuple[Array, Array]:
    """What Lotor and the reference make of a float32 input."""
    m = ModelBuilder()
    m.output(build(m, m.input(x.shape, dtype="float32")))
    content = m.build()
    return host.load(content).run(x), Oracle(content).run(x)


RNG = np.random.default_rng(0)
WIDE = np.concatenate([RNG.uniform(-103, 88.7, 20000), RNG.uniform(-1, 1, 20000), [0.0, -0.0]])
NARROW = np.concatenate([RNG.uniform(-12, 17, 20000), RNG.uniform(-0.7, 0.7, 20000), [0.0, 30]])
POSITIVE = np.concatenate([np.exp(RNG.uniform(-100, 88, 20000)), RNG.uniform(0.5, 2, 20000), [1]])
# Small ones, multiples of right angles, and floats of any size.
ANGLES = np.concatenate(
    [
        RNG.uniform(-7, 7, 20000),
        np.arange(-9999, 9999) * np.pi / 2,
        POSITIVE * np.where(RNG.random(POSITIVE.size) < 0.5, -1, 1),
        [3.4e38, 1e-45, 0.0, -0.0],
    ]
)


@pytest.mark.parametrize(
    ("kind", "inputs", "function", "bound"),
    [
        ("EXP", WIDE, np.exp, 1.0),
        ("LOG", POSITIVE, np.log, 1.0),
        ("TANH", NARROW, np.tanh, 2.0),
        ("LOGISTIC", np.maximum(NARROW, -9), lambda x: 1 / (1 + np.exp(-x)), 3.0),
        ("LOGISTIC", np.minimum(WIDE, -9.1), np.exp, 1.0),
        ("SIN", ANGLES, np.sin, 3.0),
        ("COS", ANGLES, np.cos, 3.0),
    ],
)
def test_float_functions_are_within_their_bounds(
    kind: str, inputs: Array, function: Callable[[Array], Array], bound: float
) -> None:
    x = inputs.astype(np.float32)
    got, reference = both(lambda m, t: unary(m, kind, t), x)
    exact = np.where(x.astype(np.float64) == 0, function(x * 0.0), function(x.astype(np.float64)))
    assert ulps(got, exact) <= bound
    assert ulps(got, reference.astype(np.float64)) <= bound + 1.5


@pytest.mark.parametrize("approximate", [False, True])
def test_float_gelu_is_within_its_bound(approximate: bool) -> None:
    x = RNG.uniform(-6, 6, 20000).astype(np.float32)
    got, reference = both(lambda m, t: unary(m, "GELU", t, Approximate=approximate), x)
    bound = 16 * np.spacing(np.abs(reference)) + 4 * np.spacing(np.abs(x))
    assert (np.abs(got.astype(np.float64) - reference) <= bound).all()


def test_float_softmaxes_are_within_their_bounds() -> None:
    x = RNG.normal(0, 20, (100, 33)).astype(np.float32)
    got, reference = both(lambda m, t: m.softmax(t, beta=0.7), x)
    normal = reference > 1e-37
    assert ulps(got[normal], reference[normal].astype(np.float64)) <= 8
    assert got[~normal].max(initial=0) <= 1.2e-37
    got, reference = both(log_softmax, x)
    largest = np.abs(x.astype(np.float64) - x.max(axis=1, keepdims=True)) + 4
    assert (np.abs(got.astype(np.float64) - reference) <= largest * 2.0**-21).all()


def test_special_floats() -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, -1e-45, 3e38], np.float32)
    for kind in (
        "EXP",
        "LOG",
        "SIN",
        "COS",
        "TANH",
        "LOGISTIC",
        "SQRT",
        "RSQRT",
        "FLOOR",
        "SIGN",
        "RELU6",
    ):
        got, reference = both(lambda m, t, kind=kind: unary(m, kind, t), x)  # type: ignore[misc]
        close = np.isclose(got, reference, rtol=1e-6, atol=0, equal_nan=True)
        assert close.all(), (kind, got, reference)
        assert (np.signbit(got) == np.signbit(reference))[~np.isnan(reference)].all(), kind


def test_floats_beyond_integers_saturate_in_casts() -> None:
    x = np.array(
        [np.inf, -np.inf, np.nan, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 1e30], np.float32
    )
    x = np.concatenate(
        [x, np.array([127.9, 128, -128.9, -129, 255.9, 32767.5, 2147483520], np.float32)]
    )
    for dtype in ("bool", "int8", "uint8", "int16", "int32", "int64"):
        m = ModelBuilder()
        t = m.input(x.shape, dtype="float32")
        m.output(m.operator("CAST", [t], [m.tensor(x.shape, None, dtype)]))
        content = m.build()
        assert difference([host.load(content).run(x)], [Oracle(content).run(x)]) == ""


def test_roots_where_the_reference_stops() -> None:
    m = ModelBuilder()
    x = m.input((256,), Quant(0.05, 0))
    z = m.input((512,), Quant(0.001), "int16")
    m.output(*(unary(m, kind, t, Quant(0.02, 0)) for kind in ("SQRT", "RSQRT") for t in (x, z)))
    words = np.linspace(-32768, -1, 512).astype(np.int16)
    root, root16, inverse, inverse16 = host.load(m.build()).run(
        np.arange(-128, 128).astype(np.int8), words
    )
    assert set(root[:128]) == set(root16) == {0}
    assert set(inverse[:128]) == {127}
    assert set(inverse16[words < -128]) == {32767}  # beside zero, it interpolates


def test_tables_hardly_depend_on_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    m = ModelBuilder()
    x = m.input((1, 256), Quant(0.05, -7))
    for kind in ("LOGISTIC", "TANH", "EXP", "GELU", "LOG"):
        m.output(unary(m, kind, x, Quant(0.031, 5)))
    sources = []
    for found in (lookup._function, lambda _: None):
        monkeypatch.setattr(lookup, "_function", found)
        sources.append(compile_model(m.build(), "portable", "tables").source)
    assert sources[0] == sources[1]


def refuse(build: Callable[[ModelBuilder], Tensor]) -> str:
    m = ModelBuilder()
    m.output(build(m))
    with pytest.raises(UnsupportedModelError) as error:
        compile_model(m.build())
    return str(error.value)


def reshaped(m: ModelBuilder, kind: str) -> Tensor:
    x = m.input((1, 8), Quant(0.1, 0))
    return m.operator(kind, [x], [m.tensor((1, 9), Quant(0.1, 0))])


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda m: reshaped(m, "ABS"), "differ in shape"),
        (lambda m: reshaped(m, "QUANTIZE"), "differ in shape"),
        (lambda m: reshaped(m, "CAST"), "differ in shape"),
        (lambda m: unary(m, "SQUARE", m.input((4,), Quant(0.1, 0))), "is int8; float32 needed"),
        (lambda m: unary(m, "ABS", m.input((4,), Quant(0.1, 0), "uint8")), "no uint8 form"),
        (lambda m: unary(m, "TANH", m.input((4,), Quant(0.1, 3), "int16")), "0 needed"),
        (lambda m: unary(m, "TANH", m.input((4,), Quant(0.1), "int16")), "output scale is 0.1"),
        (
            lambda m: unary(m, "LOGISTIC", m.input((4,), Quant(9.0), "int16")),
            "input scale 9 is too large",
        ),
        (
            lambda m: unary(m, "HARD_SWISH", m.input((4,), Quant(1.0, 0)), Quant(0.001, 0)),
            "below 128 needed",
        ),
        (
            lambda m: unary(m, "RELU", m.input((4,), Quant(1e20, 0)), Quant(1e-20, 0)),
            "below 2^30 needed",
        ),
        (
            lambda m: unary(m, "LEAKY_RELU", m.input((4,), Quant(0.1, 0)), Alpha=float("nan")),
            "alpha is nan",
        ),
        (
            lambda m: unary(m, "RSQRT", m.input((4,), Quant(1.0, 0)), Quant(32768.0, 0)),
            "2^-11 ... 2^30 supported",
        ),
        (
            lambda m: m.quantize(m.input((4,), Quant(0.1), "int32"), Quant(0.1), "int32"),
            "int8 or int16 needed",
        ),
        (
            lambda m: m.quantize(m.input((4,), Quant(0.1, 1), "int16"), Quant(0.1), "int16"),
            "has zero point 1; 0 needed",
        ),
        (
            lambda m: m.quantize(m.input((2,), dtype="float32"), Quant((0.1, 0.2))),
            "needs one scale and zero point",
        ),
        (
            lambda m: softmax_to(m, m.input((4,), Quant(9.0), "int16"), "int16", Quant(2.0**-15)),
            "must be below 5",
        ),
        (
            lambda m: softmax_to(m, m.input((4,), Quant(0.1), "int16"), "int16", Quant(0.1)),
            "output needs scale 2^-15",
        ),
        (lambda m: softmax_to(m, m.input((4,), Quant(0.1, 0)), "int8", Quant(0.1, 0)), "1/256"),
        (lambda m: log_softmax(m, m.input((4,), Quant(2.0**-27, 0))), "below 2^-26"),
        (lambda m: log_softmax(m, m.input((5000,), Quant(0.1, 0))), "at most 4095"),
        (lambda m: prelu(m, m.input((4, 3), Quant(0.1, 0)), (2,)), "cannot be broadcast"),
        (lambda m: prelu(m, m.input((3,), Quant(0.1, 0)), (4, 3)), "cannot be broadcast"),
        (
            lambda m: m.operator(
                "PRELU", [x := m.input((3,), Quant(0.1, 0)), x], [m.tensor((3,), Quant(0.1, 0))]
            ),
            "a constant needed",
        ),
    ],
)
def test_what_is_refused(build: Callable[[ModelBuilder], Tensor], words: str) -> None:
    assert words in refuse(build)


def test_factors_of_prelu_are_kept_once() -> None:
    for shape, size in (((1, 1, 5), 5), ((1,), 1), ((4, 1), 20), ((1, 3, 4, 5), 60)):
        m = ModelBuilder()
        m.output(prelu(m, m.input((1, 3, 4, 5), Quant(0.1, 0)), shape))
        assert compile_model(m.build()).report["weights_bytes"] == size


FLOATS = np.array([-7.5, -1.0, -0.5, -0.0, 0.0, 0.3, 1.0, 2.5, 6.1, 1e9, -1e9, 3.0], np.float32)


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"])
def test_clamps_of_constants(kind: str) -> None:
    assert_folded(lambda m, t: unary(m, kind, t), FLOATS)


@pytest.mark.parametrize("kind", ["ABS", "NEG", "SQUARE", "SIGN", "FLOOR", "SQRT", "RSQRT"])
def test_floats_of_constants(kind: str) -> None:
    values = np.abs(FLOATS) if kind in ("SQRT", "RSQRT") else FLOATS
    assert_folded(lambda m, t: unary(m, kind, t), values)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float32"])
def test_casts_of_constants(dtype: str) -> None:
    for values in (FLOATS, (np.arange(12) * 1234567 - 5000000).astype(np.int32)):
        assert_folded(
            lambda m, t: m.operator("CAST", [t], [m.tensor(t.shape, None, dtype)]), values
        )


def test_quantized_constants() -> None:
    near = FLOATS[np.abs(FLOATS) < 1e8]  # beyond int32 the reference is undefined
    for out in ("int8", "int16"):
        assert_folded(lambda m, t, out=out: m.quantize(t, Quant(0.05, -3), out), near)  # type: ignore[misc]
    small = np.arange(-6, 6).astype(np.int8)
    assert_folded(lambda m, t: m.quantize(t, Quant(0.011, 7)), small, Quant(0.05, 3))
    assert_folded(lambda m, t: m.dequantize(t), small, Quant(0.05, 3))
    assert_folded(lambda m, t: m.dequantize(t), small.astype(np.int16), Quant(0.05))


def assert_folded(
    build: Callable[[ModelBuilder, Tensor], Tensor], values: Array, quant: Quant | None = None
) -> None:
    """The compiler computes of a constant what the reference computes of an input."""
    m = ModelBuilder()
    m.output(build(m, m.input(values.shape, quant, str(values.dtype))))
    content = m.build()
    (op,) = read_model(content, "model").ops
    constant = replace(op, inputs=[replace(op.input(0), data=values)])
    found = operators()[op.kind].evaluate(constant)
    assert found is not None
    assert difference(found, [Oracle(content).run(values)]) == ""


@pytest.mark.parametrize("dtype", ["float16", "int8", "int16"])
def test_dequantized_weights(dtype: str) -> None:
    m = ModelBuilder()
    values = (np.arange(12).reshape(2, 6) - 5).astype(dtype)
    quant = {"float16": None, "int16": Quant(0.3), "int8": Quant((0.1, 0.25), 0, 0)}[dtype]
    constant = m.constant(values, quant, dtype)
    x = m.input((2, 6), dtype="float32")
    y = m.tensor((2, 6), None, "float32")
    m.output(m.operator("ADD", [x, m.dequantize(constant)], [y], "AddOptions", 1))
    content = m.build()
    op = read_model(content, "model").ops[0]
    found = operators()["DEQUANTIZE"].evaluate(op)
    assert found is not None
    assert difference(found, [Oracle(content).run(np.zeros((2, 6), np.float32))]) == ""
