"""Stripes: the same bytes in less memory, at the cost that is stated."""

import math
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import random_graphs
from exactness import as_list, difference, inputs_of
from lotor import compiler
from lotor.compiler import Compiled, RamError, compile_model
from lotor.frontend.tflite import read_model
from lotor.graph import Graph
from lotor.host import HostModel
from lotor.ops.window import Axis
from lotor.optimize import optimize
from lotor.oracle import Oracle
from lotor.stripes import Regions, Striped, fit
from lotor.targets import Target, find_target
from lotor.verify import random_inputs
from random_graphs import first_difference, grown, quick_build
from tflite_builder import ModelBuilder, Quant, Tensor

Lotor = Callable[..., subprocess.CompletedProcess[str]]

KINDS = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "MUL", "SUB"),
    *("RELU", "TANH", "LEAKY_RELU", "PRELU", "QUANTIZE", "CONCATENATION", "SPLIT", "PAD"),
)


def image_model() -> ModelBuilder:
    """Large tensors at first, with a residual block, then small ones."""
    m = ModelBuilder(3)
    x = m.input((1, 32, 32, 3), Quant(0.05, -3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), padding="SAME")
    y = m.depthwise_conv2d(x, 1, (3, 3), padding="SAME")
    x = m.add(x, m.conv2d(y, 8, (1, 1)))
    x = m.conv2d(x, 24, (1, 1))
    x = m.depthwise_conv2d(x, 1, (3, 3), (2, 2), padding="SAME")
    x = m.max_pool2d(x, (2, 2), (2, 2))
    x = m.conv2d(x, 16, (3, 3), (2, 2), padding="SAME")
    m.output(m.mean(x, (1, 2)))
    return m


def assert_same(compiled: Compiled, content: bytes, m: ModelBuilder) -> None:
    oracle, ours = Oracle(content), HostModel(compiled)
    for inputs in inputs_of(m):
        expected = as_list(oracle.run(*inputs))
        wrong = difference(as_list(ours.run(*[x.copy() for x in inputs])), expected)
        assert not wrong, wrong


def counted_macs(compiled: Compiled) -> int:
    """Multiply-accumulates, from what the generated program is told to do."""
    total = 0
    for layer in compiled.layers:
        (call,) = (step.call for step in layer.steps)
        p = call.params
        if call.kernel in ("conv_2d", "depthwise_conv_2d"):
            taps = math.prod(int(p[name]) for name in ("kernel_h", "kernel_w"))
            outputs = math.prod(int(p[name]) for name in ("batches", "out_h", "out_w", "out_c"))
            total += outputs * taps * int(p.get("group_c", 1))
    return total


def test_less_memory_for_the_same_bytes() -> None:
    m = image_model()
    content = m.build()
    whole = compile_model(content)
    tried: list[tuple[int, int]] = []
    for percent in (90, 80, 70, 60):
        limit = whole.plan.arena_bytes * percent // 100
        try:
            compiled = compile_model(content, "host", ram=limit)
        except RamError as error:
            assert error.least > limit
            continue
        assert compiled.plan.arena_bytes <= limit
        assert_same(compiled, content, m)
        extra = sum(part.extra_macs for part in compiled.striped)
        assert counted_macs(compiled) - counted_macs(whole) == extra
        assert (
            compiled.report["macs"] - whole.report["macs"] == extra == compiled.report["extra_macs"]
        )
        assert [part["extra_macs"] for part in compiled.report["stripes"]] == [
            part.extra_macs for part in compiled.striped
        ]
        tried.append((compiled.plan.arena_bytes, extra))
    assert len(tried) >= 2
    assert [extra for _, extra in tried] == sorted(extra for _, extra in tried)


def test_a_limit_that_holds_anyway_changes_nothing() -> None:
    content = image_model().build()
    whole = compile_model(content)
    same = compile_model(content, ram=whole.plan.arena_bytes)
    assert same.source == whole.source
    assert same.striped == ()
    assert same.report["stripes"] == []


def test_the_least_can_be_asked_for() -> None:
    content = image_model().build()
    with pytest.raises(RamError) as caught:
        compile_model(content, ram=1)
    least = caught.value.least
    assert compile_model(content, ram=least).plan.arena_bytes == least


