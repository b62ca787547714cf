"""BROADCAST_TO: a tensor repeated along axes of size 1 and along new ones before the first."""

from lotor.graph import Op
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape


class BroadcastTo(Movement):
    """Any input, shape [rank of the output] constant."""

    kind = "BROADCAST_TO"
    inputs = 2

    def form_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        shape = integers(op.input(1), len(y.shape))
        if shape is None:
            return [f"shape '{op.input(1).name}' must be {len(y.shape)} constant integers"]
        same = shape[len(shape) - len(x.shape) :] if len(x.shape) <= len(shape) else []
        if len(same) < len(x.shape) or any(
            n not in (1, m) for n, m in zip(x.shape, same, strict=True)
        ):
            return [f"{list(x.shape)} cannot be broadcast to {shape}"]
        return wrong_shape(y, tuple(shape))

    def copies(self, op: Op) -> list[Copy]:
        x, y = op.input(0), op.outputs[0]
        source, new = View.of(x), len(y.shape) - len(x.shape)
        for axis, size in enumerate(y.shape):
            if axis < new:
                source = source.repeated(axis, size)
            elif source.shape[axis] != size:
                source = source.at(axis, 0).repeated(axis, size)
        return [Copy(source, View.of(y))]
