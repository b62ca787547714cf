"""Which variant runs a layer: ranks, measured costs, flash to spare, and what is optimized for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cortex_m import needs_emulator, run
from exactness import as_list, difference, inputs_of
from lotor import tuned
from lotor.board import load_board
from lotor.build import program_hash
from lotor.cli import main
from lotor.codegen.share import Step
from lotor.compiler import Compiled, _less_memory, _placed, _plan, compile_model
from lotor.device import emulator
from lotor.device.ready import compile_for
from lotor.frontend.tflite import read_model
from lotor.ops import KernelCall
from lotor.oracle import Oracle
from lotor.targets import find_target, variants
from lotor.targets.preference import OPTIMIZE, Optimize, Preference
from lotor.targets.select import constant_bytes, ranked, signature
from tflite_builder import ModelBuilder, Quant

M4 = find_target("cortex-m4")
needs_board = needs_emulator


def _convolution() -> ModelBuilder:
    """A layer that several variants can run, one of which spends flash."""
    m = ModelBuilder(seed=1)
    x = m.input((1, 16, 16, 16), Quant(0.05, -128))
    m.output(m.conv2d(x, 16, quant=Quant(0.05, -128), activation="RELU"))
    return m


def _step(compiled: Compiled) -> Step:
    (layer,) = compiled.layers
    (step,) = layer.steps
    return step


def _label(preference: Preference, target: str = "cortex-m4") -> str:
    return _step(compile_model(_convolution().build(), target, preference=preference)).variant.label


def _source() -> Step:
    return _step(compile_model(_convolution().build(), "cortex-m4"))


def test_ranks() -> None:
    source = _source().source
    labels = [choice.variant.label for choice in ranked(source, M4, Preference(flash=10**6))]
    winograd = ["dsp_winograd_4x4", "dsp_winograd_2x2"]
    assert labels[:3] == [*winograd, "dsp"] and labels[-1] == "portable"
    plain = [choice.variant.label for choice in ranked(source, M4, Preference())]
    assert plain == labels[2:]
    other = ranked(source, find_target("portable"), Preference(flash=10**6))
    assert [choice.variant.label for choice in other] == ["portable"]


def test_no_variant_is_packed_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing tries lines for every filter, which takes most of the time to compile."""
    packed: list[str] = []
    source = _source().source

    def noting(variant: variants.Variant) -> variants.Variant:
        def pack(call: KernelCall) -> KernelCall | None:
            packed.append(variant.label)
            return variant.pack(call)

        return replace(variant, pack=pack)

    monkeypatch.setattr(variants, "_FASTER", tuple(map(noting, variants._FASTER)))
    m55 = find_target("cortex-m55")  # which can run kernels for the DSP instructions, too
    assert next(ranked(source, m55, Preference())).variant.label == "helium"
    assert packed[-1] == "helium"
    packed.clear()
    assert _label(Preference(), "cortex-m55") == "helium"
    assert packed[-1] == "helium"


def test_what_was_measured_fastest_wins() -> None:
    name = signature(_source().source)
    costs = {name: {"dsp": 30.0, "portable": 10.0}}
    assert _label(Preference(costs=costs)) == "portable"
    costs[name]["portable"] = 40.0
    assert _label(Preference(costs=costs)) == "dsp"
    # Costs of calls of other sizes, or of variants that are not there, say nothing.
    assert _label(Preference(costs={"other": {"portable": 1.0}})) == "dsp"
    assert _label(Preference(costs={name: {"fantastic": 1.0}})) == "dsp"


def test_measured_costs_decide_whether_flash_is_spent() -> None:
    name = signature(_source().source)
    costs: dict[str, Mapping[str, float]] = {name: {"dsp": 30.0, "dsp_winograd_4x4": 40.0}}
    assert _label(Preference(flash=10**6)) == "dsp_winograd_4x4"
    assert _label(Preference(flash=10**6, costs=costs)) == "dsp"
    costs = {name: {"dsp": 30.0, "dsp_winograd_4x4": 40.0, "dsp_winograd_2x2": 31.0}}
    assert _label(Preference(flash=10**6, costs=costs)) == "dsp"
    costs = {name: {"dsp": 30.0, "dsp_winograd_4x4": 29.0, "dsp_winograd_2x2": 31.0}}
    assert _label(Preference(flash=10**6, costs=costs)) == "dsp_winograd_4x4"
    assert _label(Preference("size", 10**6, costs=costs)) == "dsp"  # which never spends


