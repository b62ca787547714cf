"""LOGICAL_AND: whether both of two truth values hold."""

from lotor.graph import Array, Op
from lotor.ops.logical import Logical


class LogicalAnd(Logical):
    """bool; with broadcasting."""

    kind = "LOGICAL_AND"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return a & b
