"""Where every tensor lives in the arena, decided at compile time.

A tensor is needed from the layer that writes it to the last that reads it; one that is written or
read in parts, part by part. Whatever is not needed at the same time may share memory. An output may
besides lie over an input that its layer is the last to read, as far as the kernel's clearance
allows (`targets/overlap.py`). `placement.py` finds the offsets.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from lotor.graph import Graph, Tensor
from lotor.ops import KernelCall
from lotor.placement import Conflicts, Interval, Piece, height, place


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


NO_CLEARANCE = Clearance(None, None)


@dataclass(frozen=True)
class Segment:
    """Bytes of a placement that are needed for one time.

    Attributes:
        offset: bytes from the start of the placement.
        nbytes: size.
        first: the layer that writes them; -1 for an input of the model, and for a variable.
        last: the last layer that reads them; the number of layers for an output of the model, and
            for a variable.
    """

    offset: int
    nbytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.nbytes


@dataclass(frozen=True)
class Placement:
    """A tensor in the arena, with the tensors that are the same bytes under another shape.

    Attributes:
        tensors: the tensor and its aliases, in the order in which they are written.
        parts: tensors that are written to or read from a part of it, and where they start in it.
        offset: bytes from the start of the arena.
        nbytes: size.
        segments: what of it is needed when, from its start to its end.
    """

    tensors: tuple[Tensor, ...]
    parts: tuple[tuple[Tensor, int], ...]
    offset: int
    nbytes: int
    segments: tuple[Segment, ...]

    @property
    def first(self) -> int:
        """The first layer that needs any of it; see `Segment`."""
        return min(segment.first for segment in self.segments)

    @property
    def last(self) -> int:
        """The last layer that needs any of it."""
        return max(segment.last for segment in self.segments)

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
        live_bytes: the same for every layer.
    """

    placements: tuple[Placement, ...]
    arena_bytes: int
    lower_bound: int
    peak_layer: int
    live_bytes: tuple[int, ...] = ()

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
    uses: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    parts: list[tuple[Tensor, int]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @property
    def item(self) -> int:
        """Bytes of the largest element that lies in it."""
        tensors = [*self.tensors, *(tensor for tensor, _ in self.parts)]
        return max(tensor.np_dtype.itemsize for tensor in tensors)

    @property
    def first(self) -> int:
        """The first layer that needs any of it."""
        return min(segment.first for segment in self.segments)

    @property
    def last(self) -> int:
        """The last layer that needs any of it."""
        return max(segment.last for segment in self.segments)

    def use(self, start: int, end: int, layer: int) -> None:
        """Note that a layer writes or reads the bytes from `start` to `end`."""
        first, last = self.uses.get((start, end), (layer, layer))
        self.uses[start, end] = min(first, layer), max(last, layer)

    def divide(self) -> None:
        """Find the segments, when all uses are known."""
        self.segments = []
        for start, end in itertools.pairwise(sorted({edge for use in self.uses for edge in use})):
            lives = [life for (low, high), life in self.uses.items() if low <= start < high]
            if not lives:
                continue  # nobody needs these bytes
            first, last = min(a for a, _ in lives), max(b for _, b in lives)
            before = self.segments[-1] if self.segments else None
            if before and (before.end, before.first, before.last) == (start, first, last):
                self.segments[-1] = replace(before, nbytes=end - before.offset)
            else:
                self.segments.append(Segment(start, end - start, first, last))


@dataclass(frozen=True)
class _Overlap:
    """How memory that a layer writes may lie over memory that it uses up.

    Attributes:
        below: bytes that it must begin before the other, at least; None where that does not help.
        above: bytes that it must begin behind the other, at least, for a walk backward.
        apart: bytes of it that lie beside the other in any case.
    """

    below: int | None
    above: int | None
    apart: int


# The memory of an output and that of an input: by layer, how the one may lie over the other.
_Overlaps = dict[tuple[_Storage, _Storage], dict[int, _Overlap]]


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

    pieces = [Piece(s.nbytes, max(alignment, s.item), s.first) for s in storages]
    # Walking backward costs a little time, so it must save memory.
    forward = {
        pair: {layer: replace(found, above=None) for layer, found in layers.items()}
        for pair, layers in overlaps.items()
    }
    offsets: list[int] = []
    for allowed in [forward] if forward == overlaps else [forward, overlaps]:
        if offsets and height(pieces, offsets) < lower_bound + alignment:
            break
        found = place(pieces, _conflicts(storages, allowed), lower_bound + alignment)
        offsets = min(offsets or found, found, key=lambda offsets: height(pieces, offsets))
    placements = [
        Placement(tuple(s.tensors), tuple(s.parts), offset, s.nbytes, tuple(s.segments))
        for s, offset in zip(storages, offsets, strict=True)
    ]
    placements.sort(key=lambda p: (p.first, p.offset))
    return Plan(
        tuple(placements),
        height(pieces, offsets),
        lower_bound,
        live.index(lower_bound),
        tuple(live),
    )


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
    total = sum(
        segment.nbytes
        for storage in storages
        for segment in storage.segments
        if segment.first <= layer <= segment.last
    )
    pairs = [(pair, found[layer]) for pair, found in overlaps.items() if layer in found]
    if not pairs:
        return total
    written = sum(s.nbytes for s in pairs[0][0][0].segments if s.first == layer)
    sizes = {
        under: sum(s.nbytes for s in under.segments if s.first < layer == s.last)
        for (_, under), _ in pairs
    }
    together = max(written, sum(sizes.values()))
    for (_, under), overlap in pairs:
        together = max(together, overlap.apart + sizes[under])
    return total - written - sum(sizes.values()) + together


class _Storages:
    """The memory that is needed and its life; aliases and parts share their tensor's."""

    def __init__(self) -> None:
        self.all: list[_Storage] = []
        self._found: dict[int, tuple[_Storage, int]] = {}

    def use(self, tensor: Tensor, layer: int) -> None:
        """Note that a layer writes or reads a tensor."""
        storage, offset = self.place(tensor)
        storage.use(offset, offset + tensor.span, layer)

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
            storage, offset = _Storage([], tensor.nbytes), 0
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
            storage.use(0, storage.nbytes, -1)
            storage.use(0, storage.nbytes, layer)
        storage.divide()
    overlaps: _Overlaps = {}
    for layer, call, allowed in run:
        for pair, overlap in _overlaps(storages, call, allowed):
            overlaps.setdefault(pair, {})[layer] = overlap
    return storages.all, overlaps


def _overlaps(
    storages: _Storages, call: KernelCall, clearances: Sequence[Clearance]
) -> Iterator[tuple[tuple[_Storage, _Storage], _Overlap]]:
    """Yield the memory of inputs that the output of a call may lie over where it is used up."""
    y = call.outputs[0]
    output, start = storages.place(y)
    inputs: dict[_Storage, list[tuple[Tensor, Clearance]]] = {}
    for x, clearance in zip(call.inputs, clearances, strict=True):
        if x.data is None:
            inputs.setdefault(storages.place(x)[0], []).append((x, clearance))
    for storage, found in inputs.items():
        strictest = _strictest([clearance for _, clearance in found])
        if len(inputs) > 1:  # one walk serves them all, and the others may need it forward
            strictest = replace(strictest, backward=None)
        if not strictest or storage is output:
            continue
        below, above = [], []
        for x, clearance in found:
            ahead = start - storages.place(x)[1]
            if clearance.forward is not None:
                below.append(clearance.forward + ahead)
            if clearance.backward is not None:
                above.append(clearance.backward + x.span - y.span - ahead)
        ways = [n for n in (strictest.forward, strictest.backward) if n is not None]
        yield (
            (output, storage),
            _Overlap(
                None if strictest.forward is None else max(below),
                None if strictest.backward is None else max(above),
                max(0, min(ways)),
            ),
        )


def _strictest(clearances: Sequence[Clearance]) -> Clearance:
    """Return what suffices for all."""
    forward = [c.forward for c in clearances if c.forward is not None]
    backward = [c.backward for c in clearances if c.backward is not None]
    return Clearance(
        max(forward) if len(forward) == len(clearances) else None,
        max(backward) if len(backward) == len(clearances) else None,
    )


def _conflicts(storages: Sequence[_Storage], overlaps: _Overlaps) -> Conflicts:
    """Return where pieces of memory must not begin, seen from each other."""
    found: list[dict[int, list[Interval]]] = [{} for _ in storages]
    lives = [(s.first, s.last) for s in storages]
    for i, j in itertools.combinations(range(len(storages)), 2):
        if lives[i][1] < lives[j][0] or lives[j][1] < lives[i][0]:
            continue
        a, b = storages[i], storages[j]
        a_over, b_over = overlaps.get((a, b), {}), overlaps.get((b, a), {})
        intervals = _joined(_intervals(a, b, a_over, b_over))
        if intervals:
            found[i][j] = intervals
            found[j][i] = [(-high, -low) for low, high in intervals]
    return found


def _intervals(
    a: _Storage,
    b: _Storage,
    a_over: Mapping[int, _Overlap],
    b_over: Mapping[int, _Overlap],
) -> Iterator[Interval]:
    """Yield the offsets of `a` from that of `b` at which two of their segments collide.

    Args:
        a: memory with segments.
        b: the other.
        a_over: how `a` may lie over what a layer uses up of `b`.
        b_over: how `b` may lie over what a layer uses up of `a`.
    """
    for mine, other in itertools.product(a.segments, b.segments):
        if mine.last < other.first or other.last < mine.first:
            continue
        low, high = other.offset - mine.end, other.end - mine.offset
        if other.first < other.last == mine.first and mine.first in a_over:
            overlap = a_over[mine.first]
            if overlap.below is not None:
                low = max(low, -overlap.below)
            if overlap.above is not None:
                high = min(high, overlap.above)
        elif mine.first < mine.last == other.first and other.first in b_over:
            overlap = b_over[other.first]
            if overlap.below is not None:
                high = min(high, overlap.below)
            if overlap.above is not None:
                low = max(low, -overlap.above)
        if low < high:
            yield low, high


def _joined(intervals: Iterator[Interval]) -> list[Interval]:
    """Return the same offsets as few intervals; ends are not forbidden."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return joined
