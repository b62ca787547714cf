"""TILE: a tensor several times along each axis."""

from lotor.graph import Op
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape


class Tile(Movement):
    """Any input, multiples [rank] constant."""

    kind = "TILE"
    inputs = 2

    def form_problems(self, op: Op) -> list[str]:
        x = op.input(0)
        multiples = integers(op.input(1), len(x.shape))
        if multiples is None or min(multiples, default=0) < 0:
            return [f"multiples '{op.input(1).name}' must be {len(x.shape)} constant integers"]
        want = tuple(n * m for n, m in zip(x.shape, multiples, strict=True))
        return wrong_shape(op.outputs[0], want)

    def copies(self, op: Op) -> list[Copy]:
        source, target = View.of(op.input(0)), View.of(op.outputs[0])
        for axis in range(len(source.shape) - 1, -1, -1):
            size = source.shape[axis]
            source = source.repeated(axis, target.shape[axis] // max(size, 1))
            target = target.split(axis, size)
        return [Copy(source, target)]
