"""Place tensors inside larger ones, so that joining and splitting them copies nothing."""

from dataclasses import dataclass, replace

from lotor.graph import Graph, Op, Tensor, Within
from lotor.ops import operators
from lotor.ops.copy import Copy
from lotor.ops.movement import Movement
from lotor.optimize.edit import Uses, compiles, rewritten

_JOINS = ("CONCATENATION", "PACK")
_SPLITS = ("SPLIT", "SPLIT_V", "UNPACK", "SLICE", "STRIDED_SLICE")
_ALIGNMENT = 4  # bytes that every target aligns tensors to, and so their parts


@dataclass(frozen=True)
class _Part:
    """Where a tensor lies in a larger one: bytes from its start, elements from row to row."""

    base: Tensor
    offset: int
    step: int


def place_parts(graph: Graph) -> Graph:
    """Place tensors inside larger ones, so that joining and splitting them copies nothing.

    The layer before a CONCATENATION or PACK writes straight into its slice, the layers after a
    SPLIT, UNPACK or SLICE read theirs. A slice without gaps suits every layer. One with gaps
    between rows (joined or split channels) suits layers whose kernels take the step between rows
    (`Operator.strided`). Whatever remains is copied.
    """
    found = _Parts(graph)
    for op in reversed(graph.ops):  # a join of a join after it
        if op.kind in _JOINS and compiles(op):
            found.join(op)
    for op in graph.ops:  # a split of a split before it
        if op.kind in _SPLITS and compiles(op):
            found.split(op)
    placed = found.tensors()
    outputs = [placed.get(tensor, tensor) for tensor in graph.outputs]
    return replace(rewritten(graph, tensors=placed), outputs=outputs)


class _Parts:
    """The tensors that have found their place."""

    def __init__(self, graph: Graph) -> None:
        self._uses = Uses(graph)
        self._parts: dict[Tensor, _Part] = {}

    def join(self, op: Op) -> None:
        """Place what a layer joins inside its output."""
        for copy in _copies(op):
            part = self._part(copy, join=True)
            if part is None:
                continue
            x = copy.source.tensor
            dense = _dense(part, x)
            origin = self._origin(x) if dense else x
            writer = self._uses.producer(origin)
            if origin in self._parts or writer is None or origin.variable:
                continue
            if dense or (_strided(writer) and self._scattered(x, op)):
                self._parts[x] = part
                self._parts[origin] = replace(part, step=origin.row) if dense else part

    def split(self, op: Op) -> None:
        """Place what a layer splits off inside its input."""
        for copy in _copies(op):
            part = self._part(copy, join=False)
            y = copy.target.tensor
            if part is None or y in self._parts:
                continue
            if _dense(part, y) or self._scattered(y, op):
                self._parts[y] = part

    def tensors(self) -> dict[Tensor, Tensor]:
        """Return what stands for the tensors that have found a place."""
        made: dict[Tensor, Tensor] = {}

        def placed(tensor: Tensor) -> Tensor:
            part = self._parts.get(tensor)
            if part is not None and tensor not in made:
                within = Within(placed(part.base), part.offset, part.step)
                made[tensor] = replace(tensor, within=within)
            return made.get(tensor, tensor)

        for tensor in self._parts:
            placed(tensor)
        return made

    def _part(self, copy: Copy, join: bool) -> _Part | None:
        """Return where one side of a copy lies in the other, None where it cannot lie there."""
        whole, larger = (copy.source, copy.target) if join else (copy.target, copy.source)
        part, base = whole.tensor, larger.tensor
        if copy.table is not None or copy.whole or part.data is not None or base.data is not None:
            return None
        if part.elements != copy.elements or whole.start != 0 or base.variable:
            return None
        rows = [
            (size, at, there) if join else (size, there, at)
            for size, at, there in copy.dimensions()
        ]
        offset = larger.start * base.np_dtype.itemsize
        if offset % _ALIGNMENT != 0:
            return None
        above = self._parts.get(base)
        gaps = above is not None and not _dense(above, base)
        if rows in ([], [(part.elements, 1, 1)]) and not gaps:
            return _Part(base, offset, part.row)
        if part.row == 1:  # a copy has no loop for it
            rows.append((1, 1, 1))
        if len(rows) != 2 or rows[1] != (part.row, 1, 1) or rows[0][1] != part.row:
            return None
        if not gaps:
            return _Part(base, offset, rows[0][2])
        # A part of a part: rows of the larger one lie as far apart as its own.
        if above is None or rows[0][2] != base.row or larger.start >= base.row:
            return None
        return _Part(base, offset, above.step)

    def _origin(self, x: Tensor) -> Tensor:
        """Return the tensor that a tensor is another shape of."""
        writer = self._uses.producer(x)
        while writer is not None and writer.kind == "ALIAS":
            x = writer.input(0)
            writer = self._uses.producer(x)
        return x

    def _scattered(self, tensor: Tensor, op: Op) -> bool:
        """Return whether everybody but `op` can read a tensor with gaps between its rows."""
        if self._uses.is_output(tensor):
            return False
        return all(other is op or _strided(other) for other in self._uses.readers(tensor))


def _copies(op: Op) -> list[Copy]:
    operator = operators()[op.kind]
    return operator.copies(op) if isinstance(operator, Movement) else []


def _dense(part: _Part, tensor: Tensor) -> bool:
    return part.step == tensor.row or tensor.elements == tensor.row


def _strided(op: Op) -> bool:
    operator = operators().get(op.kind)
    return operator is not None and compiles(op) and operator.strided(op)
