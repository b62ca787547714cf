"""SQUEEZE: the same bytes without dimensions of size 1."""

from typing import Any

from lotor.graph import Op
from lotor.ops.copy import axis_of
from lotor.ops.movement import NewShape, wrong_shape


class Squeeze(NewShape):
    """Any input; drops the axes of size 1 that are named, without names all of them.

    `attrs` are their numbers.
    """

    kind = "SQUEEZE"
    options = "SqueezeOptions"

    def read(self, options: Any) -> tuple[int, ...]:
        return tuple(int(options.SqueezeDims(i)) for i in range(options.SqueezeDimsLength()))

    def shape_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        axes = {axis_of(a, len(x.shape)) for a in op.attrs}
        if not op.attrs:
            axes = {a for a, size in enumerate(x.shape) if size == 1}
        if any(a is None or x.shape[a] != 1 for a in axes):
            return [f"axes {list(op.attrs)} of {list(x.shape)} are not all of size 1"]
        return wrong_shape(y, tuple(n for a, n in enumerate(x.shape) if a not in axes))
