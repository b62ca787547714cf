"""ZEROS_LIKE: zeros in the shape of a tensor."""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.copy import Copy, View, filled
from lotor.ops.movement import Movement, wrong_shape


class ZerosLike(Movement):
    """Any input; what it holds does not matter."""

    kind = "ZEROS_LIKE"
    of_shape = True

    def form_problems(self, op: Op) -> list[str]:
        return wrong_shape(op.outputs[0], op.input(0).shape)

    def copies(self, op: Op) -> list[Copy]:
        return [filled(View.of(op.outputs[0]), 0)]

    def evaluate(self, op: Op) -> list[Array] | None:
        y = op.outputs[0]
        return None if self.flaws(op) else [np.zeros(y.shape, y.np_dtype)]
