"""A quantized model as the float model that it stands for."""

import numpy as np
import pytest

from lotor.frontend.tflite import read_model
from lotor.graph import Quantization
from lotor.resources import resource
from lotor.train.dequantize import dequantized, real_values

pytestmark = pytest.mark.train


def test_values_by_axis() -> None:
    quant = Quantization(np.array([0.5, 2.0], np.float32), np.array([1, -1]), axis=1)
    data = np.array([[3, 4], [1, 0]], np.int8)
    assert np.array_equal(real_values(data, quant), np.array([[1.0, 10.0], [0.0, 2.0]]))


def test_computes_what_the_integers_stand_for() -> None:
    pytest.importorskip("tensorflow")
    from lotor.oracle import Oracle
    from lotor.train.export import to_float
    from lotor.train.unpack import unpack

    path = resource("models", "raccoon", "raccoon.tflite")
    graph = read_model(path.read_bytes(), "raccoon")
    into, out = graph.inputs[0].q, graph.outputs[0].q
    real = Oracle(to_float(unpack(dequantized(graph))))
    # The graph that was read is as it was.
    assert graph.inputs[0].np_dtype == np.int8
    for golden in sorted(path.parent.glob("golden/*.npz")):
        vector = np.load(golden)
        wanted = real_values(vector["output"], out)
        found, _ = real.run(real_values(vector["input"], into))
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 0.08, golden.name
        assert found.argmax() == wanted.argmax(), golden.name
