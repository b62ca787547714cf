"""Where every tensor lives in the arena, decided at compile time.

Algorithm: greedy placement at the lowest free offset, tensors in order of falling size (Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020); then the tensor that
ends highest moves to the front of the order and all are placed anew, as long as the lower bound is
not reached (but for alignment) and for at most `_ROUNDS` rounds. The smallest plan wins.

An output may lie over an input that its layer is the last to read, as far as the kernel's clearance
allows (`targets/overlap.py`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lotor.graph import Graph, Tensor
from lotor.ops import KernelCall

_ROUNDS = 200
_PAIRS = 1_000_000  # that all rounds look at, so that models of hundreds of tensors take no longer
_NEVER = 1 << 30  # after every layer


@dataclass(frozen=True)
class Clearance:
    """How far the output of a kernel may lie over an input that is not needed any more.

    Attributes:
        forward: bytes that the input must begin behind the output, at least, for a kernel that
            walks from the first element to the last; negative where the output may begin later,
            None where they must not overlap.
        backward: bytes that the output must end behind the input, at least, for one that walks
            backward; None where it cannot.
    """

    forward: int | None
    backward: int | None

    def __bool__(self) -> bool:
        return self.forward is not None or self.backward is not None

    def moved(self, distance: int) -> "Clearance":
        """Return that of memory in which the output begins that much later than the input."""
        if distance == 0:
            return self
        return Clearance(None if self.forward is None else self.forward + distance, None)


NO_CLEARANCE = Clearance(None, None)


@dataclass(frozen=True)
class Placement:
    """A tensor in the arena, with the tensors that are the same bytes under another shape.

    Attributes:
        tensors: the tensor and its aliases, in the order in which they are written.
        parts: tensors that are written to or read from a part of it, and where they start in it.
        offset: bytes from the start of the arena.
        nbytes: size.
        first: the layer that writes it; -1 for an input of the model, and for a variable.
        last: the last layer that reads it; the number of layers for an output of the model, and for
            a variable.
    """

    tensors: tuple[Tensor, ...]
    parts: tuple[tuple[Tensor, int], ...]
    offset: int
    nbytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.nbytes

    @property
    def variable(self) -> bool:
        """Whether it keeps its bytes from one run to the next."""
        return any(tensor.variable for tensor in self.tensors)


@dataclass(frozen=True)
class Plan:
    """All placements.

    Attributes:
        placements: in order of their first layer.
        arena_bytes: the exact size of the arena: inputs, outputs, activations and scratch.
        lower_bound: the most bytes that any layer needs at once, what may overlap counted once; no
            plan can be smaller.
        peak_layer: that layer, aliases not counted.
    """

    placements: tuple[Placement, ...]
    arena_bytes: int
    lower_bound: int
    peak_layer: int

    def offset(self, tensor: Tensor) -> int:
        """Return where a tensor starts."""
        return self._offsets[id(tensor)]

    @property
    def variables(self) -> list[Tensor]:
        """The tensors that keep their value from one run to the next."""
        return [t for placement in self.placements for t in placement.tensors if t.variable]

    @cached_property
    def _offsets(self) -> dict[int, int]:
        found = {}
        for placement in self.placements:
            for tensor in placement.tensors:
                found[id(tensor)] = placement.offset
            for tensor, offset in placement.parts:
                found[id(tensor)] = placement.offset + offset
        return found


@dataclass(eq=False)
class _Storage:
    """A piece of memory that waits for its offset."""

    tensors: list[Tensor]
    nbytes: int
    first: int
    last: int
    parts: list[tuple[Tensor, int]] = field(default_factory=list)

    @property
    def item(self) -> int:
        """Bytes of the largest element that lies in it."""
        tensors = [*self.tensors, *(tensor for tensor, _ in self.parts)]
        return max(tensor.np_dtype.itemsize for tensor in tensors)


# The memory of an output, that of an input, and how they may overlap.
_Overlaps = dict[tuple[_Storage, _Storage], Clearance]


def plan_memory(
    graph: Graph,
    steps: Sequence[Sequence[KernelCall]],
    alignment: int,
    clearances: Sequence[Sequence[Clearance]] = (),
) -> Plan:
    """Return the placement of every activation.

    Args:
        graph: the model, for its inputs and outputs.
        steps: the kernel calls of every layer, in the order in which they run.
        alignment: bytes that every offset is a multiple of; larger elements ask for their own size.
        clearances: for every layer, those of each input of its call to the output; empty where
            none may overlap.
    """
    storages, overlaps = _storages(graph, steps, clearances or [()] * len(steps))
    live = [
        _live_bytes(storages, overlaps, layer)
        for layer in range(sum(not calls[0].alias for calls in steps))
    ] or [sum(s.nbytes for s in storages)]
    lower_bound = max(live)

    # Walking backward costs a little time, so it must save memory.
    forward = {pair: replace(c, backward=None) for pair, c in overlaps.items()}
    rounds = max(1, min(_ROUNDS, _PAIRS // len(storages) ** 2))
    best: list[Placement] = []
    # The later first leaves room below an input for the output that lies over it.
    ways = [forward] if forward == overlaps else [forward, overlaps]
    for allowed, later in itertools.product(ways, (1, -1)):
        order = sorted(storages, key=lambda s: (-s.nbytes, later * s.first))
        for _ in range(rounds):
            if best and _end(best) < lower_bound + alignment:
                break
            placed = _place(order, allowed, alignment)
            best = min(best or placed, placed, key=_end)
            highest = max(range(len(order)), key=lambda i: placed[i].end)
            order.insert(0, order.pop(highest))
    placements = tuple(sorted(best, key=lambda p: (p.first, p.offset)))
    return Plan(placements, _end(placements), lower_bound, live.index(lower_bound))


def walks_backward(plan: Plan, call: KernelCall, clearances: Sequence[Clearance]) -> bool:
    """Return whether a layer's kernel must walk backward where its tensors lie."""
    output = call.outputs[0]
    for tensor, clearance in zip(call.inputs, clearances, strict=True):
        if tensor.data is not None or clearance.backward is None:
            continue
        read, written = plan.offset(tensor), plan.offset(output)
        apart = read + tensor.nbytes <= written or written + output.nbytes <= read
        if not apart and (clearance.forward is None or read - written < clearance.forward):
            return True
    return False


