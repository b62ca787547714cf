"""What a board computes is what this machine computes, byte for byte."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest

from lotor.device.bench import Bench, Mismatch
from lotor.device.compare import first_bad_layer
from lotor.device.session import DeviceError, Session, as_bytes
from lotor.errors import LotorError

SELF_TEST_SEED = 0x4C4F544F


@pytest.mark.smoke
@pytest.mark.parametrize("seed", range(4))
def test_random_inputs(bench: Bench, seed: int) -> None:
    bench.check(seed)


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_extreme_inputs(bench: Bench, board: Session, value: int) -> None:
    inputs = [np.full(t.shape, value).astype(t.np_dtype) for t in bench.host.compiled.graph.inputs]
    if board.infer(*inputs) != bench.outputs(inputs):
        raise Mismatch(f"inputs of {value}: layer {first_bad_layer(board, bench.host, *inputs)}")


def test_golden_vectors(bench: Bench, board: Session) -> None:
    if not bench.golden:
        pytest.skip(f"model {bench.host.compiled.name} has no golden vectors")
    for path in bench.golden:
        with np.load(path) as vector:
            data, expected, model = vector["input"], vector["output"], str(vector["model_sha256"])
        assert model == bench.host.compiled.model_hash, f"{path.name} is of another model"
        if board.infer(data) != [as_bytes(expected)]:
            layer = first_bad_layer(board, bench.host, data)
            raise Mismatch(f"golden vector {path.name}: layer {layer} differs from this machine's")


@pytest.mark.smoke
def test_self_test(bench: Bench, board: Session) -> None:
    found = board.self_test()
    assert found.result == 0
    if found.crc != found.expected:
        raise Mismatch(f"self-test gave {found.crc:08x}; the build says {found.expected:08x}")
    assert board.self_test() == found or bench.board.ticks.unit == "cycles"
    with pytest.raises(DeviceError):
        board.run()  # the self-test forgot the inputs
    bench.check()


def test_a_profile_sums_up_and_comes_again(
    bench: Bench, board: Session, record_property: Callable[[str, object], None]
) -> None:
    inputs = bench.inputs(5)
    runs = []
    for _ in range(2):
        for index, data in enumerate(inputs):
            board.load(index, data)
        total = board.run().ticks
        layers = board.profile()
        assert len(layers) == board.model.layers == len(bench.host.compiled.report["layers"])
        assert sum(layer.ticks for layer in layers) == total
        assert {layer.crc for layer in layers} == {0}
        assert all(layer.ticks > 0 for layer in layers if layer) and total > 1000
        runs.append(layers)
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
    assert crcs[-1] == zlib.crc32(bench.outputs(inputs)[0])


def test_select(bench: Bench, board: Session) -> None:
    index = board.require_model(bench.host.compiled)
    assert board.select(index).hash == bench.host.compiled.model_hash
    with pytest.raises(LotorError, match="has no model 'no-such'"):
        board.select("no-such")
    bench.check()


def test_selecting_forgets_inputs_and_outputs(bench: Bench, board: Session) -> None:
    for index, data in enumerate(bench.inputs(7)):
        board.load(index, data)
    board.run()
    board.select(board.model.index)
    with pytest.raises(DeviceError, match="not ready"):
        board.read(0)
    with pytest.raises(DeviceError, match="not ready"):
        board.run()
    bench.check()


def test_pieces_in_any_order(bench: Bench, board: Session) -> None:
    """Out of order, twice and overlapping: an input is what was written last."""
    inputs = bench.inputs(8)
    for index, data in enumerate(map(as_bytes, inputs)):
        third = len(data) // 3 or 1
        starts = [0, 2 * third, third, 0] if third <= 1000 else [0]
        if starts == [0]:
            board.load(index, data)
            board.load_piece(index, 500, bytes(1000))
            board.load_piece(index, len(data) - 1000, data[-1000:])
            board.load_piece(index, 500, data[500:1500])
        else:
            for start in starts:
                board.load_piece(index, start, data[start : start + third + 2])
    board.run()
    if board.read(0) != bench.outputs(inputs)[0]:
        raise Mismatch("other outputs when the input came in another order")
