"""The plan: no two tensors in one place at one time, and nothing wasted where nothing must be."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lotor.graph import DType, Graph, Tensor, Within
from lotor.memory import NO_CLEARANCE, Clearance, Placement, Plan, plan_memory, walks_backward
from lotor.ops import KernelCall


def tensor(name: str, size: int) -> Tensor:
    return Tensor(name, (size,), DType.INT8)


def call(inputs: Sequence[Tensor], output: Tensor, alias: bool = False) -> KernelCall:
    return KernelCall("k", "k", list(inputs), [output], alias=alias)


def chain(*sizes: int) -> tuple[Graph, list[KernelCall]]:
    tensors = [tensor(f"t{i}", size) for i, size in enumerate(sizes)]
    calls = [call([a], b) for a, b in itertools.pairwise(tensors)]
    return Graph("chain", [tensors[0]], [tensors[-1]]), calls


def random_graph(seed: int) -> tuple[Graph, list[KernelCall]]:
    rng = random.Random(seed)
    tensors = [tensor("input", rng.randint(1, 500))]
    calls = []
    for layer in range(rng.randint(1, 14)):
        inputs = rng.sample(tensors[-4:], min(len(tensors[-4:]), rng.randint(1, 2)))
        alias = rng.random() < 0.15
        output = tensor(f"t{layer}", inputs[0].nbytes if alias else rng.randint(1, 500))
        calls.append(call(inputs[:1] if alias else inputs, output, alias))
        tensors.append(output)
    outputs = {id(t): t for t in rng.sample(tensors, min(2, len(tensors)))}
    return Graph("random", [tensors[0]], list(outputs.values())), calls


def forward(clearance: int) -> Clearance:
    return Clearance(clearance, None)


def overlap(a: Placement, b: Placement) -> bool:
    in_time = a.first <= b.last and b.first <= a.last
    return in_time and a.offset < b.end and b.offset < a.end


def assert_sound(plan: Plan, alignment: int) -> None:
    for i, a in enumerate(plan.placements):
        assert a.offset % alignment == 0
        assert a.end <= plan.arena_bytes
        assert not any(overlap(a, b) for b in plan.placements[i + 1 :])
    assert plan.arena_bytes == max(p.end for p in plan.placements)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([1, 4, 16]))
def test_no_two_tensors_share_bytes_while_both_are_needed(seed: int, alignment: int) -> None:
    graph, calls = random_graph(seed)
    plan = plan_memory(graph, [[c] for c in calls], alignment)
    assert_sound(plan, alignment)
    assert plan.arena_bytes >= plan.lower_bound


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([1, 4, 16]))
def test_only_what_may_overlap_does(seed: int, alignment: int) -> None:
    graph, calls = random_graph(seed)
    rng = random.Random(seed)
    clearances = [[any_clearance(rng, c) for _ in c.inputs] for c in calls]
    plan = plan_memory(graph, [[c] for c in calls], alignment, clearances)
    layers = itertools.count()
    written = {
        c.outputs[0]: (next(layers), c, found)
        for c, found in zip(calls, clearances, strict=True)
        if not c.alias
    }
    for a, b in itertools.permutations(plan.placements, 2):
        if not overlap(a, b) or a.first < b.first:
            continue
        layer, call_, found = written[a.tensors[0]]
        assert a.first == layer == b.last > b.first
        read = [(t, c) for t, c in zip(call_.inputs, found, strict=True) if t in b.tensors]
        assert read
        before = [
            (c.forward is not None and b.offset - a.offset >= c.forward)
            or (c.in_place and b.offset == a.offset)
            for _, c in read
        ]
        behind = [c.backward is not None and a.end - b.end >= c.backward for _, c in read]
        assert all(before) or all(behind)
    assert plan.lower_bound <= plan.arena_bytes == max(p.end for p in plan.placements)
    assert all(p.offset % alignment == 0 for p in plan.placements)


def any_clearance(rng: random.Random, c: KernelCall) -> Clearance:
    forward_, backward = (rng.choice([None, rng.randint(-20, c.outputs[0].nbytes)]) for _ in "fb")
    return Clearance(forward_, backward, rng.random() < 0.3)


def test_an_output_replaces_its_input() -> None:
    a, b, c = tensor("a", 100), tensor("b", 100), tensor("c", 100)
    graph = Graph("g", [a], [c])
    in_place = Clearance(None, None, in_place=True)
    plan = plan_memory(graph, [[call([a], b)], [call([b], c)]], 4, [[in_place], [in_place]])
    assert plan.arena_bytes == plan.lower_bound == 100
    assert plan.offset(a) == plan.offset(b) == plan.offset(c)
    kept = plan_memory(
        Graph("g", [a], [a, c]), [[call([a], b)], [call([b], c)]], 4, [[in_place], [in_place]]
    )
    assert kept.arena_bytes == kept.lower_bound == 200


def test_an_output_lies_over_an_input_that_nobody_needs_any_more() -> None:
    a, b, c = tensor("a", 100), tensor("b", 120), tensor("c", 30)
    graph = Graph("g", [a], [c])
    steps = [[call([a], b)], [call([b], c)]]
    plan = plan_memory(graph, steps, 1, [[forward(40)], [forward(-7)]])
    assert plan.arena_bytes == plan.lower_bound == 140
    assert plan.offset(a) - plan.offset(b) == 40
    kept = plan_memory(Graph("g", [a], [a, c]), steps, 1, [[forward(40)], [forward(-7)]])
    assert kept.arena_bytes == kept.lower_bound == 220
    both = plan_memory(
        graph, [[call([a], b)], [call([b, a], c)]], 1, [[forward(40)], [forward(0), NO_CLEARANCE]]
    )
    assert both.arena_bytes == both.lower_bound == 220  # `a` is read again, `c` lies over `b`


def test_room_is_left_for_what_comes_later() -> None:
    """As in a residual block: the second tensor gives way for the third, which lies over it."""
    a, b, c, d = (tensor(name, 1000) for name in "abcd")
    steps = [[call([a], b)], [call([b], c)], [call([a, c], d)]]
    plan = plan_memory(
        Graph("g", [a], [d]), steps, 4, [[NO_CLEARANCE], [forward(30)], [forward(0), forward(0)]]
    )
    assert plan.lower_bound == 2030
    assert plan.arena_bytes == 2032


def test_a_tensor_is_kept_until_its_last_reader_and_an_output_to_the_end() -> None:
    a, b, c, d = (tensor(n, 8) for n in "abcd")
    plan = plan_memory(
        Graph("g", [a], [b, d]), [[call([a], b)], [call([b], c)], [call([c, a], d)]], 1
    )
    lives = {p.tensors[0].name: (p.first, p.last) for p in plan.placements}
    assert lives == {"a": (-1, 2), "b": (0, 3), "c": (1, 2), "d": (2, 3)}


def test_an_alias_takes_no_memory_and_no_step() -> None:
    a, b, c = tensor("a", 100), tensor("b", 100), tensor("c", 10)
    plan = plan_memory(Graph("g", [a], [c]), [[call([a], b, alias=True)], [call([b], c)]], 1)
    assert plan.arena_bytes == 110
    assert plan.offset(a) == plan.offset(b)
    assert [(p.first, p.last) for p in plan.placements] == [(-1, 0), (0, 1)]


def test_a_chain_reaches_its_lower_bound() -> None:
    """Placed by falling size alone, this one would take 64,512 bytes."""
    graph, calls = chain(27648, 18432, 18432, 36864, 9216, 18432)
    plan = plan_memory(graph, [[c] for c in calls], 4)
    assert plan.arena_bytes == plan.lower_bound == 18432 + 36864
    assert plan.peak_layer == 2


def test_alignment_pads_between_tensors() -> None:
    graph, calls = chain(3, 5)
    plan = plan_memory(graph, [[c] for c in calls], 4)
    assert plan.lower_bound == 8
    assert plan.arena_bytes in (3 + 1 + 5, 5 + 3 + 3)


def test_large_elements_are_aligned_to_their_size() -> None:
    a, b, c = tensor("a", 100), Tensor("b", (7,), DType.INT64), tensor("c", 4)
    plan = plan_memory(Graph("g", [a], [b, c]), [[call([a], b)], [call([a, b], c)]], 4)
    assert plan.arena_bytes == 104 + 56  # the third fits between them
    assert plan.offset(b) == 104


def test_layers_walk_backward_where_that_saves_memory() -> None:
    a, b, c = (tensor(name, 1000) for name in "abc")
    steps = [[call([a], b)], [call([b], c)]]
    allowed = [[Clearance(80, 100)], [Clearance(80, 100)]]
    plan = plan_memory(Graph("g", [a], [c]), steps, 4, allowed)
    assert plan.lower_bound == 1080
    assert plan.arena_bytes == 1100  # there and back
    ways = [walks_backward(plan, s[0], found) for s, found in zip(steps, allowed, strict=True)]
    assert sorted(ways) == [False, True]


def parted_graph(seed: int) -> tuple[Graph, list[KernelCall], list[list[Clearance]]]:
    """Layers that read and write parts of larger tensors, some of them under another shape."""
    rng = random.Random(seed)
    tensors = [tensor("input", rng.randint(20, 400))]
    calls: list[KernelCall] = []
    for layer in range(rng.randint(2, 10)):
        way = rng.random()
        source = rng.choice(tensors[-4:])
        if way < 0.3:  # several layers write a joined tensor
            sizes = [rng.randint(1, 150) for _ in range(rng.randint(2, 4))]
            joined = tensor(f"joined{layer}", sum(sizes))
            at = 0
            for size in sizes:
                part = replace(tensor(f"part{layer}", size), within=Within(joined, at, size))
                calls.append(call([rng.choice([source, rng.choice(tensors)])], part))
                at += size
            tensors.append(joined)
        elif way < 0.6 and source.nbytes > 2:  # several layers read rows of one, which overlap
            for number in range(rng.randint(1, 4)):
                start = rng.randrange(source.nbytes - 1)
                size = rng.randint(1, source.nbytes - start)
                part = replace(tensor(f"rows{layer}", size), within=Within(source, start, size))
                tensors.append(tensor(f"t{layer}_{number}", rng.randint(1, 200)))
                calls.append(call([part], tensors[-1]))
        else:
            tensors.append(tensor(f"t{layer}", rng.randint(1, 300)))
            others = rng.sample(tensors[:-1], min(len(tensors) - 1, rng.randint(0, 1)))
            calls.append(call(list(dict.fromkeys([source, *others])), tensors[-1]))
    clearances = [[any_clearance(rng, c) for _ in c.inputs] for c in calls]
    return Graph("parts", [tensors[0]], rng.sample(tensors, 2)), calls, clearances


def root(part: Tensor) -> tuple[Tensor, int]:
    """The tensor that one is a part of, and where."""
    at = 0
    while (within := part.within) is not None:
        part, at = within.base, at + within.offset
    return part, at


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([1, 4]))
def test_every_layer_finds_its_inputs(seed: int, alignment: int) -> None:
    """Run on memory that remembers what every byte belongs to."""
    graph, calls, clearances = parted_graph(seed)
    plan = plan_memory(graph, [[c] for c in calls], alignment, clearances)
    arena: list[tuple[Tensor, int] | None] = [None] * plan.arena_bytes

    def write(t: Tensor) -> set[int]:
        base, at = root(t)
        places = range(plan.offset(t), plan.offset(t) + t.nbytes)
        for number, place in enumerate(places):
            arena[place] = base, at + number
        return set(places)

    def read(t: Tensor) -> set[int]:
        base, at = root(t)
        places = range(plan.offset(t), plan.offset(t) + t.nbytes)
        assert [arena[place] for place in places] == [(base, at + i) for i in range(t.nbytes)]
        return set(places)

    for t in graph.inputs:
        write(t)
    for c, allowed in zip(calls, clearances, strict=True):
        before = [read(t) for t in c.inputs]
        y = c.outputs[0]
        after = write(y)
        over = [(t, a) for t, a, b in zip(c.inputs, allowed, before, strict=True) if after & b]
        start, end = plan.offset(y), plan.offset(y) + y.nbytes
        forward_ = all(
            (a.forward is not None and plan.offset(t) - start >= a.forward)
            or (a.in_place and plan.offset(t) == start)
            for t, a in over
        )
        backward = all(
            a.backward is not None and end - plan.offset(t) - t.nbytes >= a.backward
            for t, a in over
        )
        assert forward_ or backward
    for t in graph.outputs:
        read(t)
    assert plan.lower_bound <= plan.arena_bytes == max(p.end for p in plan.placements)


def test_rows_that_are_used_up_make_room() -> None:
    """As with stripes: the output grows into what is no longer needed of the input."""
    x, y = tensor("x", 400), tensor("y", 400)
    calls = []
    for start in range(0, 400, 100):
        rows, out = Within(x, start, 100), Within(y, start, 100)
        middle = tensor(f"m{start}", 20)
        calls.append(call([replace(tensor("rows", 100), within=rows)], middle))
        calls.append(call([middle], replace(tensor("out", 100), within=out)))
    plan = plan_memory(Graph("g", [x], [y]), [[c] for c in calls], 1)
    assert plan.arena_bytes == plan.lower_bound == 420
    assert len(plan.placements[0].segments) == 4
    assert plan.live_bytes[:2] == (420, 420)


def test_layers_walk_forward_where_that_costs_next_to_nothing() -> None:
    a, b, c = (tensor(name, 1000) for name in "abc")
    steps = [[call([a], b)], [call([b], c)]]
    allowed = [[Clearance(103, 100)], [Clearance(0, None)]]
    plan = plan_memory(Graph("g", [a], [c]), steps, 1, allowed)
    assert not walks_backward(plan, steps[0][0], allowed[0])
    assert plan.arena_bytes <= 1108
    allowed = [[Clearance(400, 100)], [Clearance(0, None)]]
    plan = plan_memory(Graph("g", [a], [c]), steps, 1, allowed)
    assert walks_backward(plan, steps[0][0], allowed[0])
    assert plan.arena_bytes == 1100
