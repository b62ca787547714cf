"""Where every tensor lives in the arena, decided at compile time.

Algorithm: greedy placement at the lowest free offset, tensors in order of falling size (Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020); then the tensor that
ends highest moves to the front of the order and all are placed anew, as long as the lower bound is
not reached and for at most `_ROUNDS` rounds. The smallest plan wins.

An output may lie over an input that its layer is the last to read, as far as the kernel's clearance
allows (`targets/overlap.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lotor.graph import Graph, Tensor
from lotor.ops import KernelCall

_ROUNDS = 200
_NEVER = 1 << 30  # after every layer


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


# The memory of an output, that of an input, and by how many bytes the latter begins later at least.
_Overlaps = dict[tuple[_Storage, _Storage], int]


def plan_memory(
    graph: Graph,
    steps: Sequence[Sequence[KernelCall]],
    alignment: int,
    clearances: Sequence[Sequence[int | None]] = (),
) -> Plan:
    """Return the placement of every activation.

    Args:
        graph: the model, for its inputs and outputs.
        steps: the kernel calls of every layer, in the order in which they run.
        alignment: bytes that every offset is a multiple of; larger elements ask for their own size.
        clearances: for every layer, how many bytes each input of its call must begin behind the
            output, None where they must not overlap; empty where no input may.
    """
    storages, overlaps = _storages(graph, steps, clearances or [()] * len(steps))
    live = [
        _live_bytes(storages, overlaps, layer)
        for layer in range(sum(not calls[0].alias for calls in steps))
    ] or [sum(s.nbytes for s in storages)]
    lower_bound = max(live)

    best: list[Placement] = []
    # The second leaves room below an input for the output that lies over it.
    for later in (1, -1):
        order = sorted(storages, key=lambda s: (-s.nbytes, later * s.first))
        for _ in range(_ROUNDS):
            placed = _place(order, overlaps, alignment)
            best = min(best or placed, placed, key=_end)
            if _end(best) <= lower_bound:
                break
            highest = max(range(len(order)), key=lambda i: placed[i].end)
            order.insert(0, order.pop(highest))
    placements = tuple(sorted(best, key=lambda p: (p.first, p.offset)))
    return Plan(placements, _end(placements), lower_bound, live.index(lower_bound))


def _live_bytes(storages: Sequence[_Storage], overlaps: _Overlaps, layer: int) -> int:
    """Return the bytes that a layer needs at least."""
    live = [s for s in storages if s.first <= layer <= s.last]
    total = sum(s.nbytes for s in live)
    pairs = [(over, under) for over, under in overlaps if over.first == layer]
    if not pairs:
        return total
    output = pairs[0][0]
    sizes = {under: under.nbytes for _, under in pairs}
    together = max(
        output.nbytes,
        sum(sizes.values()),
        *(max(overlaps[pair], 0) + pair[1].nbytes for pair in pairs),
    )
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
    clearances: Sequence[Sequence[int | None]],
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
        if any(clearance is not None for clearance in allowed):
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
    storages: _Storages, layer: int, call: KernelCall, clearances: Sequence[int | None]
) -> _Overlaps:
    """Return the memory of inputs that the output of a call may lie over."""
    output, start = storages.place(call.outputs[0])
    found: dict[_Storage, list[int | None]] = {}
    for tensor, clearance in zip(call.inputs, clearances, strict=True):
        if tensor.data is None:
            storage, offset = storages.place(tensor)
            found.setdefault(storage, []).append(
                None if clearance is None else clearance + start - offset
            )
    return {
        (output, storage): max(c for c in allowed if c is not None)
        for storage, allowed in found.items()
        if None not in allowed
        and storage is not output
        and storage.last == layer == output.first
        and storage.first < layer
    }


def _place(order: Sequence[_Storage], overlaps: _Overlaps, alignment: int) -> list[Placement]:
    placed: list[tuple[_Storage, int]] = []
    for storage in order:
        multiple = max(alignment, storage.item)
        forbidden = []
        for other, start in placed:
            if other.last < storage.first or storage.last < other.first:
                continue
            low, high = start - storage.nbytes, start + other.nbytes
            if (storage, other) in overlaps:
                low = max(low, start - overlaps[storage, other])
            if (other, storage) in overlaps:
                high = min(high, start + overlaps[other, storage])
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