def _mobile() -> ModelBuilder:
    """A model whose peak has scratch memory that a layer can do without."""
    m = ModelBuilder(seed=2)
    y = m.conv2d(m.input((1, 32, 32, 3), Quant(0.05, -3)), 8, (3, 3), (2, 2), activation="RELU")
    y = m.depthwise_conv2d(y, activation="RELU")
    y = m.conv2d(y, 16, (1, 1), activation="RELU")
    y = m.depthwise_conv2d(y, stride=(2, 2), activation="RELU")
    m.output(m.softmax(m.fully_connected(m.mean(y, (1, 2)), 4)))
    return m


def test_the_least_ram_takes_from_scratch_memory_at_the_peak() -> None:
    content = _mobile().build()
    speed, ram = (
        compile_model(content, "cortex-m4", preference=Preference(optimize))
        for optimize in ("speed", "ram")
    )
    assert ram.plan.arena_bytes < speed.plan.arena_bytes

    def scratch(compiled: Compiled) -> dict[str, int]:
        return {
            layer.name: sum(t.nbytes for step in layer.steps for t in step.call.outputs[1:])
            for layer in compiled.layers
        }

    before, after = scratch(speed), scratch(ram)
    peak = speed.layers[speed.plan.peak_layer].name
    assert after[peak] < before[peak]
    assert all(layer.steps[0].variant.instruction_set == "dsp" for layer in ram.layers[:4])


def test_limits_of_ram_take_from_scratch_memory_before_anything_else() -> None:
    """A board's, or one that is asked for; not more than must be, and no layer runs in stripes."""
    content = _mobile().build()
    speed = compile_model(content, "cortex-m4")
    least = compile_model(content, "cortex-m4", preference=Preference("ram")).plan.arena_bytes
    most = speed.plan.arena_bytes
    assert least < most
    for limit in (most, most - 1, least):
        board = compile_model(content, "cortex-m4", preference=Preference(ram=limit))
        asked = compile_model(content, "cortex-m4", ram=limit)
        assert board.plan.arena_bytes <= limit
        assert asked.plan.arena_bytes <= limit and not asked.striped
        assert (board.source == speed.source) == (limit == most)
    # What does not fit all the same is as small as it gets; a limit that is asked for must hold.
    below = compile_model(content, "cortex-m4", preference=Preference(ram=least - 1))
    assert below.plan.arena_bytes == least
    assert compile_model(content, "cortex-m4", ram=least - 1).striped


def test_the_least_ram_spends_no_flash_that_is_not_there() -> None:
    content = _convolution().build()
    for flash in (0, 3000, 5000, 8000, 20_000):
        speed, ram = (
            compile_model(content, "cortex-m4", preference=Preference(optimize, flash))
            for optimize in ("speed", "ram")
        )
        assert ram.plan.arena_bytes <= speed.plan.arena_bytes
        needed = constant_bytes(_step(compile_model(content, "cortex-m4")).call)
        assert constant_bytes(_step(ram).call) <= max(flash, needed)


def test_less_memory_costs_no_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    step = _source()
    base, portable = ranked(step.source, M4, Preference())
    bare = replace(step.call, outputs=step.call.outputs[:1])
    constants = {"weights": np.zeros(constant_bytes(bare) + 1, np.int8)}
    dearer = replace(bare, constants=constants)
    spending = replace(base, variant=replace(base.variant, spends=True), call=dearer)
    frugal = replace(base, variant=replace(base.variant, name="dsp_frugal"), call=bare)
    monkeypatch.setattr("lotor.compiler.ranked", lambda *_: iter([spending, base, frugal]))
    found = [tried.variant for tried in _less_memory(step, M4, Preference("ram", 10**6))]
    assert found == [base.variant, frugal.variant]
    monkeypatch.setattr("lotor.compiler.ranked", lambda *_: iter([spending, portable]))
    assert not [*_less_memory(step, M4, Preference("ram"))]  # the portable one is too slow


