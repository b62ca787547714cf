"""`lotor tune`: measured costs, the table they are kept in, and what is chosen by it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cases.binary import binary
from cortex_m import needs_emulator
from lotor import tuned
from lotor.board import list_boards, load_board
from lotor.build import arena_room
from lotor.cli import main
from lotor.compiler import compile_model
from lotor.device import emulator
from lotor.device.ready import compile_for
from lotor.resources import resource
from lotor.targets import TARGETS, find_target
from lotor.targets.select import signature
from lotor.targets.variants import _FASTER
from lotor.tune import _block_rounds, _rounds, tune
from lotor.tuned import load_costs, preference, save_costs
from tflite_builder import ModelBuilder, Quant

BOARD = "netduinoplus2"
SHIPPED = sorted(path.stem for path in resource("boards", "tuned").glob("*.toml"))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables lie in a folder of the test's."""
    folder = tmp_path / "tuned"
    monkeypatch.setattr(tuned, "table", lambda board: folder / f"{board}.toml")
    return folder / f"{BOARD}.toml"


@pytest.fixture
def emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop(BOARD)


def _model(folder: Path) -> Path:
    m = ModelBuilder(seed=1)
    x = m.input((1, 8, 8, 8), Quant(0.05, -128))
    y = m.conv2d(x, 8, quant=Quant(0.05, -128), activation="RELU")
    m.output(m.fully_connected(m.reshape(y, (1, 512)), 8))
    path = folder / "tiny.tflite"
    path.write_bytes(m.build())
    return path


def _labels(path: Path) -> list[str]:
    return [layer.steps[0].variant.label for layer in compile_for(BOARD, str(path)).layers]


