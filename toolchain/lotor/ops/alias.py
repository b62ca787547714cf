"""ALIAS: another shape of the same bytes; made by rewrites, unknown to model files."""

from lotor.graph import Op
from lotor.ops.movement import alias_call
from lotor.ops.operator import KernelCall, Operator


class Alias(Operator):
    """Input and output of one type and as many elements; nothing is computed or copied."""

    kind = "ALIAS"
    internal = True

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.data is None and (x.dtype, x.elements) == (y.dtype, y.elements):
            return []
        return [f"{x.dtype.value}{list(x.shape)} is no other shape of its output"]

    def lower(self, op: Op) -> list[KernelCall]:
        return [alias_call(op.input(0), op.outputs[0])]
