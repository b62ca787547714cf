"""The order in which layers run, chosen so that they need little memory.

Which bytes are needed while a layer runs follows from the set of layers that have run before it,
whatever their order. So the order whose largest need is smallest is a path through such sets
(Ahn et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge
Devices", 2020; Liberis and Lane, "Neural networks on microcontrollers: saving memory at inference
via operator reordering", 2019). The sets with the smallest need so far are followed first; a layer
that takes no more memory than is needed anyway, and leaves no more, runs at once. Where there are
too many sets the search is cut, and the most promising of as many layers are followed (beam
search).
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lotor.graph import Op, Tensor
from lotor.liveness import BEFORE, Layers, Needs, bit, members
from lotor.memory import Memory, Plan

_STEPS = 50_000  # from one set to the next, that the exact search looks at
_BEAM = 2_000  # sets that the beam search looks at in all, but `_NARROW` of as many layers at least
_NARROW = 4
_BEAM_STEPS = 200_000  # from one set to the next, that it looks at then, about
# Further orders: how many are tried with which part of the effort; only the best go on.
_ROUNDS = ((100, 0.1), (25, 0.3), (8, 1.0))
_NEAR = 1.005  # times the bound: an arena for whose sake no further orders are tried
# Layers that the further orders have together, and pairs of tensors that a plan may look at before
# they become fewer, so that large models take no longer.
_LAYERS = 1_200
_WORK = 140_000


@dataclass(frozen=True)
class Order:
    """The order of layers with the smallest need that was found.

    Attributes:
        layers: numbers of layers in the order in which they run.
        need: the most bytes that any of them needs at least, in this order.
        bound: the same of the best order, or less where the search was cut.
    """

    layers: tuple[int, ...]
    need: int
    bound: int

    @property
    def exact(self) -> bool:
        """Whether no order needs less."""
        return self.need == self.bound


@dataclass(frozen=True)
class _State:
    """Layers that have run.

    Attributes:
        need: the most bytes that any of them needed.
        kept: bytes that are needed after them.
        done: which.
        ready: which can run next.
        path: which ran last, and the state before it.
    """

    need: int
    kept: int
    done: Layers
    ready: Layers
    path: tuple[int, "_State"] | None

    @property
    def order(self) -> list[int]:
        """The layers that have run."""
        found, state = [], self
        while state.path is not None:
            layer, state = state.path
            found.append(layer)
        return found[::-1]


def smallest_need(needs: Needs, before: Sequence[Layers] = ()) -> Order:
    """Return the order of layers in which the largest need is smallest, as far as it is found.

    The model's order is kept unless another needs less.

    Args:
        needs: of the layers.
        before: for every layer, those that must run before it; besides, the memory that layers
            share says so.
    """
    return _Search(needs, _constraints(needs, before)).best()


@dataclass(frozen=True)
class Schedule:
    """The order of layers, and where their tensors live.

    Attributes:
        order: the order that needs least, by the bytes that are live at each layer, sizes rounded
            up to the alignment; no arena, rounded up, is smaller than its bound.
        layers: numbers of layers in the order in which they run.
        plan: of that order.
    """

    order: Order
    layers: tuple[int, ...]
    plan: Plan

    @property
    def as_in_model(self) -> bool:
        """Whether the layers run in the model's order."""
        return self.layers == tuple(range(len(self.layers)))


def schedule(memory: Memory, alignment: int, before: Sequence[Layers] = ()) -> Schedule:
    """Return the order and the plan that need least memory, as far as they are found.

    The order with the smallest need may leave gaps that another does not, so more are tried. The
    model's order is kept unless another's plan is smaller.

    Args:
        memory: of the model.
        alignment: bytes that every offset is a multiple of.
        before: for every layer, those that must run before it; besides, the memory that layers
            share says so.
    """
    needs = memory.needs.rounded(alignment)
    search = _Search(needs, _constraints(memory.needs, before))
    order = search.best()
    slack = alignment if needs is memory.needs else 1
    own = tuple(range(memory.needs.layers))
    plans = {own: memory.plan(alignment)}

    def best() -> tuple[int, ...]:
        return min(plans, key=lambda layers: plans[layers].arena_bytes)

    def enough(near: float = 1.0) -> bool:
        arena = plans[best()].arena_bytes
        return not own or arena < order.bound + slack or arena < near * order.bound

    def consider(layers: tuple[int, ...], effort: float) -> None:
        plan = memory.plan(alignment, layers, effort)
        if layers not in plans or plan.arena_bytes < plans[layers].arena_bytes:
            plans[layers] = plan

    if not enough() and order.layers != own:
        consider(order.layers, 1)
    thorough = set(plans)
    walks = _Walks(search)
    share = min(1, _LAYERS / (_ROUNDS[0][0] * max(1, len(own))), (_WORK / max(1, memory.work)) ** 2)
    for count, effort in _ROUNDS:
        promising = sorted(plans.keys() - thorough, key=lambda o: (plans[o].arena_bytes, o))
        for number in range(int(share * count)):
            if enough(_NEAR):
                break
            if effort == _ROUNDS[0][1]:
                drawn = walks.order(plans[best()].arena_bytes)
                if drawn is None:
                    break
                if drawn not in plans:
                    consider(drawn, effort)
            elif number < len(promising):
                consider(promising[number], effort)
    return Schedule(order, best(), plans[best()])


