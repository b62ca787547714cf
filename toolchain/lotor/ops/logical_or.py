"""LOGICAL_OR: whether one of two truth values holds, or both."""

from lotor.graph import Array, Op
from lotor.ops.logical import Logical


class LogicalOr(Logical):
    """bool; with broadcasting."""

    kind = "LOGICAL_OR"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return a | b
