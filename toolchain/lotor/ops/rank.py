"""RANK: how many dimensions a tensor has, known to the compiler."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.movement import constant_calls, wrong_shape
from lotor.ops.operator import KernelCall, Operator, dtype_problems


class Rank(Operator):
    """Any input, output a single int32."""

    kind = "RANK"
    of_shape = True

    def problems(self, op: Op) -> list[str]:
        y = op.outputs[0]
        return wrong_shape(y, ()) or dtype_problems([y], DType.INT32)

    def evaluate(self, op: Op) -> list[Array] | None:
        return None if self.problems(op) else [np.array(len(op.input(0).shape), np.int32)]

    def lower(self, op: Op) -> list[KernelCall]:
        return constant_calls(np.array(len(op.input(0).shape), np.int32), op.outputs[0])
