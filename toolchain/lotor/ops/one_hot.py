"""ONE_HOT: each index becomes a row in which one element is on."""

import math
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.copy import integers
from lotor.ops.movement import Mover, wrong_shape
from lotor.ops.operator import KernelCall, dtype_problems


class OneHot(Mover):
    """Indices int32 or int64, depth constant, the two values of any type but int16.

    An index outside of the depth gives a row that is off, as in the reference, which reads the
    lower 32 bits of int64. It takes models with values of int16, but cannot run them. The two
    values need not be constants. The attribute is the axis, -1 for the last one of the output.
    """

    kind = "ONE_HOT"
    inputs = 4
    options = "OneHotOptions"

    def read(self, options: Any) -> int:
        return int(options.Axis())

    def moved(self, op: Op) -> list[Tensor]:
        return [op.input(2), op.input(3), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        indices, depth, values, y = op.input(0), op.input(1), self.moved(op)[:2], op.outputs[0]
        rank = len(indices.shape)
        found = dtype_problems([indices], DType.INT32, DType.INT64)
        if y.dtype is DType.INT16:
            found.append(f"output '{y.name}' is int16, which the reference cannot run")
        found += [
            f"value '{value.name}' has {value.elements} elements; 1 needed"
            for value in values
            if value.elements != 1
        ]
        if not -1 <= op.attrs <= rank:
            found.append(f"axis {op.attrs} is neither -1 nor within the output's {rank + 1}")
        size = integers(depth, 1)
        if size is None or depth.dtype is not DType.INT32:
            return [*found, f"depth '{depth.name}' must be one constant int32"]
        if found:
            return found
        axis = self._axis(op)
        return wrong_shape(y, (*indices.shape[:axis], size[0], *indices.shape[axis:]))

    def _axis(self, op: Op) -> int:
        """Return the output's axis along which a row lies."""
        return len(op.input(0).shape) if op.attrs == -1 else int(op.attrs)

    def _sizes(self, op: Op) -> tuple[int, int, int]:
        """Return outer size, depth and inner size of the output."""
        axis, shape = self._axis(op), op.outputs[0].shape
        return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])

    def evaluate(self, op: Op) -> list[Array] | None:
        if self.flaws(op):
            return None
        indices, on, off = (op.input(i).data for i in (0, 2, 3))
        if indices is None or on is None or off is None:
            return None
        outer, depth, inner = self._sizes(op)
        places = indices.astype(np.int32).reshape(outer, 1, inner)
        hot = places == np.arange(depth).reshape(1, depth, 1)
        return [np.where(hot, on.reshape(()), off.reshape(())).reshape(op.outputs[0].shape)]

    def lower(self, op: Op) -> list[KernelCall]:
        indices, y = op.input(0), op.outputs[0]
        outer, depth, inner = self._sizes(op)
        params = {
            "outer": outer,
            "depth": depth,
            "inner": inner,
            "index_bytes": indices.np_dtype.itemsize,
            "run": y.np_dtype.itemsize,
        }
        inputs = [indices, op.input(2), op.input(3)]
        return [KernelCall("one_hot", "one_hot", inputs, [y], params)]
