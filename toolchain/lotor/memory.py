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
from lotor.liveness import Access, Needs, Overlap, members
from lotor.ops import KernelCall
from lotor.placement import Conflicts, Interval, Piece, height, place, work


@dataclass(frozen=True)
class Clearance:
    """How far the output of a kernel may lie over an input that is not needed any more.

    Attributes:
        forward: bytes that the input must begin behind the output, at least, for a kernel that
            walks from the first element to the last; negative where the output may begin later,
            None where they must not overlap.
        backward: bytes that the output must end behind the input, at least, for one that walks
            backward; None where it cannot.
        in_place: whether the output may lie exactly where the input does, whatever the others say.
    """

    forward: int | None
    backward: int | None
    in_place: bool = False

    def __bool__(self) -> bool:
        return self.forward is not None or self.backward is not None or self.in_place


_BACKWARD = 128  # a layer walks backward where that saves more than this part of the arena
_TURN = 0.1  # part of the effort for each layer that is tried forward again
_TURNED = 16  # layers
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
        order_bound: bytes that no order of the layers can do with less of; 0 where none was sought.
    """

    placements: tuple[Placement, ...]
    arena_bytes: int
    lower_bound: int
    peak_layer: int
    live_bytes: tuple[int, ...] = ()
    order_bound: int = 0

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
    parts: list[tuple[Tensor, int]] = field(default_factory=list)

    @property
    def item(self) -> int:
        """Bytes of the largest element that lies in it."""
        tensors = [*self.tensors, *(tensor for tensor, _ in self.parts)]
        return max(tensor.np_dtype.itemsize for tensor in tensors)


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
    return Memory(graph, steps, clearances or [()] * len(steps)).plan(alignment)


class Memory:
    """The memory of a model, whatever the order of its layers.

    Attributes:
        needs: which layers use which of its bytes.
    """

    def __init__(
        self,
        graph: Graph,
        steps: Sequence[Sequence[KernelCall]],
        clearances: Sequence[Sequence[Clearance]],
    ) -> None:
        self._storages, self.needs = _needs(graph, steps, clearances)

    def plan(self, alignment: int, order: Sequence[int] | None = None, effort: float = 1.0) -> Plan:
        """Return the placement of every activation; see `plan_memory`.

        Args:
            alignment: bytes.
            order: the numbers of the layers as they run; aliases have none. By default, the
                model's order.
            effort: how much of the time for the search for offsets is taken.
        """
        order = range(self.needs.layers) if order is None else order
        live = self.needs.profile(order) or [sum(s.nbytes for s in self._storages)]
        lower_bound = max(live)
        segments = self._segments(order)
        pieces = [
            Piece(s.nbytes, max(alignment, s.item), min(part.first for part in found))
            for s, found in zip(self._storages, segments, strict=True)
        ]
        overlaps = {
            (o.output, o.input, order.index(layer)): o
            for layer, found in self.needs.overlaps.items()
            for o in found
        }
        # Walking backward costs some layers 4 % of their time, so it must save memory.
        forward = {key: replace(found, above=None) for key, found in overlaps.items()}
        rounded = self.needs.rounded(alignment).profile(order)
        enough = max([lower_bound + alignment, *(n + 1 for n in rounded)])
        offsets = place(pieces, _conflicts(segments, forward), enough, effort)
        if forward != overlaps and height(pieces, offsets) >= enough:
            found = place(pieces, _conflicts(segments, overlaps), enough, effort)
            if height(pieces, found) < height(pieces, offsets):
                offsets = found
                room = height(pieces, found) * (_BACKWARD + 1) // _BACKWARD + 1
                for key in list(overlaps)[:_TURNED] if effort >= 1 else ():
                    backward = {k for k, overlap in overlaps.items() if _behind(overlap, offsets)}
                    if key not in backward:
                        continue
                    tried = forward | {k: overlaps[k] for k in backward - {key}}
                    found = place(pieces, _conflicts(segments, tried), room, _TURN * effort)
                    if height(pieces, found) < room:
                        offsets, overlaps = found, tried
        placements = [
            Placement(tuple(s.tensors), tuple(s.parts), offset, s.nbytes, tuple(parts))
            for s, offset, parts in zip(self._storages, offsets, segments, strict=True)
        ]
        placements.sort(key=lambda p: (p.first, p.offset))
        top = height(pieces, offsets)
        return Plan(tuple(placements), top, lower_bound, live.index(lower_bound), tuple(live))

    @cached_property
    def work(self) -> int:
        """How many pairs of tensors the search for a plan looks at."""
        return work(_conflicts(self._segments(range(self.needs.layers)), {}))

    def _segments(self, order: Sequence[int]) -> list[list[Segment]]:
        """Return what of every piece of memory is needed when."""
        times = {-1: -1, len(order): len(order)} | {layer: at for at, layer in enumerate(order)}
        found: list[list[Segment]] = [[] for _ in self._storages]
        for part in self.needs.bytes:
            users = [times[layer] for layer in members(part.users)]
            new = Segment(part.start, part.nbytes, min(users), max(users))
            before = found[part.memory][-1:]
            if before and (before[0].end, before[0].first, before[0].last) == (
                new.offset,
                new.first,
                new.last,
            ):
                found[part.memory][-1] = replace(before[0], nbytes=new.end - before[0].offset)
            else:
                found[part.memory].append(new)
        return found


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


class _Storages:
    """The memory that is needed and its life; aliases and parts share their tensor's."""

    def __init__(self) -> None:
        self.all: list[_Storage] = []
        self.accesses: list[Access] = []
        self._found: dict[int, tuple[int, int]] = {}

    def use(self, tensor: Tensor, layer: int, writes: bool) -> None:
        """Note that a layer writes or reads a tensor."""
        memory, start = self.place(tensor)
        item = tensor.np_dtype.itemsize
        rows, row, step = tensor.elements // max(tensor.row, 1), tensor.row, tensor.step
        if tensor.dense:
            rows, row, step = 1, tensor.elements, tensor.elements
        access = Access(layer, memory, start, row * item, step * item, rows, writes)
        self.accesses.append(access)

    def alias(self, tensor: Tensor, source: Tensor) -> None:
        """Note that a tensor is another one's bytes under another shape."""
        memory, offset = self.place(source)
        self._found[id(tensor)] = memory, offset
        self._keep(tensor, self.all[memory], offset)

    def place(self, tensor: Tensor) -> tuple[int, int]:
        """Return the memory that a tensor lies in, and where in it."""
        if id(tensor) in self._found:
            return self._found[id(tensor)]
        if tensor.within is None:
            memory, offset = len(self.all), 0
            self.all.append(_Storage([], tensor.nbytes))
        else:
            memory, start = self.place(tensor.within.base)
            offset = start + tensor.within.offset
        self._found[id(tensor)] = memory, offset
        self._keep(tensor, self.all[memory], offset)
        return memory, offset

    @staticmethod
    def _keep(tensor: Tensor, storage: _Storage, offset: int) -> None:
        if tensor.nbytes == storage.nbytes:
            storage.tensors.append(tensor)
        else:
            storage.parts.append((tensor, offset))