def test_the_least_ram_keeps_winograd_tiles() -> None:
    """Between two tensors that wait there is little room, and none between input and output."""
    m = ModelBuilder(seed=1)
    quant = Quant(0.05, -128)
    x = m.conv2d(m.input((1, 16, 16, 3), quant), 16, quant=quant, activation="RELU")
    y = m.conv2d(x, 16, quant=quant, activation="RELU")
    m.output(m.add(x, m.conv2d(y, 16, quant=quant)))
    found = {
        optimize: compile_model(m.build(), "cortex-m4", preference=Preference(optimize, 10**6))
        for optimize in ("speed", "ram")
    }
    assert found["ram"].plan.arena_bytes < found["speed"].plan.arena_bytes
    labels = [layer.steps[0].variant.label for layer in found["ram"].layers]
    assert all(label.startswith("dsp_winograd_tile") for label in labels[1:3]), labels


@pytest.mark.parametrize("optimize", OPTIMIZE)
def test_a_model_without_layers(optimize: Optimize) -> None:
    m = ModelBuilder(seed=1)
    m.output(m.reshape(m.input((1, 4), Quant(0.1, 0)), (4, 1)))
    compiled = compile_model(m.build(), "cortex-m4", preference=Preference(optimize, 100_000))
    assert not compiled.layers


def test_a_layer_walks_backward_in_the_plan_that_says_so_only() -> None:
    """Plans are tried one after the other, with the same steps."""
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 8), Quant(0.05, -3))
    m.output(m.conv2d(m.conv2d(x, 8, (3, 3)), 8, (3, 3)))
    graph = read_model(m.build(), "model")
    target = find_target("portable")
    _, ops, plan = _plan(graph, target)
    walking = [bool(step.call.params.get("backward")) for _, steps in ops for step in steps]
    assert any(walking)
    lowered = [steps for _, steps in ops]
    apart = _placed(graph, lowered, target, ["overlap"], 1.0)
    assert apart[2].arena_bytes > plan.arena_bytes
    assert not any("backward" in step.call.params for _, steps in apart[1] for step in steps)
    again = [bool(step.call.params.get("backward")) for _, steps in ops for step in steps]
    assert again == walking


@needs_board
@pytest.mark.parametrize("optimize", OPTIMIZE)
def test_right_whatever_is_optimized_for(optimize: Optimize, tmp_path: Path) -> None:
    m = _mobile()
    content = m.build()
    compiled = compile_model(content, "cortex-m4", preference=Preference(optimize, 100_000))
    oracle, inputs = Oracle(content), list(inputs_of(m))
    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


@pytest.fixture
def mobile(tmp_path: Path) -> Path:
    path = tmp_path / "mobile.tflite"
    path.write_bytes(_mobile().build())
    return path


