"""SUB: elementwise difference of two tensors."""

from lotor.graph import Array, Op
from lotor.ops.binary import clamped
from lotor.ops.summing import Summing


class Sub(Summing):
    """int8 and int16 with quantizations of their own, int32, float32; with broadcasting."""

    kind = "SUB"
    options = "SubOptions"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return clamped(op, a - b)
