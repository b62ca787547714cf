"""UNIDIRECTIONAL_SEQUENCE_LSTM of float32: the gates' functions, long sequences, refusals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cases.unidirectional_sequence_lstm import RELU, TANH, float_lstm
from exactness import difference
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Tensor

Array = npt.NDArray[Any]
_IN_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES = 1, 5, 12  # places of the first gate's


def layer(shape: tuple[int, int, int], cells: int, *rest: Any, **forms: Any) -> ModelBuilder:
    """A model of one layer."""
    m = ModelBuilder(seed=4)
    m.output(float_lstm(m, m.input(shape, dtype="float32"), cells, *rest, **forms))
    return m


def set_input(m: ModelBuilder, place: int, data: Array) -> None:
    """Give the layer another constant of the same shape."""
    t = m.tensors[m.operators[-1].inputs[place]]
    m.tensors[t.index] = replace(t, data=np.broadcast_to(np.float32(data), t.shape).copy())


RNG = np.random.default_rng(1)
EDGES = [
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    88.8,
    -88.8,
    -103.9,
    -103.95,
    -103.98,
    -104.0,
    -104.1,
    16.6355,
    16.636,
]
VALUES = np.concatenate([RNG.normal(0, 4, 900), RNG.normal(0, 50, 300), EDGES, [3e38, -3e38]])


@pytest.mark.parametrize("cells", [1, 4, 7])
@pytest.mark.parametrize("activation", [TANH, RELU])
def test_the_functions_of_the_gates(cells: int, activation: int) -> None:
    """With RELU the input gate sees the values, with TANH the new cell does; the rest is 0 or 1."""
    seeing = 0 if activation == RELU else 2
    m = layer((1, VALUES.size, 1), cells, None, activation)
    for gate, bias in enumerate((200.0, -200.0, 1.0, 200.0)):
        set_input(m, _IN_WEIGHTS + gate, np.array(float(gate == seeing)))
        set_input(m, _HIDDEN_WEIGHTS + gate, np.zeros(()))
        set_input(m, _BIASES + gate, np.array(0.0 if gate == seeing else bias))
    x = VALUES.astype(np.float32).reshape(1, -1, 1)
    got, expected = host.load(m.build()).run(x), Oracle(m.build()).run(x)
    assert not difference([got], [expected])
    exact = (
        0.5 + 0.5 * np.tanh(x.astype(np.float64) / 2) if activation == RELU else np.tanh(np.tanh(x))
    )
    assert np.abs(got - exact).max() < 1e-6


@pytest.mark.parametrize(("batches", "cells"), [(1, 20), (1, 6), (5, 13)])
def test_nothing_differs_after_many_steps(batches: int, cells: int) -> None:
    m = layer((500, batches, 9), cells, time_major=True, gain=3.0)
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (500, batches, 9)).astype(np.float32)
    assert not difference([host.load(m.build()).run(x)], [Oracle(m.build()).run(x)])


@pytest.mark.parametrize("batches", [1, 3])
def test_sums_that_leave_float32(batches: int) -> None:
    m = layer((3, batches, 2), 5, None, RELU, time_major=True)
    for gate, bias in enumerate((200.0, -200.0, 3e38, 200.0)):
        set_input(m, _IN_WEIGHTS + gate, np.array(float(gate == 2)))
        set_input(m, _HIDDEN_WEIGHTS + gate, np.zeros(()))
        set_input(m, _BIASES + gate, np.array(bias))
    rng = np.random.default_rng(2)
    x = rng.choice(np.array([3e38, 1e38, -3e38], np.float32), (3, batches, 2))
    got, expected = host.load(m.build()).run(x), Oracle(m.build()).run(x)
    assert not difference([got], [expected])


def test_many_inputs_of_sequences_with_time_first_are_near() -> None:
    # The reference cuts long sums of several sequences into blocks that suit its processor.
    m = layer((3, 2, 1500), 9, time_major=True)
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (3, 2, 1500)).astype(np.float32)
    got, expected = host.load(m.build()).run(x), Oracle(m.build()).run(x)
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_not_a_number_gives_some_result(weights: str) -> None:
    m = layer((1, 3, 9), 5, weights=weights)
    x = np.full((1, 3, 9), np.nan, np.float32)
    x[0, 1] = [np.inf, -np.inf, 1, 2, 3, 4, 5, 6, np.nan]
    assert host.load(m.build()).run(x).shape == (1, 3, 5)


def _without(place: int) -> Callable[[ModelBuilder], None]:
    def change(m: ModelBuilder) -> None:
        op = m.operators[-1]
        inputs = [-1 if i == place else index for i, index in enumerate(op.inputs)]
        m.operators[-1] = replace(op, inputs=tuple(inputs))

    return change


def _with(place: int, **fields: Any) -> Callable[[ModelBuilder], None]:
    def change(m: ModelBuilder) -> None:
        t = m.tensors[m.operators[-1].inputs[place]]
        m.tensors[t.index] = replace(t, **fields)

    return change


def _option(**fields: Any) -> Callable[[ModelBuilder], None]:
    def change(m: ModelBuilder) -> None:
        op = m.operators[-1]
        assert op.options is not None
        name, values = op.options
        m.operators[-1] = replace(op, options=(name, values | fields))

    return change


def _lowest(m: ModelBuilder) -> None:
    data = m.tensors[m.operators[-1].inputs[6]].data
    assert data is not None
    data[0, 0] = -128


def _short(m: ModelBuilder) -> None:
    op = m.operators[-1]
    m.operators[-1] = replace(op, inputs=op.inputs[:21])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without(1), "input gate lacks weights but has others"),
        (_without(2), "lacks its forget weights"),
        (_without(4), "lacks its output weights"),
        (_without(10), "lacks its forget peepholes"),
        (_without(14), "lacks its cell bias"),
        (_without(16), "6 cells give 5 outputs without a projection"),
        (_without(16), "projection bias without a projection"),
        (_without(18), "input 18 must be a variable"),
        (_without(21), "lacks its forget normalization"),
        (_with(19, shape=(2, 5)), "has shape [2, 5]; [2, 6] or [12] needed"),
        (_with(2, shape=(3, 18)), "must be a constant float32[6, 9]"),
        (_with(6, shape=(30,)), "are a diagonal; a matrix needed"),
        (_with(12, shape=(2, 3)), "must be a constant float32[6]"),
        (_with(4, data=np.zeros((6, 9), np.int16), dtype="int16"), "are not float32 or int8"),
        (_option(FusedActivationFunction=0), "activation number 0 has no reference"),
        (_option(FusedActivationFunction=5), "activation number 5 has no reference"),
        (_option(CellClip=-1.0), "cell clip -1.0 is no limit"),
        (_option(ProjClip=float("nan")), "projection clip nan is no limit"),
        (_short, "it has 21 inputs; 20, or 24"),
    ],
)
def test_refusals(change: Callable[[ModelBuilder], None], reason: str) -> None:
    m = layer((2, 3, 9), 6, 5, peepholes=True, normalized=True)
    change(m)
    _refused(m, reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_lowest, "hold -128, which the reference miscounts"),
        (_with(6, quant=None), "needs one scale and zero point 0"),
        (_with(9, quant=None), "needs one scale and zero point 0"),
        (_with(6, data=np.zeros((6, 6), np.float32), dtype="float32"), "constant int8[6, 6]"),
    ],
)
def test_refusals_of_quantized_weights(change: Callable[[ModelBuilder], None], reason: str) -> None:
    m = layer((2, 3, 9), 6, peepholes=True, weights="int8")
    change(m)
    _refused(m, reason)


def test_sums_that_leave_int32() -> None:
    m = ModelBuilder()
    x: Tensor = m.input((1, 1, 70000), dtype="float32")
    m.output(float_lstm(m, x, 1, weights="int8"))
    set_weights = _with(1, data=np.full((1, 70000), 127, np.int8))
    set_weights(m)
    _refused(m, "may leave int32; fewer inputs needed")


def _refused(m: ModelBuilder, reason: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    assert reason in str(caught.value)
