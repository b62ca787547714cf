"""SLICE: a box out of a tensor."""

from lotor.graph import Op
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape


class Slice(Movement):
    """Any input, begin and size [rank] constant; a size of -1 goes to the end."""

    kind = "SLICE"
    inputs = 3

    def form_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        begin, size = (integers(op.input(i), len(x.shape)) for i in (1, 2))
        if begin is None or size is None:
            return [f"begin and size must be {len(x.shape)} constant integers each"]
        size = [n - b if s == -1 else s for n, b, s in zip(x.shape, begin, size, strict=True)]
        for n, b, s in zip(x.shape, begin, size, strict=True):
            if b < 0 or s < 0 or b + s > n:
                return [f"{list(x.shape)} has no {size} at {begin}"]
        return wrong_shape(y, tuple(size))

    def copies(self, op: Op) -> list[Copy]:
        y = op.outputs[0]
        source = View.of(op.input(0))
        for axis, begin in enumerate(integers(op.input(1), len(y.shape)) or ()):
            source = source.part(axis, begin, y.shape[axis])
        return [Copy(source, View.of(y))]
