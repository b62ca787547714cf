"""ADD: elementwise sum of two tensors."""

from lotor.graph import Array, Op
from lotor.ops.binary import clamped
from lotor.ops.summing import Summing


class Add(Summing):
    """int8 and int16 with quantizations of their own, int32, float32; with broadcasting."""

    kind = "ADD"
    options = "AddOptions"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return clamped(op, a + b)
