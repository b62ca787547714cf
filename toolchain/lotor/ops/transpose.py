"""TRANSPOSE: axes in another order."""

from lotor.graph import Op
from lotor.ops.copy import Copy, View, axis_of, integers
from lotor.ops.movement import Movement, wrong_shape


class Transpose(Movement):
    """Any input, permutation [rank] constant; negative axes count from the end."""

    kind = "TRANSPOSE"
    inputs = 2

    def _axes(self, op: Op) -> list[int] | None:
        """Return the permutation, None if it is not one."""
        rank = len(op.input(0).shape)
        given = integers(op.input(1), rank)
        axes = None if given is None else [axis_of(a, rank) for a in given]
        if axes is None or set(axes) != set(range(rank)):
            return None
        return [a for a in axes if a is not None]

    def form_problems(self, op: Op) -> list[str]:
        x, axes = op.input(0), self._axes(op)
        if axes is None:
            return [f"'{op.input(1).name}' must be a constant order of {len(x.shape)} axes"]
        return wrong_shape(op.outputs[0], tuple(x.shape[a] for a in axes))

    def copies(self, op: Op) -> list[Copy]:
        source = View.of(op.input(0)).permuted(self._axes(op) or ())
        return [Copy(source, View.of(op.outputs[0]))]
