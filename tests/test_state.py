"""What a model keeps from one run to the next: first values, resets, boards, refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cases import built
from cases.resource_variables import resource_variables, stream
from cases.svdf import layers_over_time, svdf
from cases.unidirectional_sequence_lstm import lstm, memory_cells, memory_cells_of_float32
from exactness import as_list, difference, inputs_of
from host_server import HostServer, build_host_server
from lotor import host
from lotor.build import self_test
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.device.compare import first_bad_layer, host_outputs
from lotor.device.session import Session
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant

Array = npt.NDArray[Any]
STATEFUL = [layers_over_time, memory_cells, memory_cells_of_float32, resource_variables]
every_model = pytest.mark.parametrize("build", STATEFUL, ids=lambda build: str(build.__name__))


@every_model
def test_a_reset_begins_anew(build: Any) -> None:
    model = built(build)
    ours = host.load(model.build())
    runs = list(inputs_of(model))
    first = [as_list(ours.run(*inputs)) for inputs in runs]
    again = [as_list(ours.run(*inputs)) for inputs in runs]
    ours.reset()
    anew = [as_list(ours.run(*inputs)) for inputs in runs]
    assert all(difference(a, b) == "" for a, b in zip(anew, first, strict=True))
    assert any(difference(a, b) for a, b in zip(again, first, strict=True))


@every_model
def test_a_reset_is_that_of_the_reference(build: Any) -> None:
    model = built(build)
    content = model.build()
    ours, oracle = host.load(content), Oracle(content)
    for _ in range(2):
        for inputs in inputs_of(model):
            assert difference(as_list(ours.run(*inputs)), as_list(oracle.run(*inputs))) == ""
        ours.reset()
        oracle.reset()


@every_model
def test_an_earlier_state_can_be_set(build: Any) -> None:
    model = built(build)
    ours = host.load(model.build())
    inputs, other = list(inputs_of(model))[:2]
    ours.run(*inputs)
    before = ours.state
    assert len(before) == ours.compiled.report["state_bytes"] > 0
    expected = as_list(ours.run(*other))
    ours.run(*inputs)
    ours.state = before
    assert difference(as_list(ours.run(*other)), expected) == ""
    ours.state = before
    layers = ours.layer_outputs(*other)
    ours.state = before
    assert [a.tobytes() for a in ours.layer_outputs(*other)] == [a.tobytes() for a in layers]


def test_gcc_copies_the_first_state_as_it_is() -> None:
    """Some versions copy equal words of 64 bits before a zero as if the zero were one of them."""
    m = ModelBuilder()
    init = m.initialise()
    start = np.array([1, 2, 3, 4, 6, 6, 6, 0], np.int64)
    m.output(stream(m, init, "words", m.input((8,), dtype="int64"), start))
    (first,) = as_list(host.load(m.build()).run(np.zeros(8, np.int64)))
    np.testing.assert_array_equal(first, start)


def test_a_model_without_state_has_no_reset() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))))
    model = host.load(m.build())
    assert "_reset" not in model.compiled.header + model.compiled.source
    assert model.compiled.report["state_bytes"] == 0
    assert model.state == b""
    model.reset()


def test_firmware_begins_anew_at_select_and_self_test(tmp_path: Path) -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 8), Quant(0.05, 3))
    m.output(svdf(m, x, 4, memory=3))
    model = host.HostModel(compile_model(m.build(), name="streams"))
    program = build_host_server([model.compiled], tmp_path, sanitize=True, tests=[self_test(model)])
    runs = list(inputs_of(m))
    with HostServer(program) as server:
        session = Session(server, "the server here", timeout=5.0)  # type: ignore[arg-type]
        server.write(b"\0")
        session.drain(quiet=0.05)
        session.select(0)
        expected = [host_outputs(model, *inputs) for inputs in runs]
        assert [[bytes(y) for y in session.infer(*inputs)] for inputs in runs] == expected
        assert [bytes(y) for y in session.infer(*runs[0])] != expected[0]
        session.select(0)
        assert [bytes(y) for y in session.infer(*runs[0])] == expected[0]
        assert session.self_test().passed
        assert [bytes(y) for y in session.infer(*runs[0])] == expected[0]
        assert first_bad_layer(session, model, *runs[0]) is None


@pytest.mark.parametrize("gate", ["input", "cell"])
def test_every_value_of_the_gates_functions(gate: str) -> None:
    """One gate takes every int16, the other one its largest value; the cells keep the product."""
    cells, steps = 256, 1
    m = ModelBuilder()
    x = m.input((1, steps, 1), Quant(2.0**-6, 0))
    y = lstm(m, x, cells, exponent=-15, hidden=Quant(2.0**-7, 0))
    op = m.operators[-1]
    place = {"input": 0, "cell": 2}
    high = np.full(cells, 2**20, np.int32)
    low = -high
    for number in range(4):
        inside, back, bias = (m.tensors[op.inputs[base + number]] for base in (1, 5, 12))
        chosen = number == place[gate]
        # Factor 1 into Q3.12: the bias is the gate's value for inputs of zero.
        value = (np.arange(cells) * 256 - 2**15).astype(np.int32) if chosen else high
        value = low if number == 1 else value  # forget everything
        weights = np.full((cells, 1), int(chosen), np.int8)
        m.tensors[inside.index] = replace(inside, data=weights, quant=Quant(2.0**-6))
        m.tensors[back.index] = replace(back, data=np.zeros_like(back.data), quant=Quant(2.0**-6))
        m.tensors[bias.index] = replace(bias, data=value)
    m.output(y)
    content = m.build()
    ours, oracle = host.load(content), Oracle(content)
    kept = op.inputs[19]
    seen = set()
    for low_byte in range(-128, 128):
        inputs = np.full((1, steps, 1), low_byte, np.int8)
        assert difference([ours.run(inputs)], [oracle.run(inputs)]) == ""
        assert oracle.tensor(kept).tobytes() in ours.state
        seen |= set(oracle.tensor(kept).reshape(-1).tolist())
    assert len(seen) > 9_000


def _refusal(m: ModelBuilder) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    return str(caught.value)


@pytest.mark.parametrize("narrow", [(2,), (4,), (2, 4)])
def test_a_variable_that_the_reference_takes_for_int16(narrow: tuple[int, ...]) -> None:
    m = ModelBuilder()
    m.output(svdf(m, m.input((1, 4), Quant(0.1, 0)), 3))
    for place in narrow:
        t = m.tensors[m.operators[-1].inputs[place]]
        data = None if t.data is None else t.data.astype(np.int8)
        m.tensors[t.index] = replace(t, dtype="int8", data=data)
    assert "have no reference in LiteRT, which takes them for int16" in _refusal(m)


def test_variables_that_other_layers_read() -> None:
    m = ModelBuilder()
    kept = m.variable((1, 4), Quant(0.1, 0))
    m.output(m.add(m.input((1, 4), Quant(0.1, 0)), kept))
    assert "keeps its value between runs" in _refusal(m)


def test_an_initialiser_that_computes() -> None:
    m = ModelBuilder()
    init = m.initialise()
    one = init.constant(np.ones((1, 4), np.int8), Quant(0.1, 0))
    init.assign(init.handle("kept"), init.add(one, one, quant=Quant(0.1, 0)))
    m.output(m.read(m.handle("kept"), m.input((1, 4), Quant(0.1, 0))))
    assert "initialiser that assigns constants" in _refusal(m)


def test_a_variable_of_two_shapes_or_without_a_value() -> None:
    m = ModelBuilder()
    x = m.input((1, 4), Quant(0.1, 0))
    m.output(m.read(m.handle("never set"), x))
    assert "'never set' cannot be kept" in _refusal(m)
    m = ModelBuilder()
    init = m.initialise()
    init.assign(init.handle("kept"), init.constant(np.zeros((2, 2), np.int8), Quant(0.1, 0)))
    m.output(m.read(m.handle("kept"), m.input((1, 4), Quant(0.1, 0))))
    assert "'kept' cannot be kept" in _refusal(m)
