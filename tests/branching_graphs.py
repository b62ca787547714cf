"""Small graphs with branches and joins as the planner gets them, and what lies where in them.

Nothing here is taken from the planner: its tests compare it with this.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lotor.graph import DType, Graph, Tensor, Within
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall

START, END = -1, 1 << 20  # stand for layers: those that write inputs and read outputs


@dataclass
class Problem:
    """A graph as the planner gets it: the layers in the model's order, and their clearances."""

    graph: Graph
    steps: list[list[KernelCall]] = field(default_factory=list)
    clearances: list[list[Clearance]] = field(default_factory=list)

    @property
    def layers(self) -> list[tuple[KernelCall, list[Clearance]]]:
        """The layers; aliases are none."""
        return [
            (calls[0], clearances)
            for calls, clearances in zip(self.steps, self.clearances, strict=True)
            if not calls[0].alias
        ]


@dataclass(eq=False)
class Block:
    """A tensor with memory of its own: its size, and which layers use which of its bytes."""

    nbytes: int
    uses: list[tuple[range, int]] = field(default_factory=list)

    def pieces(self) -> Iterator["Piece"]:
        """Yield the bytes that the same layers use."""
        edges = sorted({edge for span, _ in self.uses for edge in (span.start, span.stop)})
        for low, high in itertools.pairwise(edges):
            users = frozenset(layer for span, layer in self.uses if low in span)
            if users:
                yield Piece(self, low, high, users)


@dataclass(frozen=True)
class Piece:
    """Bytes of a block that the same layers use."""

    block: Block
    low: int
    high: int
    users: frozenset[int]


class Blocks:
    """What lies in which memory, whatever the order."""

    def __init__(self, problem: Problem) -> None:
        self.all: list[Block] = []
        self._homes: dict[Tensor, tuple[Block, int]] = {}
        for x in problem.graph.inputs:
            self._use(x, START)
        layers = itertools.count()
        for calls in problem.steps:
            if calls[0].alias:
                for y in calls[0].outputs:
                    self._homes[y] = self.home(calls[0].inputs[0])
                continue
            layer = next(layers)
            for tensor in (*calls[0].inputs, *calls[0].outputs):
                self._use(tensor, layer)
        for y in problem.graph.outputs:
            self._use(y, END)
        for variable in [tensor for tensor in self._homes if tensor.variable]:
            self._use(variable, START)
            self._use(variable, END)

    def home(self, tensor: Tensor) -> tuple[Block, int]:
        """Return the block that a tensor lies in, and where in it."""
        if tensor not in self._homes:
            if tensor.within is None:
                self._homes[tensor] = Block(tensor.nbytes), 0
                self.all.append(self._homes[tensor][0])
            else:
                block, at = self.home(tensor.within.base)
                self._homes[tensor] = block, at + tensor.within.offset
        return self._homes[tensor]

    def bytes_of(self, tensor: Tensor) -> set[tuple[Block, int]]:
        """Return every byte of a tensor of int8: the block that it lies in, and where in it."""
        block, at = self.home(tensor)
        rows = range(tensor.elements // tensor.row)
        return {(block, at + r * tensor.step + e) for r in rows for e in range(tensor.row)}

    def span(self, tensor: Tensor) -> range:
        """Return the bytes of its block from its first to its last."""
        places = [at for _, at in self.bytes_of(tensor)]
        return range(min(places), max(places) + 1)

    def _use(self, tensor: Tensor, layer: int) -> None:
        self.home(tensor)[0].uses.append((self.span(tensor), layer))


def precedence(problem: Problem) -> set[tuple[int, int]]:
    """Return pairs of layers whose order cannot change: they share bytes, and one writes them."""
    blocks = Blocks(problem)
    touched = [
        [set().union(*map(blocks.bytes_of, tensors)) for tensors in (call.inputs, call.outputs)]
        for call, _ in problem.layers
    ]
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(touched)), 2)
        if touched[i][1] & (touched[j][0] | touched[j][1]) or touched[i][0] & touched[j][1]
    }


