"""EXPAND_DIMS: the same bytes with one more dimension of size 1."""

from lotor.graph import Op
from lotor.ops.copy import axis_of, integers
from lotor.ops.movement import NewShape, wrong_shape


class ExpandDims(NewShape):
    """Any input, axis int32 or int64 constant."""

    kind = "EXPAND_DIMS"
    inputs = 2

    def shape_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        axes = integers(op.input(1), 1)
        if axes is None:
            return [f"axis '{op.input(1).name}' must be one constant integer"]
        axis = axis_of(axes[0], len(x.shape) + 1)
        if axis is None:
            return [f"axis {axes[0]} does not exist in {len(x.shape) + 1} dimensions"]
        return wrong_shape(y, (*x.shape[:axis], 1, *x.shape[axis:]))
