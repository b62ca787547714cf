"""UNPACK: the slices of an axis as outputs of their own."""

from typing import Any

from lotor.graph import Op
from lotor.ops.copy import Copy, View, axis_of
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.pack import PackAttributes


class Unpack(Movement):
    """Any input of at least one dimension; as many outputs as the axis is long."""

    kind = "UNPACK"
    outputs = None
    options = "UnpackOptions"

    def read(self, options: Any) -> PackAttributes:
        return PackAttributes(options.Num(), options.Axis())

    def form_problems(self, op: Op) -> list[str]:
        shape, a = op.input(0).shape, op.attrs
        axis = axis_of(a.axis, len(shape))
        if axis is None:
            return [f"axis {a.axis} does not exist in {len(shape)} dimensions"]
        if not a.count == len(op.outputs) == shape[axis]:
            return [f"axis {axis} of {list(shape)} does not give {len(op.outputs)} outputs"]
        want = shape[:axis] + shape[axis + 1 :]
        return [line for y in op.outputs for line in wrong_shape(y, want)]

    def copies(self, op: Op) -> list[Copy]:
        x = op.input(0)
        axis = op.attrs.axis % len(x.shape)
        return [Copy(View.of(x).at(axis, i), View.of(y)) for i, y in enumerate(op.outputs)]
