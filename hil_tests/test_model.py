"""What a board computes is what this machine computes, byte for byte."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

from lotor.build import self_test
from lotor.device.bench import Bench, Mismatch
from lotor.device.compare import first_bad_layer
from lotor.device.session import DeviceError, Session, as_bytes
from lotor.errors import LotorError


@pytest.fixture(autouse=True, params=["model", "small"])
def selected(request: pytest.FixtureRequest, bench: Bench, board: Session) -> None:
    """Every test runs with both models of the image."""
    bench.select(getattr(bench, request.param))


@pytest.mark.smoke
def test_random_inputs(bench: Bench) -> None:
    for seed in range(3):
        bench.check(seed)


@pytest.mark.parametrize("value", [-128, 127])
def test_extreme_inputs(bench: Bench, board: Session, value: int) -> None:
    tensors = bench.host.compiled.graph.inputs
    inputs = [np.full(tensor.shape, value).astype(tensor.np_dtype) for tensor in tensors]
    if board.infer(*inputs) != bench.outputs(inputs):
        raise Mismatch(f"inputs of {value}: layer {first_bad_layer(board, bench.host, *inputs)}")


def test_golden_vectors(bench: Bench, board: Session) -> None:
    """The vectors hold what LiteRT's reference kernels computed when the model was made."""
    if bench.host is bench.small or not bench.golden:
        pytest.skip(f"model {bench.host.compiled.name} has no golden vectors")
    for path in bench.golden:
        with np.load(path) as vector:
            data, model = vector["input"], str(vector["model_sha256"])
            expected = [
                as_bytes(vector[name]) for name in vector.files if name.startswith("output")
            ]
        assert model == bench.host.compiled.model_hash, f"{path.name} is of another model"
        if board.infer(data) != expected:
            layer = first_bad_layer(board, bench.host, data)
            raise Mismatch(f"golden vector {path.name}: layer {layer} differs from this machine's")


@pytest.mark.smoke
def test_self_test(bench: Bench, board: Session) -> None:
    expected = self_test(bench.host)
    if not expected.seed:
        pytest.skip(f"model {bench.host.compiled.name} has inputs without a self-test")
    found = board.self_test()
    assert found.result == 0
    assert found.expected == expected.crc
    if found.crc != expected.crc:
        raise Mismatch(f"self-test gave {found.crc:08x}, this machine {expected.crc:08x}")
    assert board.self_test() == found or bench.board.ticks.unit != "instructions"
    with pytest.raises(DeviceError, match="not ready"):
        board.run()  # the self-test forgot the inputs
    bench.check()


def test_a_profile_sums_up_and_comes_again(
    bench: Bench, board: Session, record_property: Callable[[str, object], None]
) -> None:
    inputs = bench.inputs(5)
    runs = []
    for _ in range(2):
        bench.load(inputs)
        total = board.run().ticks
        layers = board.profile()
        assert len(layers) == board.model.layers == len(bench.host.compiled.report["layers"])
        assert sum(layer.ticks for layer in layers) == total
        assert {layer.crc for layer in layers} == {0}
        assert all(layer.ticks > 0 for layer in layers)
        runs.append(layers)
    # A multiplication takes an instruction or more, unless several share one.
    assert total > bench.host.compiled.report["macs"] // 16
    if bench.board.ticks.unit == "instructions":
        assert runs[0] == runs[1]
    statistics = board.statistics()
    record_property("ticks", total)
    record_property("tick_unit", bench.board.ticks.unit)
    record_property("stack_bytes", statistics.stack_bytes)
    record_property("arena_bytes", statistics.arena_bytes)
    record_property("retries", board.retries)


def test_every_layer_is_right(bench: Bench, board: Session) -> None:
    inputs = bench.inputs(6)
    layer = first_bad_layer(board, bench.host, *inputs)
    if layer is not None:
        name = bench.host.compiled.report["layers"][layer]["name"]
        raise Mismatch(f"layer {layer} ({name}) differs first from this machine's")
    crcs = [layer.crc for layer in board.profile()]
    assert len(set(crcs)) > 1
    assert zlib.crc32(bench.outputs(inputs)[-1]) in crcs


def test_select(bench: Bench, board: Session) -> None:
    for host in (bench.small, bench.model, bench.host):
        bench.select(host)
        assert board.hello().selected == board.model.index
        assert board.model.name == host.compiled.name
    with pytest.raises(LotorError, match="has no model 'no-such'"):
        board.select("no-such")
    bench.check()


def test_selecting_forgets_inputs_and_outputs(bench: Bench, board: Session) -> None:
    bench.load(bench.inputs(7))
    board.run()
    board.select(board.model.index)
    with pytest.raises(DeviceError, match="not ready"):
        board.read(0)
    with pytest.raises(DeviceError, match="not ready"):
        board.run()
    bench.check()


def test_pieces_in_any_order(bench: Bench, board: Session) -> None:
    """Backwards, twice and overlapping: an input is what was written last."""
    inputs, most = bench.inputs(8), board.data_bytes
    for index, data in enumerate(map(as_bytes, inputs)):
        board.load_piece(index, len(data) // 2, bytes(min(300, len(data) // 4)))
        for start in reversed(range(0, len(data), most - 100)):
            board.load_piece(index, start, data[start : start + most])
    board.run()
    bench.expect(inputs)
