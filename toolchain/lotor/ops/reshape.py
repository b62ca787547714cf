"""RESHAPE: the same bytes under another shape."""

import math
from typing import Any

from lotor.graph import DType, Op
from lotor.ops.copy import integers
from lotor.ops.movement import NewShape


class Reshape(NewShape):
    """Input and output of as many elements and one type; a new shape [n] int32, or an option.

    `attrs` are the option's dimensions, empty where there are none.
    """

    kind = "RESHAPE"
    options = "ReshapeOptions"

    def read(self, options: Any) -> tuple[int, ...]:
        return tuple(int(options.NewShape(i)) for i in range(options.NewShapeLength()))

    def shape_problems(self, op: Op) -> list[str]:
        new, y = op.attrs or (), op.outputs[0]
        shape = op.inputs[1] if len(op.inputs) > 1 else None
        if shape is not None and len(shape.shape) == 1 and shape.dtype is DType.INT32:
            given = integers(shape, shape.elements)
            if given is None:
                return [f"new shape '{shape.name}' must be a constant; fix the model's input shape"]
            new = tuple(given)
        if new in ((), (0,)):  # not stated, or as old files say that there are no dimensions
            return []
        if len(new) != len(y.shape) or any(
            n not in (-1, m) for n, m in zip(new, y.shape, strict=True)
        ):
            return [f"new shape {list(new)} does not give the output's {list(y.shape)}"]
        known = math.prod(n for n in new if n != -1)
        if new.count(-1) > 1 or (new.count(-1) == 1 and known == 0):
            return [f"new shape {list(new)} leaves more than one size open"]
        return []