def test_a_long_search_shows_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 3))  # every look at the clock takes 3 s
    monkeypatch.setattr("lotor.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    content = image_model().build()
    compile_model(content)
    assert capsys.readouterr().err == ""
    with pytest.raises(RamError):
        compile_model(content, ram=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "model: looking for stripes: 2/420 plans at most"


def test_weights_are_stored_once() -> None:
    content = image_model().build()
    whole = compile_model(content)
    striped = compile_model(content, ram=whole.plan.arena_bytes * 7 // 10)
    assert striped.striped
    assert striped.report["weights_bytes"] == whole.report["weights_bytes"]
    assert striped.source.count("static const int8_t") == whole.source.count("static const int8_t")


class _Forced:
    """Cuts any layers that can be cut, chosen by a number, whether memory is short or not."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.graphs = 0
        self.choice = 0

    def __call__(self, graph: Graph, target: Target, *_: Any) -> tuple[Graph, tuple[Striped, ...]]:
        regions = Regions(graph, compiler._plan(graph, target, skip=("order",))[2])
        found = [
            candidate
            for over in range(len(graph.ops))
            for candidate in regions.candidates(over, 1 << 40)
        ]
        for turn in range(len(found)):
            candidate = found[(self.choice + turn) % len(found)]
            split = regions.split(candidate)
            if split is not None:
                self.graphs += 1
                self.kinds.update(op.kind for op in graph.ops[candidate.first : candidate.end])
                return split, ()
        return graph, ()


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> _Forced:
    found = _Forced()
    monkeypatch.setattr(compiler, "_striped", found)
    monkeypatch.setattr(random_graphs, "kinds", lambda: KINDS)
    real: Any = compile_model
    monkeypatch.setattr(random_graphs, "compile_model", lambda c, t: real(c, t, ram=0))
    return found


def explore(forced: _Forced, first: int, count: int) -> None:
    """Cut random graphs anywhere; every output must stay as the reference has it."""

    @seed(first)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(random_graphs.recipes(), st.integers(0, 10**6))
    def check(recipe: random_graphs.Recipe, choice: int) -> None:
        g = grown(recipe)
        if g.m.outputs:
            forced.choice = choice
            wrong = first_difference(g.m.build(), g.m, g.approximate)
            assert not wrong, f"{wrong}\n{recipe}"

    with quick_build():
        check()


def test_any_layers_can_be_cut(forced: _Forced) -> None:
    explore(forced, 0, 50)
    assert forced.graphs > 8
    assert len(forced.kinds) > 6, forced.kinds


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_any_layers_of_many_graphs_can_be_cut(forced: _Forced) -> None:
    explore(forced, 1, 600)
    assert forced.graphs > 200
    assert set(KINDS) - {"SPLIT", "CONCATENATION", "PAD"} <= set(forced.kinds), forced.kinds


def test_no_room_is_one_line(lotor: Lotor, tmp_path: Path) -> None:
    path = tmp_path / "image.tflite"
    path.write_bytes(image_model().build())
    with pytest.raises(RamError) as caught:
        compile_model(path, ram=0)
    least = caught.value.least
    for ram in ("0", str(least // 2)):
        done = lotor("compile", path, "-o", tmp_path / "out", "--ram", ram)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert f"{int(ram):,} bytes of RAM are too few" in line
        assert f"--ram {least} or more" in line
        assert "CONV_2D" in line or "ADD" in line
    done = lotor("compile", path, "-o", tmp_path / "out", "--ram", "-5")
    assert done.returncode == 2 and "'-5' is no number of bytes" in done.stderr
    assert not (tmp_path / "out").exists()
    done = lotor("compile", path, "-o", tmp_path / "out", "--ram", str(least))
    assert done.returncode == 0
    assert "MACs more" in done.stdout


def test_what_is_enough_without_stripes_is_the_most_that_is_asked_for() -> None:
    """A new plan of the same layers may be larger than the one that was found first."""
    graph = optimize(read_model(image_model().build(), "image"))
    graph, _, plan = compiler._plan(graph, find_target("host"))
    found = fit(graph, plan, 1, lambda _: replace(plan, arena_bytes=plan.arena_bytes + 4))
    assert found.plan is plan
    assert found.graph is graph
    assert found.striped == ()


def test_vww_in_31_000_bytes(shared: Path) -> None:
    path = shared / "models/mlcommons+tiny/vww_96_int8.tflite"
    found = [path] if path.is_file() else sorted((shared / "models").rglob("vww_96_int8.tflite"))
    if not found:
        pytest.skip("no vww_96_int8 in ../shared/models")
    whole = compile_model(found[0], "host")
    compiled = compile_model(found[0], "host", ram=31_000)
    assert compiled.plan.arena_bytes <= 31_000
    assert 0 < counted_macs(compiled) - counted_macs(whole) <= 0.1 * counted_macs(whole)
    oracle, ours = Oracle(found[0]), HostModel(compiled)
    for inputs in random_inputs(compiled.graph, 10, 0):
        expected = as_list(oracle.run(*inputs))
        assert not difference(as_list(ours.run(*inputs)), expected)


def test_tensors_of_a_batch_are_not_cut() -> None:
    m = ModelBuilder(1)
    x: Tensor = m.input((2, 16, 16, 4), Quant(0.05, -3))
    x = m.conv2d(x, 32, (1, 1))
    m.output(m.max_pool2d(x, (4, 4), (4, 4)))
    with pytest.raises(RamError) as caught:
        compile_model(m.build(), ram=1)
    assert caught.value.least == compile_model(m.build()).plan.arena_bytes


@pytest.mark.parametrize(
    ("axis", "size", "outputs", "want"),
    [
        (Axis(3, 2, 1, True), 48, (0, 12), ((0, 25), (0, 0))),
        (Axis(3, 2, 1, True), 48, (12, 24), ((24, 48), (0, 1))),
        (Axis(3, 1, 1, True), 10, (0, 5), ((0, 6), (1, 0))),
        (Axis(3, 1, 1, True), 10, (5, 10), ((4, 10), (0, 1))),
        (Axis(3, 1, 2, False), 10, (2, 4), ((2, 8), (0, 0))),
        (Axis(1, 3, 1, False), 10, (1, 3), ((3, 7), (0, 0))),
        (Axis(2, 1, 1, False, (3, 0)), 4, (0, 2), ((0, 0), (3, 0))),
    ],
)
def test_only_the_rows_that_windows_see(
    axis: Axis, size: int, outputs: tuple[int, int], want: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    assert axis.rows(size, *outputs) == want


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The effort of every plan that is made."""
    made: list[int] = []
    real = compiler._plan

    def counted(*args: Any, **named: Any) -> Any:
        made.append(1)
        return real(*args, **named)

    monkeypatch.setattr(compiler, "_plan", counted)
    return made


def test_what_no_stripes_can_do_is_not_searched_for(
    plans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that could be cut lie before one that cannot, which needs more than there is."""
    m = ModelBuilder(3)
    x = m.conv2d(m.input((1, 24, 24, 1), Quant(0.05, -3)), 24, (3, 3), padding="SAME")
    x = m.mean(m.max_pool2d(x, (4, 4), (4, 4)), (1, 2))
    m.output(m.fully_connected(m.fully_connected(x, 9000), 2))
    content = m.build()
    searched = []
    for floor in (Regions.floor, lambda _: 0):
        monkeypatch.setattr(Regions, "floor", floor)
        for least in (False, True):
            plans.clear()
            with pytest.raises(RamError) as caught:
                compile_model(content, ram=8999, least=least)
            searched.append(len(plans))
            assert caught.value.least >= 9000
    at_once, seeking, in_vain, both = searched
    assert at_once == 2  # as it is, and once more for the search
    assert 2 < in_vain <= 62  # not refused at once, but nothing else is looked for
    assert seeking > 2 and both > in_vain
    assert compile_model(content, ram=9100, least=False).striped


@pytest.mark.parametrize("ending", ["input", "output", "layer"])
def test_no_stripes_get_below_the_floor(ending: str) -> None:
    """The input, the output and a layer that cannot be cut lie in the arena whole."""
    m = ModelBuilder(2)
    x = m.input((1, 24, 24, 6 if ending == "input" else 1), Quant(0.05, -3))
    x = m.conv2d(x, 8, (3, 3), padding="SAME")
    if ending == "layer":
        x = m.mean(m.conv2d(x, 12, (1, 1)), (1, 2))
    elif ending == "output":
        x = m.conv2d(x, 10, (1, 1))
    else:
        x = m.max_pool2d(x, (4, 4), (4, 4))
    m.output(x)
    content = m.build()
    graph = optimize(read_model(content, "m"))
    floor = Regions(graph, compiler._plan(graph, find_target("host"))[2]).floor()
    assert floor == 24 * 24 * {"input": 6, "output": 10, "layer": 12}[ending]
    with pytest.raises(RamError) as caught:
        compile_model(content, ram=1)
    assert caught.value.least >= floor
