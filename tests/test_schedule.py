"""The order of layers: it can be run, and no order needs less."""

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lotor.schedule
from branching_graphs import Problem, branching_graph, precedence
from exactness import assert_exact
from lotor.compiler import compile_model
from lotor.frontend.tflite import read_model
from lotor.graph import DType, Graph, Op, Tensor, Within
from lotor.liveness import BEFORE, Access, Needs, bit, members
from lotor.memory import Clearance, Memory
from lotor.ops import KernelCall
from lotor.optimize import optimize
from lotor.schedule import in_order, must_precede, schedule, smallest_need
from random_graphs import Recipe, Step, grown, quick_build
from test_memory import call, tensor
from tflite_builder import ModelBuilder, Quant

MANY = ("CONV_2D", "ADD", "MUL", "CONCATENATION", "SPLIT", "RESHAPE", "MAX_POOL_2D", "RELU")


def memory_of(problem: Problem) -> Memory:
    return Memory(problem.graph, problem.steps, problem.clearances)


def least_of_all(needs: Needs) -> int:
    """The smallest largest need of all orders, tried one by one."""
    layers = range(needs.layers)
    best = max(needs.profile(layers))
    before = needs.predecessors
    seen: dict[int, int] = {}

    def go(order: list[int], done: int) -> None:
        nonlocal best
        need = max(needs.profile(order), default=0)
        if need >= best or seen.get(done, best) <= need:
            return
        seen[done] = need
        if len(order) == needs.layers:
            best = need
        for layer in layers:
            if not done & bit(layer) and not before[layer] & ~done:
                go([*order, layer], done | bit(layer))

    go([], BEFORE)
    return max(best, needs.at_borders())


def two_branches() -> Problem:
    """Two branches that begin with much and end with little; the model runs them side by side."""
    x, a, b = tensor("x", 100), tensor("a", 1000), tensor("b", 1000)
    c, d, y = tensor("c", 10), tensor("d", 10), tensor("y", 20)
    calls = [call([x], a), call([x], b), call([a], c), call([b], d), call([c, d], y)]
    return Problem(Graph("g", [x], [y]), [[c] for c in calls], [[] for _ in calls])


def test_one_branch_runs_after_the_other() -> None:
    found = schedule(memory_of(two_branches()), 4)
    assert found.layers in [(0, 2, 1, 3, 4), (1, 3, 0, 2, 4)]
    assert memory_of(two_branches()).plan(4).lower_bound == 2100
    assert found.order.exact
    assert found.plan.lower_bound == 1110
    assert found.plan.arena_bytes == 1110
    assert found.order.bound == 1112  # sizes rounded up to 4


@pytest.mark.parametrize("seed", range(60))
def test_no_order_needs_less(seed: int) -> None:
    needs = memory_of(branching_graph(seed)).needs
    found = smallest_need(needs)
    assert found.exact
    assert found.need == least_of_all(needs)
    assert found.need == max(needs.at_borders(), *needs.profile(found.layers))


def test_what_overlaps_is_needed_once() -> None:
    a, b, y = tensor("a", 100), tensor("b", 100), tensor("y", 100)
    graph = Graph("g", [a, b], [y])
    memory = Memory(graph, [[call([a, b], y)]], [[Clearance(0, None)] * 2])
    assert memory.needs.profile([0]) == [200]
    memory = Memory(graph, [[call([a, b], y)]], [[Clearance(10, None), Clearance(70, None)]])
    assert memory.needs.profile([0]) == [200]


def test_what_overlaps_a_part_is_needed_once() -> None:
    x, y, z = tensor("x", 96), tensor("y", 8), tensor("z", 48)
    a, b = (Tensor("part", (48,), DType.INT8, within=Within(x, at, 48)) for at in (0, 48))
    steps = [[call([a], y)], [call([b], z)]]
    memory = Memory(Graph("g", [x], [y, z]), steps, [[], [Clearance(10, None)]])
    assert memory.needs.profile([0, 1]) == [96 + 8, 8 + 48 + 10]
    memory = Memory(Graph("g", [x], [y, z]), steps, [[], [Clearance(None, 7)]])
    assert memory.needs.profile([0, 1]) == [96 + 8, 8 + 48 + 7]


