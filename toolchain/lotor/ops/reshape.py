"""RESHAPE: the same bytes under another shape; nothing is computed."""

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator


class Reshape(Operator):
    """Input and output of as many elements, one type and one quantization."""

    kind = "RESHAPE"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.elements != y.elements or x.dtype is not y.dtype:
            return [f"{x.elements} {x.dtype.value} cannot become {list(y.shape)} {y.dtype.value}"]
        if x.data is not None:
            return [f"input '{x.name}' is a constant; fold it before conversion"]
        return []

    def lower(self, op: Op) -> list[KernelCall]:
        return [KernelCall("", "", [op.input(0)], [op.outputs[0]], alias=True)]