class _Grower:
    """A graph that grows; `free` are the tensors that may be read."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        small = self._random.choices((8, 60, 64, 256, 300), k=2)
        self._sizes = small + self._random.choices((256, 300, 1024, 2048, 3000), k=2)
        self.problem = Problem(Graph(f"seed {seed}", [], []))
        self._operators = 0
        self._free = [self._tensor(self._size()) for _ in range(self._random.choice((1, 1, 2)))]
        self.problem.graph.inputs.extend(self._free)
        self._read: set[Tensor] = set()
        self._state: Tensor | None = None

    def grow(self) -> Problem:
        """Return the graph of 6 to 12 operators."""
        count = self._random.randint(6, 12)
        kinds = [self._layer] * 18 + [self._sum] * 8 + [self._join] * 4
        kinds += [self._reshape, self._split] * 2 + [self._stateful]
        while self._operators < count:
            self._random.choice(kinds)()
        graph = self.problem.graph
        graph.outputs += [t for t in self._free if t not in self._read]
        others = [t for t in self._free if t in self._read and t not in graph.inputs]
        graph.outputs += self._random.sample(
            others, min(len(others), self._random.choice((0, 0, 1)))
        )
        return self.problem

    def _size(self) -> int:
        size = self._random.choice(self._sizes)
        return size if self._random.random() < 0.8 else self._random.randint(1, 2 * size)

    def _tensor(self, size: int) -> Tensor:
        rows = 4 if size % 16 == 0 else 1
        return Tensor(f"of {size}", (rows, size // rows), DType.INT8)

    def _take(self, recent: int) -> Tensor:
        chosen = self._random.choice(self._free[-recent:])
        self._read.add(chosen)
        return chosen

    def _add(
        self, inputs: list[Tensor], outputs: list[Tensor], clearances: list[Clearance]
    ) -> None:
        self.problem.steps.append([KernelCall("k", "k", inputs, outputs)])
        self.problem.clearances.append(clearances)
        self._free.append(outputs[0])
        self._operators += 1

    def _add_alias(self, inputs: list[Tensor], outputs: list[Tensor], made: list[Tensor]) -> None:
        self.problem.steps.append([KernelCall("", "", inputs, outputs, alias=True)])
        self.problem.clearances.append([])
        self._read.update(inputs)
        self._free += made
        self._operators += 1

    def _clearance(self, x: Tensor, y: Tensor) -> Clearance:
        """As of layers that cannot, that work element by element, that shrink, that slide."""
        kind, smaller = self._random.random(), min(x.nbytes, y.nbytes)
        larger = max(0, y.nbytes - x.nbytes)
        if kind < 0.3:
            return NO_CLEARANCE
        if kind < 0.5:
            return Clearance(larger, None)
        if kind < 0.6:
            return Clearance(-self._random.randint(0, smaller // 4), None)
        forward, backward = (larger + self._random.randint(0, smaller // 3) for _ in range(2))
        return Clearance(forward, None if kind < 0.75 else backward)

    def _layer(self) -> None:
        x = self._take(5)
        y = self._tensor(x.nbytes if self._random.random() < 0.4 else self._size())
        if self._random.random() < 0.1:
            scratch = self._tensor(self._random.randint(1, 300))
            self._add([x], [y, scratch], [])
        else:
            self._add([x], [y], [self._clearance(x, y)])

    def _sum(self) -> None:
        """As ADD at the end of a residual block."""
        a = self._random.choice(self._free[-8:])
        others = [t for t in self._free if t.nbytes == a.nbytes and t is not a]
        if not others:
            return self._layer()
        b = self._random.choice(others)
        self._read |= {a, b}
        return self._add([a, b], [self._tensor(a.nbytes)], [Clearance(0, None)] * 2)

    def _join(self) -> None:
        """As CONCATENATION, behind each other or row by row, of tensors written in place."""
        count = self._random.choice((2, 2, 3))
        written = {t for s in self.problem.steps if not s[0].alias for t in s[0].outputs}
        found = [t for t in self._free if t in written and t.within is None]
        rowed = [t for t in found if t.shape[0] == 4 and t.shape[1] % 4 == 0]
        by_rows = len(rowed) >= count and self._random.random() < 0.5
        if len(found) < count:
            return self._layer()
        parts = self._random.sample(rowed if by_rows else found, count)
        sizes = [t.row if by_rows else -(-t.nbytes // 4) * 4 for t in parts]
        whole = Tensor("joined", (4 if by_rows else 1, sum(sizes)), DType.INT8)
        starts = itertools.accumulate(sizes, initial=0)
        for part, start in zip(parts, starts, strict=False):
            part.within = Within(whole, start, sum(sizes) if by_rows else part.row)
        return self._add_alias(parts, [], [whole])

    def _split(self) -> None:
        x = self._take(5)
        half = x.elements // 8 * 4
        if not half or x.within is not None:
            return self._layer()
        parts = [
            Tensor("half", (1, half), DType.INT8, within=Within(x, start, half))
            for start in (0, half)
        ]
        return self._add_alias([x], [], parts)

    def _reshape(self) -> None:
        x = self._take(5)
        y = Tensor("reshaped", (x.elements,), DType.INT8)
        self._add_alias([x], [y], [y])

    def _stateful(self) -> None:
        """As SVDF: a variable is read and written; all such layers here share one."""
        if self._state is None:
            self._state = replace(self._tensor(self._random.choice(self._sizes)), variable=True)
        x = self._take(5)
        self._add([x, self._state], [self._tensor(self._size()), self._state], [])


def branching_graph(seed: int) -> Problem:
    """Return a graph of 6 to 12 operators with branches and joins."""
    return _Grower(seed).grow()
