"""What LOGICAL_AND and LOGICAL_OR share."""

from typing import ClassVar

from lotor.graph import DType, Op
from lotor.ops.binary import Binary
from lotor.ops.broadcast import broadcast_call
from lotor.ops.operator import KernelCall


class Logical(Binary):
    """An operator of two truth values; its kernel function is named after its kind."""

    dtypes: ClassVar[tuple[DType, ...]] = (DType.BOOL,)
    wide = False

    def lower(self, op: Op) -> list[KernelCall]:
        inputs = [op.input(0), op.input(1)]
        return [broadcast_call("logical", self.kind.lower(), inputs, op.outputs[0], {})]