def _needs(
    graph: Graph,
    steps: Sequence[Sequence[KernelCall]],
    clearances: Sequence[Sequence[Clearance]],
) -> tuple[list[_Storage], Needs]:
    """Return the memory that is needed, aliases and parts merged, and what uses it."""
    storages = _Storages()
    for tensor in graph.inputs:
        storages.use(tensor, -1, True)
    layer = 0  # aliases take no step, as in the generated program
    run = []
    for calls, allowed in zip(steps, clearances, strict=True):
        if calls[0].alias:
            for tensor in calls[0].outputs:
                storages.alias(tensor, calls[0].inputs[0])
            continue
        for call in calls:
            for tensor in call.inputs:
                if tensor.data is None:
                    storages.use(tensor, layer, False)
            for tensor in call.outputs:
                storages.use(tensor, layer, True)
        if any(allowed):
            run.append((layer, calls[0], allowed))
        layer += 1
    for tensor in graph.outputs:
        storages.use(tensor, layer, False)
    for memory, storage in enumerate(storages.all):
        if any(tensor.variable for tensor in storage.tensors):
            # Every access counts as a write: layers that share a variable keep their order.
            storages.accesses = [
                replace(a, writes=True) if a.memory == memory else a for a in storages.accesses
            ] + [Access(when, memory, 0, storage.nbytes, 0, 1, True) for when in (-1, layer)]
    overlaps = {at: list(_overlaps(storages, call, allowed)) for at, call, allowed in run}
    needs = Needs(layer, storages.accesses, {at: found for at, found in overlaps.items() if found})
    return storages.all, needs