def must_precede(ops: Sequence[Op], aliases: Sequence[bool]) -> list[Layers]:
    """Return for every layer those that write what it reads.

    Args:
        ops: the operators in the model's order.
        aliases: for each whether it is no layer, since its outputs are its inputs' bytes.
    """
    writers: dict[Tensor, Layers] = {}
    found: list[Layers] = []
    for op, alias in zip(ops, aliases, strict=True):
        needed = 0
        for tensor in op.inputs:
            needed |= writers.get(tensor, 0) if tensor is not None else 0
        if not alias:
            found.append(needed)
            needed = bit(len(found) - 1)
        writers.update(dict.fromkeys(op.outputs, needed))
    return found


def in_order(ops: Sequence[Op], aliases: Sequence[bool], layers: Sequence[int]) -> list[int]:
    """Return the numbers of operators in the order in which they run.

    An alias follows as soon as there is what it is an alias of.

    Args:
        ops: the operators in the model's order.
        aliases: for each whether it is no layer, since its outputs are its inputs' bytes.
        layers: the numbers of layers in the order in which they run.
    """
    numbers = [number for number, alias in enumerate(aliases) if not alias]
    waiting = [number for number, alias in enumerate(aliases) if alias]
    missing = {tensor for op in ops for tensor in op.outputs}
    found: list[int] = []

    def run(number: int) -> None:
        found.append(number)
        missing.difference_update(ops[number].outputs)

    def run_aliases() -> None:
        for number in list(waiting):
            if missing.isdisjoint(ops[number].inputs):
                waiting.remove(number)
                run(number)

    run_aliases()
    for layer in layers:
        run(numbers[layer])
        run_aliases()
    return found


class _Walks:
    """Orders drawn by chance from those that need little."""

    def __init__(self, search: "_Search") -> None:
        self._search = search
        self._random = random.Random(0)

    def order(self, limit: int) -> tuple[int, ...] | None:
        """Return an order of layers that needs less than so many bytes; None if none is found."""
        start = self._search.start(settle=False)
        dead: set[Layers] = set()
        path = [start]
        for _ in range(10 * self._search.layers + 100):
            state = path[-1]
            if state.done == self._search.all:
                return tuple(state.order)
            found = [
                s
                for s in self._search.following(state, settle=False)
                if s.need < limit and s.done not in dead
            ]
            if not found:
                dead.add(state.done)
                path.pop()
                if not path:
                    return None
            elif self._random.random() < 0.5:
                path.append(self._random.choice(found))
            else:
                path.append(min(found, key=lambda s: s.kept))
        return None