def _live_bytes(storages: Sequence[_Storage], overlaps: _Overlaps, layer: int) -> int:
    """Return the bytes that a layer needs at least."""
    live = [s for s in storages if s.first <= layer <= s.last]
    total = sum(s.nbytes for s in live)
    pairs = [(over, under) for over, under in overlaps if over.first == layer]
    if not pairs:
        return total
    output = pairs[0][0]
    sizes = {under: under.nbytes for _, under in pairs}
    together = max(output.nbytes, sum(sizes.values()))
    for pair in pairs:
        clearance = overlaps[pair]
        apart = [n for n in (clearance.forward, clearance.backward) if n is not None]
        together = max(together, max(min(apart), 0) + pair[1].nbytes)
    return total - output.nbytes - sum(sizes.values()) + together


def _end(placements: Sequence[Placement]) -> int:
    return max(p.end for p in placements)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


class _Storages:
    """The memory that is needed and its life; aliases and parts share their tensor's."""

    def __init__(self) -> None:
        self.all: list[_Storage] = []
        self._found: dict[int, tuple[_Storage, int]] = {}

    def use(self, tensor: Tensor, layer: int) -> None:
        """Note that a layer writes or reads a tensor."""
        storage, _ = self.place(tensor)
        storage.first = min(storage.first, layer)
        storage.last = max(storage.last, layer)

    def alias(self, tensor: Tensor, source: Tensor) -> None:
        """Note that a tensor is another one's bytes under another shape."""
        storage, offset = self.place(source)
        self._found[id(tensor)] = storage, offset
        self._keep(tensor, storage, offset)

    def place(self, tensor: Tensor) -> tuple[_Storage, int]:
        """Return the memory that a tensor lies in, and where in it."""
        if id(tensor) in self._found:
            return self._found[id(tensor)]
        if tensor.within is None:
            storage, offset = _Storage([], tensor.nbytes, _NEVER, -1), 0
            self.all.append(storage)
        else:
            storage, start = self.place(tensor.within.base)
            offset = start + tensor.within.offset
        self._found[id(tensor)] = storage, offset
        self._keep(tensor, storage, offset)
        return storage, offset

    @staticmethod
    def _keep(tensor: Tensor, storage: _Storage, offset: int) -> None:
        if tensor.nbytes == storage.nbytes:
            storage.tensors.append(tensor)
        else:
            storage.parts.append((tensor, offset))


