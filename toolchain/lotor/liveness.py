"""Which bytes layers need, whatever the order in which they run."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

Layers = int  # a set of layers: bit 0 stands for what was before the first one, bit i+1 for layer i
BEFORE: Layers = 1


def bit(layer: int) -> Layers:
    """Return a set of one layer; -1 stands for what was before the first one."""
    return 1 << layer + 1


def members(layers: Layers) -> list[int]:
    """Return the layers of a set, in the model's order."""
    found = []
    while layers:
        lowest = layers & -layers
        found.append(lowest.bit_length() - 2)
        layers ^= lowest
    return found


@dataclass(frozen=True)
class Access:
    """Bytes of a piece of memory that a layer reads or writes.

    Attributes:
        layer: which; -1 for an input of the model, the number of layers for an output.
        memory: number of the piece of memory.
        start: the first byte.
        row: bytes of a row.
        step: bytes from the start of a row to that of the next.
        rows: how many.
        writes: whether it writes them.
    """

    layer: int
    memory: int
    start: int
    row: int
    step: int
    rows: int
    writes: bool

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.start + (self.rows - 1) * self.step + self.row

    def meets(self, other: "Access") -> bool:
        """Return whether both may be of the same byte."""
        if self.memory != other.memory or self.end <= other.start or other.end <= self.start:
            return False
        if self.step != other.step or self.rows == 1 or other.rows == 1:
            return True
        ahead = (other.start - self.start) % self.step
        return ahead < self.row or ahead + other.row > self.step


@dataclass(frozen=True)
class Bytes:
    """Bytes of a piece of memory that the same layers use.

    Attributes:
        memory: number of the piece of memory.
        start: the first byte.
        nbytes: how many.
        users: layers that read or write them.
    """

    memory: int
    start: int
    nbytes: int
    users: Layers


@dataclass(frozen=True)
class Overlap:
    """How memory that a layer writes may lie over memory that it uses up.

    Attributes:
        output: number of the piece of memory that is written.
        input: number of the other.
        below: bytes that it must begin before the other, at least; None where that does not help.
        above: bytes that it must begin behind the other, at least, for a walk backward.
        at: bytes behind the other's begin where it may begin, whatever the others say; or None.
    """

    output: int
    input: int
    below: int | None
    above: int | None
    at: int | None = None


