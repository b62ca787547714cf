"""SHAPE: the sizes of a tensor's dimensions, known to the compiler."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.movement import constant_calls, wrong_shape
from lotor.ops.operator import KernelCall, Operator, dtype_problems


class Shape(Operator):
    """Any input, output [rank] int32 or int64."""

    kind = "SHAPE"
    of_shape = True

    def problems(self, op: Op) -> list[str]:
        y = op.outputs[0]
        return wrong_shape(y, (len(op.input(0).shape),)) or dtype_problems(
            [y], DType.INT32, DType.INT64
        )

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y = op.input(0), op.outputs[0]
        return None if self.problems(op) else [np.array(x.shape, y.np_dtype)]

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        return constant_calls(np.array(x.shape, y.np_dtype), y)