def _storages(
    graph: Graph,
    steps: Sequence[Sequence[KernelCall]],
    clearances: Sequence[Sequence[Clearance]],
) -> tuple[list[_Storage], _Overlaps]:
    """Return the memory that is needed, aliases and parts merged, and what of it overlaps."""
    storages = _Storages()
    for tensor in graph.inputs:
        storages.use(tensor, -1)
    layer = 0  # aliases take no step, as in the generated program
    run = []
    for calls, allowed in zip(steps, clearances, strict=True):
        if calls[0].alias:
            for tensor in calls[0].outputs:
                storages.alias(tensor, calls[0].inputs[0])
            continue
        for call in calls:
            for tensor in (*call.inputs, *call.outputs):
                if tensor.data is None:
                    storages.use(tensor, layer)
        if any(allowed):
            run.append((layer, calls[0], allowed))
        layer += 1
    for tensor in graph.outputs:
        storages.use(tensor, layer)
    for storage in storages.all:
        if any(tensor.variable for tensor in storage.tensors):
            storage.first, storage.last = -1, layer
    overlaps: _Overlaps = {}
    for layer, call, allowed in run:
        overlaps |= _overlaps(storages, layer, call, allowed)
    return storages.all, overlaps


def _overlaps(
    storages: _Storages, layer: int, call: KernelCall, clearances: Sequence[Clearance]
) -> _Overlaps:
    """Return the memory of inputs that the output of a call may lie over."""
    output, start = storages.place(call.outputs[0])
    found: dict[_Storage, list[Clearance]] = {}
    for tensor, clearance in zip(call.inputs, clearances, strict=True):
        if tensor.data is None:
            storage, offset = storages.place(tensor)
            moved = clearance.moved(start - offset)
            if (tensor.nbytes, call.outputs[0].nbytes) != (storage.nbytes, output.nbytes):
                moved = Clearance(moved.forward, None)
            found.setdefault(storage, []).append(moved)
    return {
        (output, storage): _strictest(allowed)
        for storage, allowed in found.items()
        if _strictest(allowed)
        and storage is not output
        and storage.last == layer == output.first
        and storage.first < layer
    }


def _strictest(clearances: Sequence[Clearance]) -> Clearance:
    """Return what suffices for all."""
    forward = [c.forward for c in clearances if c.forward is not None]
    backward = [c.backward for c in clearances if c.backward is not None]
    return Clearance(
        max(forward) if len(forward) == len(clearances) else None,
        max(backward) if len(backward) == len(clearances) else None,
    )


def _place(order: Sequence[_Storage], overlaps: _Overlaps, alignment: int) -> list[Placement]:
    placed: list[tuple[_Storage, int]] = []
    for storage in order:
        multiple = max(alignment, storage.item)
        forbidden = []
        for other, start in placed:
            if other.last < storage.first or storage.last < other.first:
                continue
            low, high = start - storage.nbytes, start + other.nbytes
            over, under = overlaps.get((storage, other)), overlaps.get((other, storage))
            ends = start + other.nbytes - storage.nbytes  # where both would end together
            if over is not None and over.forward is not None:
                low = max(low, start - over.forward)
            if over is not None and over.backward is not None:
                high = min(high, ends + over.backward)
            if under is not None and under.forward is not None:
                high = min(high, start + under.forward)
            if under is not None and under.backward is not None:
                low = max(low, ends - under.backward)
            if low < high:
                forbidden.append((low, high))
        offset = 0
        for low, high in sorted(forbidden):
            if offset <= low:
                break
            if offset < high:
                offset = _aligned(high, multiple)
        placed.append((storage, offset))
    return [
        Placement(tuple(s.tensors), tuple(s.parts), offset, s.nbytes, s.first, s.last)
        for s, offset in placed
    ]
