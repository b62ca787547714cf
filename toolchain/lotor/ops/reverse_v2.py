"""REVERSE_V2: axes backwards."""

from lotor.graph import Op
from lotor.ops.copy import Copy, View, axis_of, integers
from lotor.ops.movement import Movement, wrong_shape


class ReverseV2(Movement):
    """Any input, axes [any number] constant."""

    kind = "REVERSE_V2"
    inputs = 2

    def form_problems(self, op: Op) -> list[str]:
        x, given = op.input(0), op.input(1)
        axes = integers(given, given.elements) if given.elements <= len(x.shape) else None
        if axes is None or None in (axis_of(a, len(x.shape)) for a in axes):
            return [f"axes '{given.name}' must be constant axes of {list(x.shape)}"]
        return wrong_shape(op.outputs[0], x.shape)

    def copies(self, op: Op) -> list[Copy]:
        x, axes = op.input(0), op.input(1)
        source = View.of(x)
        for axis in {a % len(x.shape) for a in integers(axes, axes.elements) or ()}:
            size = x.shape[axis]
            source = source.part(axis, size - 1, size, -1)
        return [Copy(source, View.of(op.outputs[0]))]
