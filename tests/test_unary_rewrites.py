"""Rewrites of clamps, quantizations and tables: what they change, and that every result stays."""

from collections.abc import Callable

import numpy as np
import pytest

from cases.unary import unary
from lotor.graph import Graph
from lotor.ops import operators
from lotor.optimize import optimize
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant, Tensor

Q = Quant(0.05, -13)


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def clamp(m: ModelBuilder, kind: str, x: Tensor, bound: int) -> Tensor:
    """MAXIMUM or MINIMUM with a constant of the same quantization."""
    constant = m.constant(np.array(bound), x.quant, x.dtype)
    y = m.tensor(x.shape, x.quant, x.dtype)
    return m.operator(kind, [x, constant], [y], "MaximumMinimumOptions", 2)


PRODUCERS: dict[str, Callable[[ModelBuilder, Tensor], Tensor]] = {
    "CONV_2D": lambda m, x: m.conv2d(x, 4, quant=Q),
    "DEPTHWISE_CONV_2D": lambda m, x: m.depthwise_conv2d(x, quant=Q),
    "FULLY_CONNECTED": lambda m, x: m.fully_connected(x, 9, quant=Q),
    "ADD": lambda m, x: m.add(x, x, quant=Q),
    "MEAN": lambda m, x: m.mean(x, quant=Q),
    "MAX_POOL_2D": lambda m, x: m.max_pool2d(x),
    "AVERAGE_POOL_2D": lambda m, x: m.average_pool2d(x),
    "MUL": lambda m, x: m.operator(
        "MUL", [x, x], [m.tensor(x.shape, Q)], "MulOptions", 2, FusedActivationFunction=0
    ),
    "SUB": lambda m, x: m.operator(
        "SUB", [x, x], [m.tensor(x.shape, Q)], "SubOptions", 2, FusedActivationFunction=0
    ),
}


@pytest.mark.parametrize("producer", PRODUCERS)
def test_clamps_are_folded_into_the_layer_before(producer: str) -> None:
    m = ModelBuilder(seed=5)
    for kind in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"):
        m.output(unary(m, kind, PRODUCERS[producer](m, m.input((1, 4, 4, 3), Q))))
    for kind in ("MAXIMUM", "MINIMUM"):
        m.output(clamp(m, kind, PRODUCERS[producer](m, m.input((1, 4, 4, 3), Q)), 17))
    result = assert_rewrite_exact(m, "fold_activations")
    assert set(kinds(result.graph)) == {producer}


def test_clamps_of_int16_and_uint8_are_folded() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 40), Quant(0.0003), "int16")
    y = m.tensor(x.shape, Quant(0.0004), "int16")
    m.operator("ADD", [x, x], [y], "AddOptions", 2, FusedActivationFunction=0)
    m.output(unary(m, "RELU6", y))
    assert kinds(assert_rewrite_exact(m, "fold_activations").graph) == ["ADD"]
    m = ModelBuilder(seed=5)
    m.output(unary(m, "RELU", m.max_pool2d(m.input((1, 4, 4, 3), Q))))
    m.to_uint8()
    result = assert_rewrite_exact(m, "fold_activations")
    assert kinds(result.graph) == ["QUANTIZE", "MAX_POOL_2D", "QUANTIZE"]


def test_clamps_join_in_their_order() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 4, 4, 3), Q)
    for bounds in ((20, -20), (-20, 20), (40, 30), (30, 40)):
        y = m.add(x, x, "RELU6", Q)
        m.output(clamp(m, "MINIMUM", clamp(m, "MAXIMUM", y, bounds[0]), bounds[1]))
    result = assert_rewrite_exact(m, "fold_activations")
    assert kinds(result.graph) == ["ADD"] * 4


def test_clamps_stay_where_they_must() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 4, 4, 3), Q)
    read_twice = m.add(x, x, quant=Q)
    m.output(unary(m, "RELU", read_twice), m.max_pool2d(read_twice))
    output = m.add(x, x, quant=Q)
    m.output(output, unary(m, "RELU", output))
    m.output(unary(m, "RELU", m.add(x, x, quant=Q), Quant(0.07, -13)))  # another scale
    m.output(unary(m, "RELU", m.add(x, x, quant=Q), Quant(0.05, -12)))
    m.output(unary(m, "RELU", x), unary(m, "RELU", unary(m, "TANH", x, Q)))
    assert_rewrite_exact(m, "fold_activations", changes=False)


def test_every_layer_that_clamps_says_so() -> None:
    clamping = {kind for kind, operator in operators().items() if operator.clamps}
    assert clamping >= set(PRODUCERS) | {"TRANSPOSE_CONV", "SQUARED_DIFFERENCE"}


def test_quantize_without_effect_is_removed() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 4, 4, 3), Q)
    y = m.max_pool2d(m.quantize(x, Q))
    m.output(m.max_pool2d(m.quantize(m.quantize(y, Q), Q), (1, 1)))
    m.output(m.quantize(m.average_pool2d(x), Q))
    z = m.input((1, 9), Quant(0.01), "int16")
    m.output(unary(m, "RELU", m.quantize(z, Quant(0.01), "int16")))
    result = assert_rewrite_exact(m, "fold_quantize")
    assert "QUANTIZE" not in kinds(result.graph)


