"""PADV2: a border of a given value."""

from lotor.graph import Op, Tensor
from lotor.ops.copy import Copy, View
from lotor.ops.operator import same_quantization_problems
from lotor.ops.pad import Pad


class PadV2(Pad):
    """Any input, paddings [rank, 2] constant, a value of one element; one quantization."""

    kind = "PADV2"
    inputs = 3

    def moved(self, op: Op) -> list[Tensor]:
        return [op.input(0), op.input(2), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        value, y = op.input(2), op.outputs[0]
        found = super().form_problems(op)
        if value.elements != 1:
            found.append(f"value '{value.name}' has {value.elements} elements; 1 needed")
        if value.quant is not None and y.quant is not None:
            found += same_quantization_problems(value, y)
        return found

    def border(self, op: Op) -> Copy:
        whole = View.of(op.outputs[0])
        return Copy(View(op.input(2), whole.shape, (0,) * len(whole.shape)), whole)