@dataclass(frozen=True)
class Needs:
    """What layers need.

    Attributes:
        layers: how many there are.
        accesses: what they read and write, in the model's order.
        overlaps: of each layer, how what it writes may lie over what it uses up.
    """

    layers: int
    accesses: Sequence[Access]
    overlaps: Mapping[int, Sequence[Overlap]]

    def rounded(self, alignment: int) -> "Needs":
        """Return the same with every size rounded up, as far as nothing can lie in the rest.

        Where every access begins at a multiple of the alignment, as every memory does, nothing can
        begin between its end and the next multiple. No plan's arena, rounded up, is smaller than
        what a layer needs then. Not for `predecessors`.
        """
        if any(access.start % alignment for access in self.accesses):
            return self
        accesses = [
            replace(a, row=_rounded(a.end - a.start, alignment), rows=1) for a in self.accesses
        ]
        overlaps = {
            layer: [
                replace(
                    o,
                    below=None if o.below is None else _rounded(o.below, alignment),
                    above=None if o.above is None else _rounded(o.above, alignment),
                )
                for o in found
            ]
            for layer, found in self.overlaps.items()
        }
        return Needs(self.layers, accesses, overlaps)

    @cached_property
    def after(self) -> Layers:
        """The set that stands for what comes after the last layer."""
        return bit(self.layers)

    @cached_property
    def bytes(self) -> list[Bytes]:
        """All bytes that somebody uses, by memory and start."""
        found: list[Bytes] = []
        for memory, group in itertools.groupby(
            sorted(self.accesses, key=lambda a: a.memory), key=lambda a: a.memory
        ):
            accesses = list(group)
            edges = sorted({edge for a in accesses for edge in (a.start, a.end)})
            for start, end in itertools.pairwise(edges):
                users = 0
                for a in accesses:
                    if a.start <= start < a.end:
                        users |= bit(a.layer)
                last = found[-1] if found else None
                if last and (last.memory, last.start + last.nbytes, last.users) == (
                    memory,
                    start,
                    users,
                ):
                    found[-1] = Bytes(memory, last.start, end - last.start, users)
                elif users:
                    found.append(Bytes(memory, start, end - start, users))
        return found

    @cached_property
    def used(self) -> list[list[Bytes]]:
        """The bytes that each layer uses."""
        found: list[list[Bytes]] = [[] for _ in range(self.layers)]
        for part in self.bytes:
            for layer in members(part.users & ~BEFORE & ~self.after):
                found[layer].append(part)
        return found

    @cached_property
    def _sizes(self) -> list[list[tuple[Layers, int]]]:
        return [[(part.users, part.nbytes) for part in parts] for parts in self.used]

    @cached_property
    def predecessors(self) -> list[Layers]:
        """For each layer those that must run before it.

        Of two layers that use the same bytes, one of them to write, the model's first stays first.
        """
        found = [BEFORE] * self.layers
        by_memory: dict[int, list[Access]] = {}
        for access in self.accesses:
            if 0 <= access.layer < self.layers:
                by_memory.setdefault(access.memory, []).append(access)
        for accesses in by_memory.values():
            for a, b in itertools.combinations(accesses, 2):
                if a.layer != b.layer and (a.writes or b.writes) and a.meets(b):
                    found[max(a.layer, b.layer)] |= bit(min(a.layer, b.layer))
        return found

    def at_start(self) -> int:
        """Return the bytes that are kept from before the first layer."""
        return sum(b.nbytes for b in self.bytes if b.users & BEFORE and b.users != BEFORE)

    def at_borders(self) -> int:
        """Return the bytes of all inputs or of all outputs, whichever are more."""
        return max(
            sum(part.nbytes for part in self.bytes if part.users & border)
            for border in (BEFORE, self.after)
        )

    def step(self, done: Layers, layer: int) -> tuple[int, int]:
        """Return what running a layer changes.

        Args:
            done: the layers that have run, with `BEFORE`.
            layer: the next one.

        Returns:
            By how many bytes more is needed while it runs than is kept before it, and by how many
            more is kept after it.
        """
        written = ended = 0
        after = done | bit(layer)
        for users, nbytes in self._sizes[layer]:
            if not users & done:
                written += nbytes
            if users | after == after:
                ended += nbytes
        return written - self._saved(layer, done, done), written - ended

    def least(self, layer: int, earlier: Layers, later: Layers) -> int:
        """Return the bytes that a layer needs in every order.

        Args:
            layer: which.
            earlier: all layers that must run before it, with `BEFORE`.
            later: all that must run after it, with `after`.
        """
        here = bit(layer)
        total = sum(
            part.nbytes
            for part in self.bytes
            if part.users & (earlier | here) and part.users & (later | here)
        )
        return total - self._saved(layer, earlier, ~(later | here))

    def _saved(self, layer: int, least: Layers, most: Layers) -> int:
        """Return how many bytes what a layer writes may have in common with what it uses up.

        Args:
            layer: which.
            least: layers that have run before it for certain.
            most: those that may have.
        """
        overlaps = self.overlaps.get(layer)
        if not overlaps:
            return 0
        here = bit(layer)
        used = self.used[layer]
        output = overlaps[0].output
        written = [p for p in used if p.memory == output and not p.users & least]
        total = 0
        for o in overlaps:
            used_up = [
                p
                for p in used
                if p.memory == o.input and p.users & most and not p.users & ~(most | here)
            ]
            ways = [0]
            if o.below is not None:
                ways.append(_behind(written, used_up, o.below))
            if o.above is not None:
                ways.append(_behind(used_up, written, o.above))
            if o.at is not None:
                ways.append(sum(p.nbytes for p in used_up))
            total += min(max(ways), sum(p.nbytes for p in used_up))
        return min(total, sum(p.nbytes for p in written))

    def profile(self, order: Sequence[int]) -> list[int]:
        """Return the bytes that each layer needs at least, in the order in which they run."""
        found, done, kept = [], BEFORE, self.at_start()
        for layer in order:
            more, change = self.step(done, layer)
            found.append(kept + more)
            kept += change
            done |= bit(layer)
        return found


def _rounded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _behind(parts: Sequence[Bytes], others: Sequence[Bytes], distance: int) -> int:
    """Return how many bytes of one memory lie behind another that begins so far behind it."""
    if not others:
        return 0
    edge = distance + min(other.start for other in others)
    return sum(max(0, part.start + part.nbytes - max(part.start, edge)) for part in parts)