def _overlaps(
    storages: _Storages, call: KernelCall, clearances: Sequence[Clearance]
) -> Iterator[Overlap]:
    """Yield the memory of inputs that the output of a call may lie over where it is used up."""
    y = call.outputs[0]
    output, start = storages.place(y)
    inputs: dict[int, list[tuple[Tensor, Clearance]]] = {}
    for x, clearance in zip(call.inputs, clearances, strict=True):
        if x.data is None:
            inputs.setdefault(storages.place(x)[0], []).append((x, clearance))
    for memory, found in inputs.items():
        strictest = _strictest([clearance for _, clearance in found])
        if len(inputs) > 1:  # one walk serves them all, and the others may need it forward
            strictest = replace(strictest, backward=None)
        if not strictest or memory == output:
            continue
        below, above = [], []
        for x, clearance in found:
            ahead = start - storages.place(x)[1]
            if clearance.forward is not None:
                below.append(clearance.forward + ahead)
            if clearance.backward is not None:
                above.append(clearance.backward + x.span - y.span - ahead)
        yield Overlap(
            output,
            memory,
            None if strictest.forward is None else max(below),
            None if strictest.backward is None else max(above),
            -ahead if strictest.in_place else None,
        )


def _strictest(clearances: Sequence[Clearance]) -> Clearance:
    """Return what suffices for all."""
    forward = [c.forward for c in clearances if c.forward is not None]
    backward = [c.backward for c in clearances if c.backward is not None]
    return Clearance(
        max(forward) if len(forward) == len(clearances) else None,
        max(backward) if len(backward) == len(clearances) else None,
        len(clearances) == 1 and clearances[0].in_place,
    )


def _behind(overlap: Overlap, offsets: Sequence[int]) -> bool:
    """Return whether an output lies where only a walk backward may write it."""
    if overlap.above is None:
        return False
    ahead = offsets[overlap.output] - offsets[overlap.input]
    return ahead >= overlap.above and (overlap.below is None or ahead > -overlap.below)


def _conflicts(
    segments: Sequence[Sequence[Segment]], overlaps: Mapping[tuple[int, int, int], Overlap]
) -> Conflicts:
    """Return where pieces of memory must not begin, seen from each other.

    Args:
        segments: of each piece of memory.
        overlaps: by output, input and the time at which the one may lie over the other.
    """
    found: list[dict[int, list[Interval]]] = [{} for _ in segments]
    lives = [(min(s.first for s in of), max(s.last for s in of)) for of in segments]
    over: dict[tuple[int, int], dict[int, Overlap]] = {}
    for (output, under, time), overlap in overlaps.items():
        over.setdefault((output, under), {})[time] = overlap
    for i, j in itertools.combinations(range(len(segments)), 2):
        if lives[i][1] < lives[j][0] or lives[j][1] < lives[i][0]:
            continue
        intervals = _joined(
            _intervals(segments[i], segments[j], over.get((i, j), {}), over.get((j, i), {}))
        )
        if intervals:
            found[i][j] = intervals
            found[j][i] = [(-high, -low) for low, high in intervals]
    return found


def _intervals(
    a: Sequence[Segment],
    b: Sequence[Segment],
    a_over: Mapping[int, Overlap],
    b_over: Mapping[int, Overlap],
) -> Iterator[Interval]:
    """Yield the offsets of one piece from that of another at which two of their segments collide.

    Args:
        a: the segments of the one.
        b: those of the other.
        a_over: how `a` may lie over what a layer uses up of `b`, by the time of the layer.
        b_over: how `b` may lie over what a layer uses up of `a`.
    """
    for mine, other in itertools.product(a, b):
        if mine.last < other.first or other.last < mine.first:
            continue
        low, high = other.offset - mine.end, other.end - mine.offset
        at: int | None = None
        if other.first < other.last == mine.first and mine.first in a_over:
            overlap = a_over[mine.first]
            if overlap.below is not None:
                low = max(low, -overlap.below)
            if overlap.above is not None:
                high = min(high, overlap.above)
            at = overlap.at
        elif mine.first < mine.last == other.first and other.first in b_over:
            overlap = b_over[other.first]
            if overlap.below is not None:
                high = min(high, overlap.below)
            if overlap.above is not None:
                low = max(low, -overlap.above)
            at = None if overlap.at is None else -overlap.at
        if at is not None and low < at < high:
            yield low, at
            low = at
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