@pytest.mark.parametrize("seed", range(60))
def test_what_is_needed_is_what_the_plan_keeps(seed: int) -> None:
    """The sum by sets of layers is that of lives in their order, where nothing overlaps."""
    problem = branching_graph(seed)
    memory = Memory(problem.graph, problem.steps, [()] * len(problem.steps))
    found = schedule(memory, 4)
    placements = found.plan.placements
    for layer, need in enumerate(memory.needs.profile(found.layers)):
        segments = [s for p in placements for s in p.segments if s.first <= layer <= s.last]
        assert need == sum(segment.nbytes for segment in segments)


def bytes_of(access: Access) -> Iterator[tuple[int, int]]:
    for row in range(access.rows):
        for byte in range(access.row):
            yield access.memory, access.start + row * access.step + byte


def reads(needs: Needs, order: Sequence[int]) -> dict[int, list[tuple[int, int, int]]]:
    """Of every byte that a layer uses, the layer that has written it before."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    writers: dict[tuple[int, int], int] = {}
    for layer in order:
        mine = [access for access in needs.accesses if access.layer == layer]
        found[layer] = [(*byte, writers.get(byte, -1)) for a in mine for byte in bytes_of(a)]
        writers.update({byte: layer for a in mine if a.writes for byte in bytes_of(a)})
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_every_layer_reads_the_same_in_every_order(seed: int) -> None:
    problem = branching_graph(seed)
    memory = memory_of(problem)
    pairs = {(u, v) for v, us in enumerate(memory.needs.predecessors) for u in members(us)}
    assert pairs >= precedence(problem)
    found = schedule(memory, 4)
    for order in (found.layers, found.order.layers):
        assert sorted(order) == list(range(memory.needs.layers))
        assert reads(memory.needs, order) == reads(memory.needs, range(memory.needs.layers))


def test_orders_change() -> None:
    changed = sum(not schedule(memory_of(branching_graph(s)), 4).as_in_model for s in range(100))
    assert changed > 30


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9))
def test_the_models_order_stays_where_no_other_is_smaller(seed: int) -> None:
    memory = memory_of(branching_graph(seed))
    found = schedule(memory, 4)
    own = memory.plan(4).arena_bytes
    assert found.plan.arena_bytes < own or found.as_in_model
    assert found.plan.arena_bytes <= own


def test_layers_of_a_variable_keep_their_order() -> None:
    x, y, z = tensor("x", 8), tensor("y", 4), tensor("z", 4)
    state = Tensor("state", (8,), DType.INT8, variable=True)
    calls = [call([state], y), KernelCall("k", "k", [x], [state]), call([state], z)]
    needs = Memory(Graph("g", [x], [y, z]), [[c] for c in calls], [()] * 3).needs
    assert [members(before)[1:] for before in needs.predecessors] == [[], [0], [0, 1]]


def test_parts_side_by_side_can_be_written_in_any_order() -> None:
    """Rows of two joined tensors lie between each other, and share no byte."""
    whole = Tensor("whole", (4, 8), DType.INT8)
    problem = branching_graph(0)
    for offset, parts, free in ((4, (4, 4), True), (4, (5, 4), False)):
        a, b = (
            Tensor("part", (4, n), DType.INT8, within=Within(whole, at, 8))
            for at, n in zip((0, offset), parts, strict=True)
        )
        x = tensor("x", 8)
        steps = [[call([x], a)], [call([x], b)]]
        problem = Problem(Graph("g", [x], [whole]), steps, [[], []])
        before = memory_of(problem).needs.predecessors
        assert (before[1] == BEFORE) is free


@pytest.mark.parametrize("seed", range(20))
def test_a_search_that_is_cut_says_so(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = memory_of(branching_graph(seed))
    exact = smallest_need(memory.needs)
    monkeypatch.setattr(lotor.schedule, "_STEPS", 3)
    found = smallest_need(memory.needs)
    own = max(memory.needs.profile(range(memory.needs.layers)))
    assert found.bound <= exact.need <= found.need <= max(own, memory.needs.at_borders())
    assert found.exact is (found.need == found.bound)
    assert reads(memory.needs, found.layers) == reads(memory.needs, range(memory.needs.layers))


def test_many_branches_are_searched_by_the_most_promising(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    x, ends, columns = tensor("x", 500), [], []
    for _ in range(12):
        sizes = [rng.randint(50, 2000) for _ in range(4)]
        tensors = [x, *(tensor("t", size) for size in sizes)]
        columns.append([call([a], b) for a, b in itertools.pairwise(tensors)])
        ends.append(tensors[-1])
    steps = [[c] for row in zip(*columns, strict=True) for c in row]  # side by side
    needs = Memory(Graph("g", [x], ends), steps, [()] * len(steps)).needs
    monkeypatch.setattr(lotor.schedule, "_STEPS", 1000)
    found = smallest_need(needs)
    own = max(needs.profile(range(needs.layers)))
    assert found.need < own
    assert found.bound <= found.need
    assert reads(needs, found.layers) == reads(needs, range(needs.layers))


def test_a_graph_without_layers_has_a_plan() -> None:
    x, y = tensor("x", 100), tensor("y", 100)
    memory = Memory(Graph("g", [x], [y, x]), [[call([x], y, alias=True)]], [[]])
    found = schedule(memory, 4)
    assert found.layers == () and found.as_in_model
    assert found.plan.arena_bytes == found.order.bound == 100


def op(inputs: list[Tensor], *outputs: Tensor) -> Op:
    return Op("OP", outputs[0].name, list(inputs), list(outputs))


def test_aliases_follow_what_they_are_an_alias_of() -> None:
    x, a, b, c, d = (tensor(n, 8) for n in "xabcd")
    ops = [op([x], a), op([x], b), op([a], c), op([c], d)]  # c is a under another shape
    aliases = [False, False, True, False]
    assert must_precede(ops, aliases) == [0, 0, bit(0)]
    assert in_order(ops, aliases, [1, 0, 2]) == [1, 0, 2, 3]
    assert in_order(ops, aliases, [0, 2, 1]) == [0, 2, 3, 1]


def branches_and_joins() -> ModelBuilder:
    """Two branches that are wide at first, and the model runs them side by side."""
    m = ModelBuilder()
    x = m.input((1, 8, 8, 3), Quant(0.1, 3))
    wide = [m.conv2d(x, channels) for channels in (24, 20)]
    narrow = [m.conv2d(y, 2, stride=(4, 4)) for y in wide]
    m.output(m.add(narrow[0], narrow[1]))
    return m


def reordered(content: bytes) -> bool:
    """Whether a compiled model runs in another order than its own."""
    own = [op.name for op in optimize(read_model(content, "model")).ops]
    return [op.name for op in compile_model(content, "host").graph.ops] != own


def test_a_model_in_another_order_computes_the_same() -> None:
    m = branches_and_joins()
    compiled = compile_model(m.build(), "host")
    channels = [layer.output.shape[3] for layer in compiled.layers]
    assert channels in ([24, 2, 20, 2, 2], [20, 2, 24, 2, 2])
    assert reordered(m.build())
    with quick_build():
        assert_exact(m)


def test_random_graphs_run_in_other_orders() -> None:
    """So that `test_random_graphs` compares such graphs with the reference."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(30):
        steps = [Step(kind, int(rng.integers(4)), seed) for kind in rng.choice(MANY, 8)]
        found.append(reordered(grown(Recipe(tuple(steps), seed)).m.build()))
    assert sum(found) > 5
