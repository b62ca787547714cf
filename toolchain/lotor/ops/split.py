"""SPLIT: equal parts along an axis."""

from typing import Any

from lotor.graph import Op, Tensor
from lotor.ops.copy import Copy, View, axis_of, integers
from lotor.ops.movement import Movement, wrong_shape


def split_problems(op: Op, x: Tensor, axis: Tensor, sizes: list[int]) -> list[str]:
    """Return what is wrong with outputs of these sizes along an axis."""
    given = integers(axis, 1)
    if given is None:
        return [f"axis '{axis.name}' must be one constant integer"]
    place = axis_of(given[0], len(x.shape))
    if place is None:
        return [f"axis {given[0]} does not exist in {len(x.shape)} dimensions"]
    if len(sizes) != len(op.outputs) or min(sizes, default=0) < 0 or sum(sizes) != x.shape[place]:
        return [f"axis {place} of {list(x.shape)} cannot be split into {sizes}"]
    found = []
    for y, size in zip(op.outputs, sizes, strict=True):
        found += wrong_shape(y, (*x.shape[:place], size, *x.shape[place + 1 :]))
    return found


def split_copies(op: Op, x: Tensor, axis: Tensor) -> list[Copy]:
    """Return one copy for each output."""
    place = (integers(axis, 1) or [0])[0] % len(x.shape)
    found, start = [], 0
    for y in op.outputs:
        source = View.of(x).part(place, start, y.shape[place])
        found.append(Copy(source, View.of(y)))
        start += y.shape[place]
    return found


class Split(Movement):
    """Any input, axis int32 constant; the parts are of one size.

    `attrs` is the number of parts.
    """

    kind = "SPLIT"
    inputs = 2
    outputs = None
    options = "SplitOptions"

    def read(self, options: Any) -> int:
        return int(options.NumSplits())

    def moved(self, op: Op) -> list[Tensor]:
        return [op.input(1), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        axis, x = op.input(0), op.input(1)
        parts = len(op.outputs)
        if op.attrs != parts or not parts:
            return [f"is said to have {op.attrs} parts and has {parts}"]
        place = axis_of((integers(axis, 1) or [0])[0], len(x.shape))
        size = 0 if place is None else x.shape[place]
        # What does not divide is refused by the sum of the sizes.
        return split_problems(op, x, axis, [size // parts] * parts)

    def copies(self, op: Op) -> list[Copy]:
        return split_copies(op, op.input(1), op.input(0))