class _Search:
    def __init__(self, needs: Needs, before: Sequence[Layers]) -> None:
        self._needs = needs
        self.layers = needs.layers
        self._steps = 0
        self._before = before
        self._after = _successors(self._before)
        self.all = bit(needs.layers) - 1
        self._floor = _least_need(needs, self._before, self._after)

    def best(self) -> Order:
        layers = range(self._needs.layers)
        own = max([self._floor, *self._needs.profile(layers)])
        if own == self._floor:
            return Order(tuple(layers), own, own)
        found, bound = self._exact(own)
        if found is None and bound < own:
            found = self._beam(own)
        if found is None or found.need >= own:
            return Order(tuple(layers), own, min(bound, own))
        return Order(tuple(found.order), found.need, min(bound, found.need))

    def start(self, settle: bool = True) -> _State:
        ready = 0
        for layer, before in enumerate(self._before):
            if before == BEFORE:
                ready |= bit(layer)
        state = _State(self._floor, self._needs.at_start(), BEFORE, ready, None)
        return self._settled(state) if settle else state

    def _exact(self, own: int) -> tuple[_State | None, int]:
        """Return the end of the best way, and the least need of any; no way if there are many."""
        start = self.start()
        queue = [(start.need, -start.done.bit_count(), 0, start)]
        seen: dict[Layers, int] = {start.done: start.need}
        pushed = 0
        while queue:
            need, _, _, state = heapq.heappop(queue)
            if need >= own:
                return None, own
            if state.done == self.all:
                return state, need
            if seen[state.done] < need:
                continue
            if self._steps > _STEPS:
                return None, need
            for following in self.following(state):
                if following.need < seen.get(following.done, own):
                    seen[following.done] = following.need
                    pushed += 1
                    heapq.heappush(
                        queue,
                        (following.need, -following.done.bit_count(), pushed, following),
                    )
        return None, own

    def _beam(self, own: int) -> _State | None:
        """Return the end of a good way."""
        width = max(_NARROW, _BEAM // self._needs.layers)
        start, begun = self.start(), self._steps
        looked = 0  # at sets
        levels: dict[int, dict[Layers, _State]] = {start.done.bit_count(): {start.done: start}}
        while levels:
            level = levels.pop(min(levels))
            if self.all in level:
                return level[self.all]
            left = _BEAM_STEPS - (self._steps - begun)
            if looked:  # as many as the steps that are left suffice for
                each = (self._steps - begun) / looked
                levels_left = self._needs.layers - min(level).bit_count() + 2
                width = max(_NARROW, min(width, int(left / (each * levels_left))))
            for state in heapq.nsmallest(width, level.values(), key=lambda s: (s.need, s.kept)):
                looked += 1
                for following in self.following(state):
                    if following.need >= own:
                        continue
                    same = levels.setdefault(following.done.bit_count(), {})
                    known = same.get(following.done)
                    if known is None or following.need < known.need:
                        same[following.done] = following
        return None

    def following(self, state: _State, settle: bool = True) -> Iterator[_State]:
        for layer in members(state.ready):
            new = self._run(state, layer, *self._step(state, layer))
            yield self._settled(new) if settle else new

    def _settled(self, state: _State) -> _State:
        """Return the state after all layers that can run at no cost.

        Whatever runs later needs no more for it: layers that have run end lives, and what is begun
        need not be begun again.
        """
        waiting = state.ready
        while waiting:
            here = waiting & -waiting
            waiting ^= here
            layer = here.bit_length() - 2
            more, change = self._step(state, layer)
            if change <= 0 and state.kept + more <= state.need:
                state = self._run(state, layer, more, change)
                waiting = state.ready
        return state

    def _step(self, state: _State, layer: int) -> tuple[int, int]:
        self._steps += 1
        return self._needs.step(state.done, layer)

    def _run(self, state: _State, layer: int, more: int, change: int) -> _State:
        done = state.done | bit(layer)
        ready = state.ready & ~bit(layer)
        for following in members(self._after[layer]):
            if not self._before[following] & ~done:
                ready |= bit(following)
        return _State(
            max(state.need, state.kept + more), state.kept + change, done, ready, (layer, state)
        )


def _constraints(needs: Needs, before: Sequence[Layers]) -> list[Layers]:
    """Return for each layer all that must run before it."""
    return [a | b for a, b in zip(needs.predecessors, before or [0] * needs.layers, strict=True)]


def _successors(before: Sequence[Layers]) -> list[Layers]:
    """Return for each layer those that must run after it."""
    found = [0] * len(before)
    for layer, earlier in enumerate(before):
        for other in members(earlier & ~BEFORE):
            found[other] |= bit(layer)
    return found


def _least_need(needs: Needs, before: Sequence[Layers], after: Sequence[Layers]) -> int:
    """Return the most bytes that any layer needs in every order."""
    earlier, later = list(before), list(after)
    for layer in range(len(before)):
        for other in members(before[layer] & ~BEFORE):
            earlier[layer] |= earlier[other]
    for layer in reversed(range(len(after))):
        later[layer] |= needs.after
        for other in members(after[layer]):
            later[layer] |= later[other]
    needed = [needs.least(layer, earlier[layer], later[layer]) for layer in range(len(before))]
    return max([needs.at_borders(), *needed])
