"""Layers whose inputs are constants become constants."""

import sys

import numpy as np
import pytest

from cases import built
from cases import movement as mv
from exactness import as_list, assert_exact
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.frontend.tflite import read_model
from lotor.ops.shape import Shape
from lotor.optimize.fold_constants import fold_constants
from lotor.oracle import Oracle
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant


def test_shape_chains_leave_nothing_behind() -> None:
    m = built(mv.shape_chains)
    result = assert_rewrite_exact(m, "fold_constants", needed=True)
    folded = {op.kind for op in result.removed}
    assert folded >= {"SHAPE", "STRIDED_SLICE", "GATHER", "PACK", "CONCATENATION", "RANK", "RANGE"}
    assert {op.kind for op in result.graph.ops} == {"RESHAPE", "FULLY_CONNECTED"}
    # The copies of what the model gives out; two layers reshape.
    outputs = [op for op in result.graph.ops if op.input(0).data is not None]
    assert len(outputs) == 7


def test_values_are_the_references() -> None:
    for build in (mv.constants_of_every_type, mv.shape_chains):
        m = built(build)
        graph = fold_constants(read_model(m.build(), "model"))
        oracle = Oracle(m.build())
        oracle.run(*[np.zeros(x.shape, x.dtype) for x in m.inputs])
        constants = {t for op in graph.ops for t in op.inputs if t is not None}
        checked = 0
        for tensor in constants:
            if tensor.data is not None and tensor.source is not None:
                theirs = oracle.tensor(tensor.source)
                assert theirs.shape == tensor.shape
                assert theirs.tobytes() == tensor.data.tobytes()
                checked += 1
        assert checked > 5


def weights_in_halves() -> ModelBuilder:
    """As converters shrink float32 models."""
    m = ModelBuilder(4)
    x = m.input((2, 6), dtype="float32")
    w = m.dequantize(m.constant(m.rng.normal(0, 1, (3, 6)), None, "float16"))
    y = m.tensor((2, 3), None, "float32")
    m.output(m.operator("FULLY_CONNECTED", [x, w, None], [y], "FullyConnectedOptions"))
    return m


def test_weights_of_half_precision() -> None:
    m = weights_in_halves()
    ops = run_pass(m, "fold_constants").graph.ops
    assert [op.kind for op in ops] == ["FULLY_CONNECTED"]
    compiled = compile_model(m.build(), "host")
    x = np.random.default_rng(0).normal(0, 1, (2, 6)).astype(np.float32)
    want = as_list(Oracle(m.build()).run(x))[0]
    np.testing.assert_allclose(host.HostModel(compiled).run(x), want, rtol=1e-6, atol=1e-6)


def test_what_depends_on_inputs_stays() -> None:
    m = ModelBuilder()
    x = m.input((2, 3), Quant(0.1, 0))
    m.output(mv.concatenation(m, [x, m.constant(m.weights((2, 3)), x.quant)], 0))
    assert not run_pass(m, "fold_constants").removed
    assert_exact(m)


def test_an_output_that_is_read_too() -> None:
    m = ModelBuilder()
    x = m.input((2, 3), Quant(0.1, 0))
    c = m.reshape(m.constant(m.weights((3, 2)), x.quant), (2, 3))
    m.output(c, mv.concatenation(m, [mv.transpose(m, mv.transpose(m, c, (1, 0)), (1, 0)), x], 0))
    result = assert_rewrite_exact(m, "fold_constants")
    assert [op.kind for op in result.graph.ops] == ["RESHAPE", "CONCATENATION"]


def test_a_wrong_shape_is_not_folded() -> None:
    m = ModelBuilder()
    x = m.input((2, 3), Quant(0.1, 0))
    wrong = m.tensor((3,), None, "int32")
    m.operator("SHAPE", [x], [wrong], "ShapeOptions", OutType=2)
    m.output(m.operator("RESHAPE", [x, wrong], [m.tensor((1, 2, 3), x.quant)], "ReshapeOptions"))
    assert not run_pass(m, "fold_constants").removed
    with pytest.raises(UnsupportedModelError, match="SHAPE"):
        compile_model(m.build())


def test_values_of_another_shape_or_type_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = read_model(built(mv.shape_chains).build(), "model")
    for values in (np.zeros(5, np.int32), np.zeros(4, np.int64)):
        monkeypatch.setattr(Shape, "evaluate", lambda self, op, found=values: [found])
        kinds = [op.kind for op in fold_constants(graph).ops]
        assert "SHAPE" in kinds and "RANK" not in kinds


def test_huge_values_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file must not make the compiler fill the memory."""
    module = sys.modules[fold_constants.__module__]
    monkeypatch.setattr(module, "_MAX_BYTES", 250)
    m = ModelBuilder()
    one = m.constant(np.int8(1), Quant(0.1))
    m.output(m.reshape(m.input((4,), Quant(0.1, 0)), (2, 2)))
    for _ in range(4):
        m.output(mv.fill(m, [10, 10], one))
    graph = fold_constants(read_model(m.build(), "model"))
    assert [op.kind for op in graph.ops] == ["RESHAPE"] * 3 + ["FILL"] * 2
    assert_exact(m)
