"""The rewrites as a whole: what is said of them, leaving one out, the edits they share."""

import json
from pathlib import Path

import pytest

from conftest import Lotor
from lotor.graph import DType, Graph, Op, Tensor
from lotor.optimize import PASSES
from lotor.optimize.edit import Uses, rewritten
from lotor.optimize.report import as_text, report_passes
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder


def dead_layer() -> ModelBuilder:
    m = ModelBuilder(seed=3)
    x = m.input((1, 4, 4, 2))
    m.conv2d(x, 3)
    m.output(m.max_pool2d(x))
    return m


def tensor(name: str) -> Tensor:
    return Tensor(name, (4,), DType.INT8)


def op(name: str, reads: list[Tensor], writes: Tensor) -> Op:
    return Op("ABS", name, list(reads), [writes])


def test_what_a_rewrite_saves_is_shown(tmp_path: Path, lotor: Lotor) -> None:
    path = tmp_path / "dead.tflite"
    path.write_bytes(dead_layer().build())
    data = json.loads(lotor("inspect", path, "--passes", "--json").stdout)
    assert [p["name"] for p in data["passes"]] == [rewrite.__name__ for rewrite in PASSES]
    dead = next(p for p in data["passes"] if p["name"] == "remove_dead")
    assert [layer["kind"] for layer in dead["removed"]] == ["CONV_2D"]
    assert dead["changed"] == dead["added"] == []
    assert dead["saved"] == {
        "ops": 1,
        "macs": 4 * 4 * 3 * 3 * 3 * 2,
        "weights_bytes": 3 * 3 * 3 * 2 + 3 * 4,
        "activation_bytes": 4 * 4 * 3,
    }
    text = lotor("inspect", path, "--passes").stdout
    assert "removed 1: CONV_2D" in text
    assert "saves 1 layers, 864 MACs, 66 bytes of weights, 48 bytes of activations" in text
    assert "nothing to do" in text


def test_every_rewrite_says_what_it_does() -> None:
    for rewrite in PASSES:
        purpose = (rewrite.__doc__ or "").split("\n")[0]
        assert purpose.endswith("."), rewrite.__name__
        assert rewrite.__module__ == f"lotor.optimize.{rewrite.__name__}"


def test_a_rewrite_can_be_left_out() -> None:
    m = dead_layer()
    result = assert_rewrite_exact(m, "remove_dead")
    assert [op.kind for op in result.removed] == ["CONV_2D"]
    m.output(m.conv2d(m.inputs[0], 3))
    with pytest.raises(AssertionError):
        assert_rewrite_exact(m, "remove_dead", changes=False)


def test_changed_layers_keep_name_and_operator() -> None:
    m = dead_layer()
    m.to_uint8()
    found = next(p for p in report_passes(read(m)) if p["name"] == "uint8_to_int8")
    assert [layer["kind"] for layer in found["changed"]] == ["CONV_2D", "MAX_POOL_2D"]
    assert {layer["kind"] for layer in found["added"]} == {"QUANTIZE"}
    assert found["removed"] == []
    assert "changed 2: CONV_2D" in as_text([found])
    assert run_pass(m, "uint8_to_int8").removed


def read(m: ModelBuilder) -> Graph:
    from lotor.frontend.tflite import read_model

    return read_model(m.build(), "model")


def test_edits_follow_chains_and_leave_the_graph_alone() -> None:
    a, b, c, d = map(tensor, "abcd")
    first, second, third = op("first", [a], b), op("second", [b], c), op("third", [c, b], d)
    graph = Graph("g", [a], [d], [first, second, third])
    edited = rewritten(graph, {second: ()}, {c: b, b: a})
    assert [o.name for o in edited.ops] == ["first", "third"]
    assert edited.ops[1].inputs == [a, a]
    assert third.inputs == [c, b]
    assert graph.ops == [first, second, third]
    assert rewritten(graph).ops == graph.ops


def test_uses() -> None:
    a, b, c = map(tensor, "abc")
    double, last = op("double", [a, a], b), op("last", [b], c)
    uses = Uses(Graph("g", [a], [c], [double, last]))
    assert uses.readers(a) == [double]
    assert uses.producer(b) is double
    assert uses.producer(a) is None
    assert uses.producer(None) is None
    assert uses.sole_reader(b) is last
    assert uses.sole_reader(c) is None
    assert uses.readers(c) == ()
    assert uses.is_output(c)
    assert not uses.is_output(b)
