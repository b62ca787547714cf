"""Models of TensorFlow 1, quantized as uint8: the rewrite, and what stands around a model."""

from pathlib import Path

import numpy as np
import pytest

from lotor import host, verify
from lotor.classifier import HostClassifier, LiteRtClassifier
from lotor.compiler import Compiled, compile_model
from lotor.frontend.tflite import read_model
from lotor.graph import DType
from lotor.optimize.uint8_to_int8 import as_in_file, uint8_to_int8
from lotor.oracle import Oracle
from lotor.zoo import find_model
from tflite_builder import ModelBuilder, Quant


def classifier() -> ModelBuilder:
    """A small image classifier, its input over [-1, 1)."""
    m = ModelBuilder(seed=4)
    x = m.conv2d(m.input((1, 8, 6, 3), Quant(1 / 128, 0)), 4, per_channel=False)
    m.output(m.softmax(m.fully_connected(m.average_pool2d(x, (8, 6)), 5)))
    m.to_uint8(weights_zero_point=131)
    return m


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "classifier.tflite"
    path.write_bytes(classifier().build())
    return path


def test_only_the_border_stays_uint8(model: Path) -> None:
    before = read_model(model.read_bytes(), "classifier")
    after = uint8_to_int8(before)
    assert [op.kind for op in after.ops] == [
        "QUANTIZE",
        *(op.kind for op in before.ops),
        "QUANTIZE",
    ]
    assert after.inputs == before.inputs and after.outputs == before.outputs
    inner = after.ops[1:-1]
    assert all(op.uint8 for op in inner)
    tensors = [t for op in inner for t in (*op.inputs, *op.outputs) if t is not None]
    assert {t.dtype for t in tensors} == {DType.INT8, DType.INT32}
    # The graph that was given is as it was.
    assert {t.dtype for op in before.ops for t in op.outputs} == {DType.UINT8}
    assert not any(op.uint8 for op in before.ops)
    assert [op.outputs[0].source for op in inner] == [op.outputs[0].source for op in before.ops]


def test_a_graph_without_uint8_is_left_alone() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))))
    graph = read_model(m.build(), "model")
    assert uint8_to_int8(graph).ops == graph.ops


def test_values_are_compared_in_the_type_of_the_file(model: Path) -> None:
    values = np.array([-128, -1, 0, 127], np.int8)
    assert as_in_file(values, np.dtype(np.uint8)).tolist() == [0, 127, 128, 255]
    assert as_in_file(values, np.dtype(np.int8)) is values
    ours, oracle = host.load(model), Oracle(model)
    x = np.arange(144, dtype=np.uint8).reshape(1, 8, 6, 3)
    oracle.run(x)
    assert verify.first_bad_layer(ours, oracle, [x]).startswith("none")


def test_a_wrong_layer_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, *args: object, **kwargs: object) -> Compiled:
        compiled = compile_model(path)
        wrong = compiled.source.replace("lotor_clamp(value", "lotor_clamp(value + 40", 1)
        assert wrong != compiled.source
        object.__setattr__(compiled, "source", wrong)
        return compiled

    monkeypatch.setattr("lotor.host.compile_model", broken)
    found = verify.verify(str(model), samples=2, seed=0)
    assert found.mismatches > 0
    assert found.first_bad_layer is not None and "none" not in found.first_bad_layer


def test_pixels_enter_as_they_are(model: Path) -> None:
    found = find_model(str(model))
    ours, litert = HostClassifier(found), LiteRtClassifier(found)
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    tensor = ours.input.tensor(image)
    assert tensor.dtype == np.uint8
    assert np.array_equal(tensor[0], image[:, :, ::-1])  # from BGR to RGB
    got, want = (c.probabilities(c.infer(tensor)) for c in (ours, litert))
    assert np.array_equal(got, want)
    assert 0.9 < got.sum() < 1.1