@needs_board
@pytest.mark.parametrize("optimize", OPTIMIZE)
def test_verify_on_a_board(
    optimize: Optimize, mobile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    rest = ["--board", "netduinoplus2", "--optimize", optimize, "--samples", "3", "--json"]
    try:
        assert main(["verify", str(mobile), *rest]) == 0
        state = emulator.running("netduinoplus2")
        compiled = compile_for("netduinoplus2", str(mobile), optimize=optimize)
        assert compiled.report["optimize"] == optimize
        assert state and [model["program"] for model in state.models] == [program_hash(compiled)]
    finally:
        main(["flash", "--board", "netduinoplus2", "--stop"])
    out = capsys.readouterr().out
    assert json.JSONDecoder().raw_decode(out)[0]["mismatches"] == 0


@pytest.mark.parametrize("command", ["compile", "inspect", "verify", "profile", "flash"])
def test_nothing_else_is_optimized_for(
    command: str, mobile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = {
        "compile": [str(mobile), "-o", str(tmp_path)],
        "profile": [str(mobile), "--board", "netduinoplus2"],
        "flash": ["--model", str(mobile)],
    }.get(command, [str(mobile)])
    with pytest.raises(SystemExit) as stop:
        main([command, *rest, "--optimize", "sped"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'sped'" in line and "speed" in line and "did you mean" in line


def test_compile_says_what_it_optimized_for(mobile: Path, tmp_path: Path) -> None:
    reports = {}
    for optimize in OPTIMIZE:
        folder = tmp_path / optimize
        arguments = ["compile", str(mobile), "--target", "cortex-m4", "-o", str(folder)]
        assert main([*arguments, "--optimize", optimize]) == 0
        reports[optimize] = json.loads((folder / "report.json").read_text())
        assert reports[optimize]["optimize"] == optimize
    flags = {optimize: report["compiler_flag"] for optimize, report in reports.items()}
    assert flags == {"speed": "-O2", "ram": "-O2", "size": "-Os"}
    assert reports["ram"]["arena_bytes"] < reports["speed"]["arena_bytes"]


@pytest.mark.parametrize(("flash", "word"), [([], "dsp"), (["--flash", "50000"], "winograd")])
def test_compile_spends_the_flash_that_it_may(flash: list[str], word: str, tmp_path: Path) -> None:
    path = tmp_path / "convolution.tflite"
    path.write_bytes(_convolution().build())
    assert main(["compile", str(path), "--target", "cortex-m4", "-o", str(tmp_path), *flash]) == 0
    source = (tmp_path / "convolution.c").read_text()
    assert ("lotor_conv_2d_dsp_winograd(" in source) == (word == "winograd")
    report = json.loads((tmp_path / "report.json").read_text())
    assert not flash or report["weights_bytes"] <= 50_000


@pytest.mark.parametrize(
    ("command", "module", "function"),
    [
        ("inspect", "lotor.inspection", "inspect"),
        ("verify", "lotor.verify", "verify"),
        ("profile", "lotor.profiling", "profile"),
        ("flash", "lotor.device.flash", "flash"),
    ],
)
def test_commands_pass_it_on(
    command: str, module: str, function: str, mobile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Callable[..., object] | object] = []

    class Seen(Exception):
        pass

    def note(*args: object, **named: object) -> None:
        seen.extend([*args, *named.values()])
        raise Seen

    monkeypatch.setattr(f"{module}.{function}", note)
    arguments = ["--model", str(mobile)] if command == "flash" else [str(mobile)]
    with pytest.raises(Seen):
        main([command, *arguments, "--board", "netduinoplus2", "--optimize", "ram"])
    assert "ram" in seen


def test_a_board_has_flash_to_spare_and_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "load_costs", lambda board: {"call": {"dsp": 1.0}})
    board = load_board("netduinoplus2")
    found = tuned.preference(board, "ram")
    assert found.optimize == "ram" and found.costs == {"call": {"dsp": 1.0}}
    assert found.flash is not None and 0 < found.flash < board.flash_limit
    small = replace(board.memory.flash, bytes=8192)
    tight = replace(board, memory=replace(board.memory, flash=small))
    assert tuned.preference(tight).flash == 0


def test_calls_of_equal_time_have_one_signature() -> None:
    """Other weights, zero points and scales; never other sizes."""

    def name(seed: int, channels: int = 6, zero: int = 3) -> str:
        m = ModelBuilder(seed=seed)
        rng = np.random.default_rng(seed)
        x = m.input((1, 9, 9, 5), Quant(float(rng.uniform(0.01, 0.1)), zero))
        m.output(m.conv2d(x, channels, activation="RELU" if seed % 2 else "RELU6"))
        return signature(_step(compile_model(m.build(), "cortex-m4")).source)

    assert name(1) == name(2) == name(3, zero=-100)
    assert name(1) != name(1, channels=7)
