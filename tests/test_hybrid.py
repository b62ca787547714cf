"""Dynamic quantization where its roundings are decided."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.hybrid import hybrid, hybrid_dense
from exactness import difference
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant

BELOW_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))


def identity(elements: int, scales: int) -> ModelBuilder:
    """A pointwise convolution whose every output is one input, quantized."""
    m = ModelBuilder(seed=5)
    x = m.input((1, 1, elements, 1), dtype="float32")
    weights = np.ones((2, 1, 1, 1), np.int8)
    m.output(hybrid(m, "CONV_2D", x, weights, (1.0, 1.0 / scales)[:scales]))
    return m


@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize("top", [127.0, 63.5, 1e-38, 3e38])
def test_ties_and_ranges(scales: int, top: float) -> None:
    steps = np.array([1, -1, 0.5, -0.5, BELOW_HALF, -BELOW_HALF, 1.5, -2.5, 126.5, 100.49999])
    m = identity(23, scales)
    oracle, ours = Oracle(m.build()), host.load(m.build())
    rng = np.random.default_rng(3)
    for low in (-127.0, -128.0, -3.0, 0.0):
        for _ in range(20):
            x = rng.choice(steps, 23)
            x[0], x[1] = 127.0, low
            x = rng.permutation(x * (top / 127)).astype(np.float32).reshape(1, 1, 23, 1)
            wrong = difference([ours.run(x)], [oracle.run(x)])
            assert not wrong, f"{x.ravel().tolist()}: {wrong}"


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("top", [127.0, 63.5, 1e-34, 3e38])
def test_ties_and_ranges_of_dense_layers(asymmetric: bool, top: float) -> None:
    steps = np.array([1, -1, 0.5, -0.5, BELOW_HALF, -BELOW_HALF, 1.5, -2.5, 126.5, 100.49999])
    m = ModelBuilder(seed=5)
    x = m.input((3, 23), dtype="float32")
    m.output(hybrid_dense(m, x, 23, asymmetric=asymmetric, bias=False))
    w = m.tensors[m.operators[-1].inputs[1]]
    m.tensors[w.index] = replace(w, data=np.eye(23, dtype=np.int8))
    oracle, ours = Oracle(m.build()), host.load(m.build())
    rng = np.random.default_rng(3)
    for low in (-127.0, -128.0, -3.0, 0.0):
        for _ in range(20):
            values = rng.choice(steps, (3, 23))
            values[:, 0], values[:, 1] = 127.0, low
            rows = rng.permuted(values * (top / 127), axis=1).astype(np.float32)
            assert not difference([ours.run(rows)], [oracle.run(rows)])


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
@pytest.mark.parametrize("asymmetric", [False, True])
def test_zeros_and_infinite_results_of_dense_layers(activation: str, asymmetric: bool) -> None:
    m = ModelBuilder(seed=5)
    x = m.input((2, 9), dtype="float32")
    m.output(hybrid_dense(m, x, 7, activation=activation, asymmetric=asymmetric))
    for t in list(m.tensors):
        if t.dtype == "int8":
            m.tensors[t.index] = replace(t, quant=Quant(300.0))
        elif t.data is not None:
            m.tensors[t.index] = replace(
                t, data=np.array([-0.0, 0.0, -1.0, 5.0, -0.0, 2.0, 0.0], np.float32)
            )
    oracle, ours = Oracle(m.build()), host.load(m.build())
    for value in (0.0, -0.0, 1e38, -1e38):
        rows = np.full((2, 9), value, np.float32)
        assert not difference([ours.run(rows)], [oracle.run(rows)]), value
    rows[0] = 0.0
    assert not difference([ours.run(rows)], [oracle.run(rows)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": np.full((4, 9), -128, np.int8)}, "hold -128, which the reference miscounts"),
        ({"quant": None}, "need scales, and zero point 0"),
        ({"quant": Quant(0.1, 3)}, "need scales, and zero point 0"),
        ({"quant": Quant((0.1,) * 9, 0, 1)}, "have 9 scales on axis 1; 1, or 4 on axis 0"),
        ({"data": np.ones((4, 9), np.int16), "dtype": "int16"}, "float32, int8 or int4 needed"),
    ],
)
def test_dense_layers_that_are_refused(change: dict[str, Any], reason: str) -> None:
    m = ModelBuilder(seed=5)
    m.output(hybrid_dense(m, m.input((3, 9), dtype="float32"), 4))
    w = m.tensors[m.operators[-1].inputs[1]]
    m.tensors[w.index] = replace(w, **change)
    with pytest.raises(UnsupportedModelError, match=reason):
        compile_model(m.build())


def test_zeros_and_one_sign() -> None:
    m = identity(11, 2)
    oracle, ours = Oracle(m.build()), host.load(m.build())
    for value in (0.0, -0.0, 3.0, -3.0, 1e-45):
        x = np.full((1, 1, 11, 1), value, np.float32)
        assert not difference([ours.run(x)], [oracle.run(x)]), value


def test_not_a_number_gives_some_result() -> None:
    ours = host.load(identity(9, 2).build())
    x = np.array([np.nan, np.inf, -np.inf, 1, 2, 3, 4, 5, np.nan], np.float32)
    assert ours.run(x.reshape(1, 1, 9, 1)).shape == (1, 1, 9, 2)


@pytest.mark.parametrize(
    ("kind", "shape", "scales", "reason"),
    [
        ("DEPTHWISE_CONV_2D", (1, 1, 1, 2), 1, "give each channel its own"),
        ("CONV_2D", (2, 1, 1, 1), 1, "give each filter its scale"),
        ("CONV_2D", (2, 1, 40000, 2), 1, "may leave int32"),
    ],
)
def test_what_has_no_reference(kind: str, shape: tuple[int, ...], scales: int, reason: str) -> None:
    m = ModelBuilder()
    x = m.input((1, 1, 1, 2), dtype="float32")
    m.output(hybrid(m, kind, x, np.full(shape, 127, np.int8), (0.5,) * scales))
    with pytest.raises(UnsupportedModelError, match=reason):
        compile_model(m.build())
