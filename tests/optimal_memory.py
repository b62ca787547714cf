"""The smallest arena that the planner's rules allow, proved without the planner's code.

The order of the layers and the offset of every tensor are one problem of constraint programming
(OR-tools CP-SAT). The rules: a layer reads what layers before it have written; bytes that are
needed at the same time have places of their own; but what a layer writes may lie over what it is
the last to read, as far as the clearance allows.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from branching_graphs import END, START, Block, Blocks, Piece, Problem, precedence
from lotor.memory import NO_CLEARANCE

_SECONDS = 120.0  # for one graph


@dataclass(frozen=True)
class Solution:
    """The smallest arena in bytes, whether it is proved, and a plan that reaches it."""

    arena_bytes: int
    proved: bool
    order: tuple[int, ...]
    offsets: tuple[int, ...]  # of the blocks, in their order


def optimum(problem: Problem, alignment: int, at_most: int | None = None) -> Solution:
    """Return the smallest arena.

    Args:
        problem: the graph; its tensors are of int8.
        alignment: bytes that every offset is a multiple of.
        at_most: bytes of a plan that is known.

    Raises:
        AssertionError: there is no plan of so few bytes.
    """
    return _Model(problem, alignment, at_most).solve()


class _Model:
    """The constraints. Steps count from 0; at each, one layer runs."""

    def __init__(self, problem: Problem, alignment: int, at_most: int | None) -> None:
        self.m = cp_model.CpModel()
        self._layers = problem.layers
        self._count = len(self._layers)
        self._before = precedence(problem)
        self._blocks = Blocks(problem)
        self._pieces = [piece for block in self._blocks.all for piece in block.pieces()]
        most = at_most or sum(block.nbytes + alignment for block in self._blocks.all)
        self._arena = self.m.NewIntVar(0, most, "arena")
        self.m.Minimize(self._arena)
        self._offsets: dict[Block, Any] = {}
        for block in self._blocks.all:
            units = self.m.NewIntVar(0, most // alignment, "offset")
            self._offsets[block] = units * alignment
            self.m.Add(units * alignment + block.nbytes <= self._arena)
        self._add_order()
        self._live = {
            (p, step): self._new_live(p, step)
            for p in self._pieces
            for step in range(-1, self._count + 1)
        }
        self._used_up: dict[tuple[int, Piece, Piece], Any] = {}
        for p, q in itertools.combinations(self._pieces, 2):
            if p.block is not q.block:
                self._add_places(p, q)
        self._add_sums()

    def _add_order(self) -> None:
        """`done[v, step]`: layer v has run at the end of a step; `first[u, v]`: u before v."""
        m, steps, layers = self.m, range(self._count), range(self._count)
        self._done = {(v, step): m.NewBoolVar("done") for v in layers for step in steps}
        for step in steps:
            m.Add(sum(self._done[v, step] for v in layers) == step + 1)
        for v, step in itertools.product(layers, steps[1:]):
            m.AddImplication(self._done[v, step - 1], self._done[v, step])
        self._first: dict[tuple[int, int], Any] = {}
        for u, v in itertools.combinations(layers, 2):
            first = m.NewBoolVar("first")
            self._first[u, v], self._first[v, u] = first, first.Not()
            for step in steps:
                m.AddBoolOr(self._done[u, step], self._done[v, step].Not(), first.Not())
                m.AddBoolOr(self._done[v, step], self._done[u, step].Not(), first)
        for u, v in self._before:
            m.AddBoolAnd(self._first[u, v])

    def _has_run(self, layer: int, step: int) -> Any:
        """Whether a layer has run at the end of a step; inputs are there from step -1 on."""
        if layer in (START, END) or not 0 <= step < self._count:
            return step >= {START: -1, END: self._count}.get(layer, 0)
        return self._done[layer, step]

    def _new_live(self, piece: Piece, step: int) -> Any:
        """True where a user of the piece has run by the end of a step and one not before it."""
        live = self.m.NewBoolVar("live")
        for one, other in itertools.product(piece.users, repeat=2):
            begun, ended = self._has_run(one, step), self._has_run(other, step - 1)
            if begun is not False and ended is not True:
                conditions = [literal.Not() for literal in (begun,) if literal is not True]
                conditions += [literal for literal in (ended,) if literal is not False]
                self.m.AddBoolOr(live, *conditions)
        return live

    def _add_places(self, p: Piece, q: Piece) -> None:
        """Where both are live at once, one lies behind the other, or over it as rules allow."""
        at_p, at_q = self._offsets[p.block], self._offsets[q.block]
        ways = [self._way(at_p + p.high <= at_q + q.low), self._way(at_q + q.high <= at_p + p.low)]
        for v, (y, x) in itertools.product(range(self._count), ((p, q), (q, p))):
            for constraints in self._overlaps(v, y, x):
                way = self._way(*constraints)
                self.m.AddImplication(way, self._used_up[v, y, x])
                ways.append(way)
        for step in range(-1, self._count + 1):
            self.m.AddBoolOr(*ways, self._live[p, step].Not(), self._live[q, step].Not())

    def _way(self, *constraints: Any) -> Any:
        chosen = self.m.NewBoolVar("way")
        for constraint in constraints:
            self.m.Add(constraint).OnlyEnforceIf(chosen)
        return chosen

    def _overlaps(self, v: int, y: Piece, x: Piece) -> Iterator[list[Any]]:
        """Yield what must hold so that `y`, which layer v writes, may lie over `x`."""
        call, clearances = self._layers[v]
        output, start = self._blocks.home(call.outputs[0])
        read = [
            (
                self._offsets[x.block] + self._blocks.home(tensor)[1],
                len(self._blocks.span(tensor)),
                c,
            )
            for tensor, c in zip(call.inputs, clearances or [NO_CLEARANCE] * 9, strict=False)
            if self._blocks.home(tensor)[0] is x.block
        ]
        if y.block is not output or not read or not self._is_used_up(v, y, x):
            return
        written = self._offsets[output] + start
        end = written + len(self._blocks.span(call.outputs[0]))
        if all(c.forward is not None for _, _, c in read):
            yield [at >= written + c.forward for at, _, c in read]
        only = {self._blocks.home(tensor)[0] for tensor in call.inputs} == {x.block}
        if only and all(c.backward is not None for _, _, c in read):
            yield [end >= at + size + c.backward for at, size, c in read]

    def _is_used_up(self, v: int, y: Piece, x: Piece) -> bool:
        """Whether layer v can be the first to use `y` and the last to use `x`, and not the only."""
        if v not in y.users or v not in x.users or x.users == {v}:
            return False
        if START in y.users or END in x.users:
            return False
        if (v, y, x) not in self._used_up:
            used_up = self._used_up[v, y, x] = self.m.NewBoolVar("used up")
            for u in y.users - {v, END}:
                self.m.AddImplication(used_up, self._first[v, u])
            for u in x.users - {v, START}:
                self.m.AddImplication(used_up, self._first[u, v])
        return True

    def _add_sums(self) -> None:
        """What is live takes room. This follows from the places, but helps to prove."""
        for step in range(self._count):
            live = sum((p.high - p.low) * self._live[p, step] for p in self._pieces)
            saved: Any = 0
            for (v, y, x), used_up in self._used_up.items():
                here = self.m.NewBoolVar("here")
                self.m.AddImplication(here, used_up)
                self.m.AddImplication(here, self._done[v, step])
                if step:
                    self.m.AddImplication(here, self._done[v, step - 1].Not())
                saved += min(y.high - y.low, x.high - x.low) * here
            self.m.Add(live - saved <= self._arena)

    def solve(self) -> Solution:
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = _SECONDS
        status = str(solver.StatusName(solver.Solve(self.m)))
        assert status in ("OPTIMAL", "FEASIBLE"), status
        steps = {
            v: sum(not solver.Value(self._done[v, step]) for step in range(self._count))
            for v in range(self._count)
        }
        return Solution(
            round(solver.ObjectiveValue()),
            status == "OPTIMAL",
            tuple(sorted(steps, key=lambda v: steps[v])),
            tuple(solver.Value(self._offsets[block]) for block in self._blocks.all),
        )