@needs_emulator
@pytest.mark.usefixtures("emulated")
def test_tune(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _model(tmp_path)
    found = tune(str(path), BOARD)
    assert found.table == str(table) and found.unit == "cycles"
    convolution, dense = (
        next(name for name in found.costs if name.startswith(kind))
        for kind in ("conv_2d ", "fully_connected ")
    )
    expected = {"dsp_winograd_4x4", "dsp_winograd_2x2", "dsp", "portable"}
    assert set(found.costs[convolution]) == expected | {f"dsp turn={n}" for n in (4, 8, 16)}
    assert set(found.costs[dense]) >= {"dsp", "portable", "dsp turn=1", "dsp turn=16"}
    for costs in found.costs.values():
        assert costs["portable"] == max(costs.values()) > min(costs.values()) > 0
    # What is printed for people, too.
    assert f"tiny on {BOARD}" in str(found) and convolution in str(found)
    assert load_costs(BOARD) == found.costs
    assert preference(load_board(BOARD)).costs == found.costs
    # The fastest are chosen.
    variants = [{k: v for k, v in c.items() if " " not in k} for c in found.costs.values()]
    fastest = [min(costs, key=costs.__getitem__) for costs in variants]
    assert sorted(_labels(path)) == sorted(fastest)
    assert found.after <= found.before
    # A second model adds to it; here, nothing.
    save_costs(BOARD, {"other": {"dsp": 1.0, "portable": 2.0}, **found.costs})
    for rounds in ("_rounds", "_block_rounds"):
        monkeypatch.setattr(f"lotor.tune.{rounds}", lambda compiled: iter(()))
    again = tune(str(path), BOARD)
    assert load_costs(BOARD) == {"other": {"dsp": 1.0, "portable": 2.0}, **found.costs}
    assert again.before == again.after == found.after


def _large_model(folder: Path) -> Path:
    """A model whose arena of 144 KiB fits the board in stripes alone."""
    m = ModelBuilder(seed=1)
    x = m.input((1, 96, 96, 1), Quant(0.05, -128))
    y = m.conv2d(x, 16, (1, 1), quant=Quant(0.05, -128), activation="RELU")
    m.output(m.mean(m.depthwise_conv2d(y, stride=(2, 2)), (1, 2)))
    path = folder / "large.tflite"
    path.write_bytes(m.build())
    return path


@needs_emulator
@pytest.mark.usefixtures("emulated")
@pytest.mark.slow
def test_a_model_that_runs_in_stripes(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured are the calls of its stripes, each with every variant that can run it."""
    path = _large_model(tmp_path)
    board = load_board(BOARD)
    striped = compile_for(BOARD, str(path))
    assert striped.striped and len(striped.layers) > len(compile_model(path, board.target).layers)
    monkeypatch.setattr("lotor.tune._block_rounds", lambda compiled: iter(()))
    found = tune(str(path), BOARD)
    room = arena_room(board, [striped])
    assert max(found.arena) <= room < compile_model(path, board.target).plan.arena_bytes
    chosen = [step for layer in striped.layers for step in layer.steps if step.macs]
    costs = [found.costs[signature(step.source)] for step in chosen]
    for step, values in zip(chosen, costs, strict=True):
        assert {"portable", step.variant.label} <= set(values)
        assert values[step.variant.label] == min(values.values()) > 0
    # Of a stripe each: the second has a row less of one layer, and all are no more than the model.
    assert len(chosen) == 4 and sum(min(values.values()) for values in costs) < found.before
    assert min(costs[2].values()) < min(costs[0].values())
    assert found.after <= found.before
    assert load_costs(BOARD) == found.costs


@needs_emulator
@pytest.mark.usefixtures("emulated")
def test_a_model_with_nothing_to_choose(table: Path, tmp_path: Path) -> None:
    m = ModelBuilder(seed=1)
    m.output(m.unary("FLOOR", m.input((1, 8), dtype="float32")))
    path = tmp_path / "floor.tflite"
    path.write_bytes(m.build())
    assert main(["tune", str(path), "--board", BOARD]) == 0
    assert table.exists() and load_costs(BOARD) == {}
    assert main(["inspect", str(path), "--board", BOARD]) == 0


def test_every_variant_has_its_round(tmp_path: Path) -> None:
    compiled = compile_for(BOARD, str(_model(tmp_path)))
    seen: dict[str, list[str]] = {}
    for costs in _rounds(compiled):
        for name, values in costs.items():
            seen.setdefault(name, []).append(min(values, key=values.__getitem__))
    for layer in compiled.layers:
        (step,) = layer.steps
        assert set(seen[signature(step.source)]) >= {step.variant.label, "portable"}


def test_every_block_size_has_its_round(tmp_path: Path) -> None:
    compiled = compile_for(BOARD, str(_model(tmp_path)))
    seen: dict[str, set[str]] = {}
    rounds = list(_block_rounds(compiled))
    assert len(rounds) <= 10
    for costs in rounds:
        for name, values in costs.items():
            seen.setdefault(name, set()).update(k for k, v in values.items() if v == 1.0)
    convolution, dense = seen.values()
    assert convolution == {"dsp", "dsp turn=4", "dsp turn=8", "dsp turn=16"}
    assert dense == {"dsp", *(f"dsp turn={n}" for n in (1, 2, 4, 8, 16))}


def test_int4_filters_are_unpacked_as_measured_best_where_ram_allows(
    table: Path, tmp_path: Path
) -> None:
    m = ModelBuilder(seed=1)
    x = m.conv2d(m.input((1, 12, 12, 16), Quant(0.05, -128)), 16, stride=(4, 4))
    m.output(m.conv2d(x, 40, (1, 1), weight_dtype="int4"))
    path = tmp_path / "int4.tflite"
    path.write_bytes(m.build())
    compiled = compile_for(BOARD, str(path))
    (step,) = compiled.layers[1].steps
    assert step.call.params["at_once"] == 8
    name, variant = signature(step.source), step.variant.label
    chosen = {k for costs in _block_rounds(compiled) for k, v in costs[name].items() if v == 1.0}
    assert chosen >= {f"{variant} filters={n}" for n in (8, 16, 32, 40)}
    save_costs(BOARD, {name: {variant: 5.0, "portable": 9.0, f"{variant} filters=40": 3.0}})
    tuned = compile_for(BOARD, str(path))
    assert tuned.layers[1].steps[0].call.params["at_once"] == 20
    assert tuned.plan.arena_bytes <= compiled.plan.arena_bytes


def test_block_sizes_are_kept_in_the_table(table: Path) -> None:
    costs = {"conv_2d x=1": {"dsp": 3.0, "dsp turn=16": 3.0, "dsp turn=4": 5.0, "portable": 9.0}}
    save_costs(BOARD, costs)
    assert load_costs(BOARD) == costs
    lines = table.read_text().splitlines()
    assert lines[-2] == "costs = { dsp = 3, portable = 9 }"
    assert lines[-1] == 'blocks = { "dsp turn=4" = 5, "dsp turn=16" = 3 }'


def test_a_table_decides(table: Path, tmp_path: Path) -> None:
    """Also a wrong one: nothing but what was measured is asked."""
    path = _model(tmp_path)
    assert _labels(path) == ["dsp_winograd_4x4", "dsp"]
    names = [signature(layer.steps[0].source) for layer in compile_for(BOARD, str(path)).layers]
    save_costs(BOARD, {name: {"dsp": 2.0, "portable": 1.0} for name in names})
    assert _labels(path)[1] == "portable"
    save_costs(BOARD, {names[0]: {"dsp": 1.0, "dsp_winograd_2x2": 2.0, "dsp_winograd_4x4": 3.0}})
    assert _labels(path) == ["dsp", "dsp"]
    table.unlink()
    assert _labels(path) == ["dsp_winograd_4x4", "dsp"]


DAMAGED = {
    "no TOML": b"[[call]\n",
    "no text": b"\xff\xfe\x00",
    "no signature": b"[[call]]\ncosts = { dsp = 1 }\n",
    "no costs": b'[[call]]\nsignature = "add"\n',
    "costs of words": b'[[call]]\nsignature = "add"\ncosts = { dsp = "fast" }\n',
    "costs of one number": b'[[call]]\nsignature = "add"\ncosts = 3\n',
    "no list": b"call = 5\n",
    "blocks of no size": b'[[call]]\nsignature = "add"\ncosts = {}\nblocks = { dsp = 1 }\n',
}


def _one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lotor: ")
    assert all(word in line for word in words), line


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_table(
    kind: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.parent.mkdir()
    table.write_bytes(DAMAGED[kind])
    assert main(["inspect", str(_model(tmp_path)), "--board", BOARD]) == 2
    _one_line(capsys, str(table), "tune again")


def test_a_table_that_is_a_folder(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.mkdir(parents=True)
    assert main(["inspect", str(_model(tmp_path)), "--board", BOARD]) == 2
    _one_line(capsys, str(table))


def test_a_table_that_cannot_be_written(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.parent.write_text("a file where the folder would be")
    monkeypatch.setattr(tuned, "load_costs", lambda board: {})
    monkeypatch.setattr("lotor.tune.load_costs", lambda board: {})
    monkeypatch.setattr("lotor.tune._rounds", lambda compiled: iter(()))
    monkeypatch.setattr("lotor.tune._block_rounds", lambda compiled: iter(()))
    monkeypatch.setattr("lotor.tune.flash_compiled", lambda *_: None)

    class Profile:
        layers = ()
        tick_unit = "instructions"

    monkeypatch.setattr("lotor.tune.profile_compiled", lambda *_: Profile)
    assert main(["tune", str(_model(tmp_path)), "--board", BOARD]) == 2
    _one_line(capsys, "cannot write", str(table))


def test_a_board_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(_model(tmp_path)), "--board", "netduinoplus3"]) == 2
    _one_line(capsys, "did you mean", BOARD)


def test_there_are_tables() -> None:
    assert BOARD in SHIPPED
    assert set(SHIPPED) <= set(list_boards())


@pytest.mark.parametrize("board", SHIPPED)
def test_shipped_tables_name_what_exists(board: str) -> None:
    target = find_target(load_board(board).target)
    usable = {(v.kernel, v.label) for v in _FASTER if v.instruction_set in target.variants}
    blocks = {(v.kernel, v.label): [block.name for block in v.blocks] for v in _FASTER}
    costs = load_costs(board)
    assert costs
    for name, values in costs.items():
        function, *sizes = name.split(" ")
        assert all(re.fullmatch(r"\w+(\.\w+)?=-?\d+", size) for size in sizes), name
        assert len(values) > 1 and min(values.values()) > 0, name
        for label in values:
            variant, _, block = label.partition(" ")
            kernel = "int4" if function.endswith("_int4") else function
            assert label == "portable" or (kernel, variant) in usable, (name, label)
            size = block.partition("=")[0]
            assert size in ("", *blocks.get((kernel, variant), ())), (name, label)
    # As it would be written again.
    raw = tuned.table(board).read_text()
    assert raw.startswith("# What each variant took")
    listed = [call["signature"] for call in tomllib.loads(raw)["call"]]
    assert listed == sorted(set(listed))


def test_shipped_tables_are_for_these_kernels() -> None:
    """The calls of the repository's model are among the measured ones, as they are named now."""
    costs = load_costs(BOARD)
    compiled = compile_for(BOARD, "raccoon")
    steps = [step for layer in compiled.layers for step in layer.steps]
    work = sum(step.macs for step in steps)
    known = sum(step.macs for step in steps if signature(step.source) in costs)
    assert known == work


def test_signatures_hold_no_data() -> None:
    """Models of equal shapes with other weights, scales and zero points have the same ones."""
    found = []
    for seed in (1, 2):
        m = ModelBuilder(seed=seed)
        a, b = Quant((0.01, 0.03)[seed - 1], 3 * seed), Quant((0.3, 0.07)[seed - 1], -5 * seed)
        y = Quant(0.5, seed)
        x = m.input((1, 8, 8, 8), a)
        other = m.input((1, 8, 8, 8), b)
        limits = "RELU" if seed == 1 else "RELU6"
        m.output(
            m.softmax(m.input((1, 9), a)),
            m.add(x, other, quant=y),
            binary(m, "MUL", x, other, quant=y),
            m.mean(x, (1, 2)),
            m.average_pool2d(x, (2, 2)),
            m.conv2d(x, 4, activation=limits),
            m.depthwise_conv2d(other, activation=limits),
            m.fully_connected(m.reshape(x, (1, 512)), 8),
            m.dequantize(m.max_pool2d(x, (2, 2))),
            m.quantize(other, y),
        )
        compiled = compile_model(m.build(), "portable")
        found.append([signature(s.source) for layer in compiled.layers for s in layer.steps])
    assert found[0] == found[1]
    assert len(set(found[0])) == 11


def test_every_target_can_be_chosen_for() -> None:
    assert {name for target in TARGETS.values() for name in target.variants} <= {
        variant.instruction_set for variant in _FASTER
    }
