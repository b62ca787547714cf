"""PACK: inputs of one shape along a new axis."""

from dataclasses import dataclass
from typing import Any

from lotor.graph import Op, Tensor
from lotor.ops.copy import Copy, View, axis_of
from lotor.ops.movement import Movement, wrong_shape


@dataclass(frozen=True)
class PackAttributes:
    """Number of slices, their axis."""

    count: int
    axis: int


class Pack(Movement):
    """One or more inputs of one shape."""

    kind = "PACK"
    options = "PackOptions"

    def read(self, options: Any) -> PackAttributes:
        return PackAttributes(options.ValuesCount(), options.Axis())

    def moved(self, op: Op) -> list[Tensor]:
        return [*(t for t in op.inputs if t is not None), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        shape, a = op.input(0).shape, op.attrs
        axis = axis_of(a.axis, len(shape) + 1)
        if axis is None:
            return [f"axis {a.axis} does not exist in {len(shape) + 1} dimensions"]
        if a.count != len(op.inputs):
            return [f"is said to have {a.count} inputs and has {len(op.inputs)}"]
        for x in self.moved(op)[:-1]:
            if x.shape != shape:
                return [f"'{x.name}' is {list(x.shape)}; {list(shape)} needed"]
        return wrong_shape(op.outputs[0], (*shape[:axis], a.count, *shape[axis:]))

    def copies(self, op: Op) -> list[Copy]:
        y = op.outputs[0]
        axis = op.attrs.axis % len(y.shape)
        return [Copy(View.of(x), View.of(y).at(axis, i)) for i, x in enumerate(self.moved(op)[:-1])]
