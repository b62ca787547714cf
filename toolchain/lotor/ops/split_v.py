"""SPLIT_V: parts of given sizes along an axis."""

from lotor.graph import Op
from lotor.ops.copy import Copy, axis_of, integers
from lotor.ops.movement import Movement
from lotor.ops.split import split_copies, split_problems


class SplitV(Movement):
    """Any input, sizes [parts] constant of which one may be -1, axis int32 constant."""

    kind = "SPLIT_V"
    inputs = 3
    outputs = None

    def form_problems(self, op: Op) -> list[str]:
        x, given, axis = op.input(0), op.input(1), op.input(2)
        sizes = integers(given, len(op.outputs))
        if not sizes:
            return [f"sizes '{given.name}' must be {len(op.outputs)} constant integers"]
        place = axis_of((integers(axis, 1) or [0])[0], len(x.shape))
        if place is not None and sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = x.shape[place] - (sum(sizes) + 1)
        return split_problems(op, x, axis, sizes)

    def copies(self, op: Op) -> list[Copy]:
        return split_copies(op, op.input(0), op.input(2))
