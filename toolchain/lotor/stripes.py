"""Stripes: layers of large tensors run in parts of a few rows, so that these are never whole.

Source: patch-based inference (Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for
Tiny Deep Learning", 2021), with patches of full width, whose rows follow each other in memory: a
part reads its rows where the whole input lies, and writes its rows where the whole output lies.
Rows between the layers that two parts need are computed twice; among all layers and heights of
stripes that stay within the limit, those with the fewest extra multiply-accumulates are chosen.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from lotor.graph import Array, Graph, Op, Tensor, Within, short_name
from lotor.memory import Plan
from lotor.ops import operators
from lotor.ops.operator import Stripe
from lotor.optimize.edit import Uses
from lotor.progress import Progress

_LONGEST = 16  # layers that run in stripes together
_MOST = 32  # stripes
_PLANS = 60  # that are tried for the limit
_FEW = 30  # that are tried for each guess at the least
_ALIGNMENT = 4  # bytes that every target aligns tensors to, and so their parts
_CLOSE = 100  # the least is found to this part of it
_GUESSES = 12  # at it; each halves what is unknown

Rows = tuple[int, int]
Planner = Callable[[Graph], Plan]


@dataclass(frozen=True)
class Striped:
    """Layers that run in stripes.

    Attributes:
        first: name of the first layer.
        last: name of the last layer.
        layers: how many layers they are.
        stripes: how many parts they run in.
        extra_macs: multiply-accumulates that the rows cost that are computed twice.
    """

    first: str
    last: str
    layers: int
    stripes: int
    extra_macs: int

    def __str__(self) -> str:
        return (
            f"{self.layers} layers from {short_name(self.first)} to {short_name(self.last)} run in "
            f"{self.stripes} stripes: {self.extra_macs:,} MACs more"
        )


@dataclass(frozen=True)
class Solution:
    """A graph, what of it runs in stripes, and its plan."""

    graph: Graph
    striped: tuple[Striped, ...]
    plan: Plan


def fit(graph: Graph, plan: Plan, limit: int, planner: Planner, least: bool = True) -> Solution:
    """Return a graph whose arena has at most `limit` bytes; where none is found, the smallest.

    Args:
        graph: with its layers in the order in which they run.
        plan: one of this graph; the planner's may be smaller, as it walks backward more often.
        limit: bytes of the arena.
        planner: plans the memory of a graph, its layers in their order.
        least: whether the smallest is looked for, which takes long; else where none is found, the
            graph as it is.
    """
    if all(layer is None for layer in _layer_numbers(graph)):
        return Solution(graph, (), plan)
    most = _PLANS + _GUESSES * _FEW * least
    with Progress(f"{graph.name}: looking for stripes", most, "plans at most") as progress:

        def counted(graph: Graph) -> Plan:
            progress.advance()
            return planner(graph)

        return _fit(graph, plan, limit, counted, least)


def _fit(graph: Graph, plan: Plan, limit: int, planner: Planner, least: bool) -> Solution:
    whole = Solution(graph, (), min(plan, planner(graph), key=lambda plan: plan.arena_bytes))
    possible = Regions(graph, plan).floor() <= limit
    found = _Search(planner, limit).run(whole) if possible else None
    if found is not None or not least:
        return found or whole
    borders = (sum(t.nbytes for t in tensors) for tensors in (graph.inputs, graph.outputs))
    low, best = max(limit, *borders), whole
    for _ in range(_GUESSES):
        if best.plan.arena_bytes - low <= max(1, best.plan.arena_bytes // _CLOSE):
            break
        middle = (low + best.plan.arena_bytes) // 2
        found = _Search(planner, middle, _FEW).run(whole)
        if found is None:
            low = middle
        else:
            best = found
    return best


@dataclass(frozen=True)
class _Part:
    """A layer in one stripe: the rows that it writes and what they need."""

    op: Op
    rows: Rows
    stripe: Stripe


@dataclass(frozen=True)
class Candidate:
    """The layers from number `first` to `end`, and the parts of all their stripes."""

    first: int
    end: int
    stripes: tuple[tuple[_Part, ...], ...]
    extra_macs: int


class _Search:
    """Candidates in order of their cost, until the plan of one is small enough."""

    def __init__(self, planner: Planner, limit: int, plans: int = _PLANS) -> None:
        self._planner = planner
        self._limit = limit
        self._left = plans

    def run(self, solution: Solution) -> Solution | None:
        """Return a solution within the limit, made of this one; None where there is none."""
        if solution.plan.arena_bytes <= self._limit:
            return solution
        regions = Regions(solution.graph, solution.plan)
        over = regions.first_over(self._limit)
        for candidate in regions.candidates(over, self._limit):
            if self._left == 0:
                return None
            graph = regions.split(candidate)
            if graph is None:
                continue
            self._left -= 1
            ops = solution.graph.ops
            striped = Striped(
                ops[candidate.first].name,
                ops[candidate.end - 1].name,
                candidate.end - candidate.first,
                len(candidate.stripes),
                candidate.extra_macs,
            )
            found = Solution(graph, (*solution.striped, striped), self._planner(graph))
            if found.plan.arena_bytes <= self._limit:
                return found
            layers = sum(map(len, candidate.stripes))
            behind = Regions(graph, found.plan).first_over(self._limit)
            if behind >= candidate.first + layers:  # these layers fit now, later ones do not
                deeper = self.run(found)
                if deeper is not None:
                    return deeper
        return None


class Regions:
    """The parts of a graph that can run in stripes."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph = graph
        self._plan = plan
        self._uses = Uses(graph)
        self._bases = {
            t.within.base
            for op in graph.ops
            for t in (*op.inputs, *op.outputs)
            if t is not None and t.within is not None
        }
        self._layers = _layer_numbers(graph)
        self._stripes: dict[tuple[Op, Rows], Stripe | None] = {}

    def floor(self) -> int:
        """Return bytes that no stripes get the arena below.

        All inputs are there before the first layer, all outputs after the last one, and a layer
        that cannot be cut needs all that it reads, and all that it writes.
        """
        found = [sum(t.nbytes for t in ts) for ts in (self._graph.inputs, self._graph.outputs)]
        for op in self._graph.ops:
            if not self._splits(op):
                read = {x for x in op.inputs if x is not None and x.data is None}
                found += [sum(x.nbytes for x in read), sum(y.nbytes for y in op.outputs)]
        return max(found)

    def first_over(self, limit: int) -> int:
        """Return the number of the first operator that needs more than that."""
        for index, layer in enumerate(self._layers):
            if layer is not None and self._plan.live_bytes[layer] > limit:
                return index
        return self._layers.index(self._plan.peak_layer)  # each fits, but not all side by side

    def candidates(self, over: int, limit: int) -> list[Candidate]:
        """Return what includes a layer and may stay within the limit, cheapest first."""
        found: list[Candidate] = []
        for first in range(over, max(-1, over - _LONGEST), -1):
            if not self._splits(self._graph.ops[first]):
                break
            for end in range(over + 1, min(len(self._graph.ops), first + _LONGEST) + 1):
                if not self._splits(self._graph.ops[end - 1]):
                    break
                if self._closed(first, end):
                    found += self._heights(first, end, limit)
        return sorted(found, key=lambda c: (c.extra_macs, c.end - c.first, len(c.stripes)))

    def split(self, candidate: Candidate) -> Graph | None:
        """Return the graph with stripes; None where rows would not be aligned."""
        ops = []
        last = self._graph.ops[candidate.end - 1].outputs[0]
        for stripe in candidate.stripes:
            made: dict[Tensor, tuple[Tensor, int]] = {}
            for part in stripe:
                y = part.op.outputs[0]
                inputs = []
                for x, rows in zip(part.op.inputs, part.stripe.rows, strict=True):
                    base, first = (x, 0) if x is None else made.get(x, (x, 0))
                    inputs.append(_view(base, rows, first))
                if y is last:
                    output: Tensor | None = _view(y, part.rows, 0)
                else:
                    output = replace(y, name=_named(y, part.rows), shape=_shape(y, part.rows))
                    output.source = None
                    made[y] = output, part.rows[0]
                if output is None or any(
                    t is not None and t.within is not None and t.within.offset % _ALIGNMENT
                    for t in (*inputs, output)
                ):
                    return None
                ops.append(
                    replace(
                        part.op,
                        name=_named(y, part.rows),
                        inputs=inputs,
                        outputs=[output],
                        attrs=part.stripe.attrs,
                    )
                )
        before, after = self._graph.ops[: candidate.first], self._graph.ops[candidate.end :]
        return replace(self._graph, ops=[*before, *ops, *after])

    def _splits(self, op: Op) -> bool:
        """Return whether a layer can run in stripes."""
        y = op.outputs[0]
        tensors = [y, *(t for t in op.inputs if t is not None and t.data is None)]
        if len(op.outputs) != 1 or len(y.shape) < 3 or any(t.variable for t in tensors):
            return False
        if y.shape[1] < 2 or any(t.shape[:1] != (1,) for t in tensors):
            return False
        return self._stripe(op, (0, y.shape[1])) is not None

    def _closed(self, first: int, end: int) -> bool:
        """Return whether nothing but the last layer's output is needed outside."""
        ops = self._graph.ops[first:end]
        inside = set(ops)
        if self._uses.is_output(ops[-1].outputs[0]) and ops[-1].outputs[0] in self._bases:
            return False
        for op in ops[:-1]:
            y = op.outputs[0]
            if y.within is not None or y in self._bases or self._uses.is_output(y):
                return False
            if not all(reader in inside for reader in self._uses.readers(y)):
                return False
        return all(ops[-1].outputs[0] not in op.inputs for op in ops)

    def _heights(self, first: int, end: int, limit: int) -> Iterator[Candidate]:
        """Yield these layers in stripes of every height that may stay within the limit."""
        ops = self._graph.ops[first:end]
        height = ops[-1].outputs[0].shape[1]
        macs = sum(_macs(op) for op in ops)
        others = self._others(first, end)
        for rows in dict.fromkeys(-(-height // n) for n in range(2, min(height, _MOST) + 1)):
            stripes = []
            for start in range(0, height, rows):
                parts = self._parts(ops, (start, min(start + rows, height)))
                if parts is None:
                    break
                stripes.append(parts)
            else:
                if others + self._bound(stripes, end) <= limit:
                    total = sum(_part_macs(part) for stripe in stripes for part in stripe)
                    yield Candidate(first, end, tuple(stripes), total - macs)

    def _parts(self, ops: Sequence[Op], rows: Rows) -> tuple[_Part, ...] | None:
        """Return what the layers compute for some rows of the last one's output."""
        needed = {ops[-1].outputs[0]: rows}
        inside = {op.outputs[0] for op in ops}
        parts = []
        for op in reversed(ops):
            if op.outputs[0] not in needed:
                continue
            stripe = self._stripe(op, needed[op.outputs[0]])
            if stripe is None:
                return None
            parts.append(_Part(op, needed[op.outputs[0]], stripe))
            for x, want in zip(op.inputs, stripe.rows, strict=True):
                if x is None or x not in inside:
                    continue
                if want is None:
                    want = (0, x.shape[1])
                have = needed.get(x, want)
                needed[x] = min(have[0], want[0]), max(have[1], want[1])
        return tuple(reversed(parts))

    def _stripe(self, op: Op, rows: Rows) -> Stripe | None:
        key = op, rows
        if key not in self._stripes:
            self._stripes[key] = operators()[op.kind].stripe(op, *rows)
        return self._stripes[key]

    def _others(self, first: int, end: int) -> int:
        """Return the bytes that lie beside some layers all the time."""
        used = {t for op in self._graph.ops[first:end] for t in (*op.inputs, *op.outputs)}
        inside = [n for n in self._layers[first:end] if n is not None]
        return sum(
            segment.nbytes
            for placement in self._plan.placements
            if not used & {*placement.tensors, *(tensor for tensor, _ in placement.parts)}
            for segment in placement.segments
            if segment.first <= inside[0] and inside[-1] <= segment.last
        )

    def _bound(self, stripes: Sequence[Sequence[_Part]], end: int) -> int:
        """Return the bytes that the tensors of stripes need at least, however they overlap."""
        steps = [(number, part) for number, stripe in enumerate(stripes) for part in stripe]
        inside = {part.op.outputs[0] for part in stripes[0]}
        final = stripes[0][-1].op.outputs[0]
        behind = {x for op in self._graph.ops[end:] for x in op.inputs} | self._bases
        # Of every row of a tensor, the steps that need it first and last; step 0 is before all.
        lives: dict[tuple[int, Tensor], tuple[Array, Array]] = {}

        def use(number: int, tensor: Tensor, rows: Rows, step: int) -> None:
            key = (-1 if tensor is final or tensor not in inside else number), tensor
            if key not in lives:
                height = tensor.shape[1]
                lives[key] = np.full(height, len(steps) + 1), np.full(height, -1)
                if tensor not in inside:
                    lives[key][0][:] = 0
                    if tensor in behind or self._uses.is_output(tensor):
                        lives[key][1][:] = len(steps) + 1
            first, last = (life[rows[0] : rows[1]] for life in lives[key])
            np.minimum(first, step, out=first)
            np.maximum(last, step, out=last)

        written = np.zeros(len(steps) + 2, np.int64)
        for step, (number, part) in enumerate(steps, 1):
            y = part.op.outputs[0]
            use(number, y, part.rows, step)
            written[step] = _bytes(y) * (part.rows[1] - part.rows[0])
            for x, rows in zip(part.op.inputs, part.stripe.rows, strict=True):
                if x is not None and x.data is None:
                    whole = 0, (x.shape[1] if len(x.shape) > 1 else 1)
                    use(number, x, rows or whole, step)
        use(-1, final, (0, final.shape[1]), len(steps) + 1)
        born, dead, used_up = (np.zeros(len(steps) + 3, np.int64) for _ in range(3))
        for (_, tensor), (first, last) in lives.items():
            needed = last >= 0
            np.add.at(born, first[needed], _bytes(tensor))
            np.add.at(dead, last[needed] + 1, _bytes(tensor))
            np.add.at(used_up, last[needed & (first < last)], _bytes(tensor))
        live = np.cumsum(born - dead)[1 : len(steps) + 1]
        overlap = np.minimum(written, used_up[:-1])[1 : len(steps) + 1]
        return int((live - overlap).max())


def _bytes(tensor: Tensor) -> int:
    """Return the bytes of a row of axis 1."""
    return tensor.nbytes // (tensor.shape[1] if len(tensor.shape) > 1 else 1)


def _macs(op: Op) -> int:
    return operators()[op.kind].macs(op)


def _part_macs(part: _Part) -> int:
    """Return the multiply-accumulates of a layer in one stripe."""
    y = part.op.outputs[0]
    return _macs(part.op) * (part.rows[1] - part.rows[0]) // y.shape[1]


def _shape(tensor: Tensor, rows: Rows) -> tuple[int, ...]:
    return (tensor.shape[0], rows[1] - rows[0], *tensor.shape[2:])


def _named(tensor: Tensor, rows: Rows) -> str:
    return f"{short_name(tensor.name)}[{rows[0]}:{rows[1]}]"


def _view(tensor: Tensor | None, rows: Rows | None, first: int) -> Tensor | None:
    """Return some rows of a tensor whose own rows begin at row `first`; all of them for None."""
    if tensor is None or rows is None:
        return tensor
    rows = rows[0] - first, rows[1] - first
    if rows == (0, tensor.shape[1]):
        return tensor
    between = prod(tensor.shape[2:-1]) * tensor.step * tensor.np_dtype.itemsize
    return replace(
        tensor,
        name=_named(tensor, rows),
        shape=_shape(tensor, rows),
        within=Within(tensor, rows[0] * between, tensor.step),
        source=None,
    )


def _layer_numbers(graph: Graph) -> list[int | None]:
    """Return the number of every operator among the layers of a plan; None for an alias."""
    count = itertools.count()
    return [None if operators()[op.kind].lower(op)[0].alias else next(count) for op in graph.ops]