def test_a_detour_through_float_is_a_table() -> None:
    m = ModelBuilder(seed=5)
    for scale, zero_point in ((0.05, -13), (0.07, 4), (0.0001, 127), (3.0, -128), (0.05, -12)):
        x = m.max_pool2d(m.input((1, 32, 32, 1), Q))
        m.output(m.quantize(m.dequantize(x), Quant(scale, zero_point)))
    result = assert_rewrite_exact(m, "fold_quantize")
    assert kinds(result.graph) == ["MAX_POOL_2D"] + ["MAX_POOL_2D", "TABLE"] * 4


def test_floats_that_others_read_stay() -> None:
    m = ModelBuilder(seed=5)
    floats = m.dequantize(m.input((1, 256), Q))
    m.output(floats, m.quantize(floats, Quant(0.02, 4)))
    result = assert_rewrite_exact(m, "fold_quantize")
    assert kinds(result.graph) == ["DEQUANTIZE", "TABLE"]


def test_floats_that_a_layer_reads_stay() -> None:
    m = ModelBuilder(seed=5)
    floats = m.dequantize(m.input((1, 256), Q))
    m.output(unary(m, "ABS", floats), m.quantize(floats, Quant(0.02, 4)))
    result = assert_rewrite_exact(m, "fold_quantize")
    assert kinds(result.graph) == ["DEQUANTIZE", "ABS", "TABLE"]


def test_only_detours_between_int8_are_tables() -> None:
    m = ModelBuilder(seed=5)
    m.output(m.quantize(m.dequantize(m.input((1, 99), Quant(0.01), "int16")), Quant(0.02, 4)))
    m.output(m.quantize(m.dequantize(m.input((1, 99), Q)), Quant(0.01), "int16"))
    assert_rewrite_exact(m, "fold_quantize", changes=False)


def test_changes_of_sign_cancel() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 256), Quant(0.5, 9), "uint8")
    a = m.quantize(x, Quant(0.5, 9 - 128))
    b = m.quantize(a, Quant(0.5, 9), "uint8")
    c = m.quantize(b, Quant(0.5, 9 - 128))
    m.output(m.quantize(unary(m, "RELU", c), Quant(0.5, 9), "uint8"))
    result = assert_rewrite_exact(m, "fold_quantize")
    assert kinds(result.graph) == ["QUANTIZE", "RELU", "QUANTIZE"]


def test_quantize_that_must_stay() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 256), Q)
    m.output(m.quantize(x, Quant(0.05, -12)), m.quantize(x, Quant(0.06, -13)), m.quantize(x, Q))
    y = m.max_pool2d(m.input((1, 4, 4, 3), Q))
    m.output(y, m.quantize(y, Q))  # two outputs cannot be one
    assert_rewrite_exact(m, "fold_quantize", changes=False)


def test_chains_of_tables_are_one() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 256), Q)
    m.output(unary(m, "EXP", unary(m, "NEG", unary(m, "TANH", x, Quant(0.01, 3))), Quant(0.02, 7)))
    y = unary(m, "LEAKY_RELU", x, Quant(0.04, 3))
    m.output(m.quantize(unary(m, "LOGISTIC", y), Quant(0.01, -5)))
    result = assert_rewrite_exact(m, "fuse_tables")
    assert kinds(result.graph) == ["TABLE", "TABLE"]


def test_chains_end_where_others_read() -> None:
    m = ModelBuilder(seed=5)
    x = m.input((1, 256), Q)
    a = unary(m, "TANH", x, Quant(0.01, 3))
    b = unary(m, "RELU", unary(m, "NEG", a))
    m.output(a, m.max_pool2d(m.reshape(b, (1, 16, 16, 1))))
    m.output(m.quantize(unary(m, "ABS", m.input((1, 9), Quant(0.1), "int16")), Q))
    result = assert_rewrite_exact(m, "fuse_tables")
    assert kinds(result.graph)[:3] == ["TANH", "TABLE", "RESHAPE"]
    alone = ModelBuilder(seed=5)
    alone.output(unary(alone, "TANH", alone.input((1, 256), Q)))
    assert_rewrite_exact(alone, "fuse_tables", changes=False)


def test_the_rewrites_work_together() -> None:
    m = ModelBuilder(seed=5)
    y = unary(m, "RELU6", m.quantize(m.conv2d(m.input((1, 6, 6, 2), Q), 3, quant=Q), Q))
    y = m.quantize(m.dequantize(unary(m, "TANH", y, Quant(0.01, 3))), Quant(0.02, 3))
    m.output(y)
    for name in ("fold_quantize", "fold_activations", "fuse_tables"):
        assert_rewrite_exact(m, name)
    from lotor.frontend.tflite import read_model

    assert kinds(optimize(read_model(m.build(), "model"))) == ["CONV_2D", "TABLE"]
    assert run_pass(m, "fuse_tables").added[0].kind == "TABLE"
