"""New shapes as other names for the same bytes: exact, and no copy where there need be none."""

import numpy as np

from cases.movement import expand_dims, squeeze
from exactness import assert_exact
from lotor.compiler import compile_model
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant

Q = Quant(0.05, -3)


def shapes(m: ModelBuilder) -> None:
    x = m.input((1, 4, 1, 6), Q)
    y = squeeze(m, m.conv2d(x, 4, (1, 1)))
    z = expand_dims(m, m.reshape(y, (2, 8)), 1)
    m.output(m.unary("TANH", z, Q), m.reshape(x, (6, 4)))


def test_nothing_is_copied() -> None:
    m = ModelBuilder(seed=3)
    shapes(m)
    assert_rewrite_exact(m, "alias_shapes")
    result = run_pass(m, "alias_shapes")
    assert [op.kind for op in result.graph.ops if op.kind != "ALIAS"] == ["CONV_2D", "TANH"]
    assert sorted(op.kind for op in result.removed) == [
        *("EXPAND_DIMS", "RESHAPE", "RESHAPE", "SQUEEZE"),
    ]
    compiled, copying = compile_model(m.build()), compile_model(m.build(), skip=["alias_shapes"])
    assert "lotor_copy" not in compiled.source
    assert copying.source.count("lotor_copy_portable(\n") == 4
    assert compiled.plan.arena_bytes < copying.plan.arena_bytes


def test_a_constant_is_copied_into_an_output() -> None:
    m = ModelBuilder(seed=3)
    m.output(m.unary("TANH", m.input((1, 4), Q), Q))
    m.output(m.reshape(m.constant(np.arange(6, dtype=np.int8), Q), (2, 3)))
    assert_exact(m)
    assert "ALIAS" not in {op.kind for op in run_pass(m, "alias_shapes").graph.ops}
