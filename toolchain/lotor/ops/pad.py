"""PAD: a border of the zero point, or of 0 where there is none."""

from lotor.graph import DType, Op, Tensor
from lotor.ops.copy import Copy, View, filled, integers
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.operator import same_quantization_problems

Paddings = list[tuple[int, int]]


def paddings_of(op: Op) -> Paddings | None:
    """Return (before, after) of each axis from input 1, None if it is not that."""
    rank, tensor = len(op.input(0).shape), op.input(1)
    values = integers(tensor, 2 * rank)
    if values is None or tensor.shape != (rank, 2) or min(values, default=0) < 0:
        return None
    return list(zip(values[::2], values[1::2], strict=True))


def padding_problems(op: Op) -> list[str]:
    """Return what is wrong with the paddings and the output's shape."""
    x, paddings = op.input(0), paddings_of(op)
    if paddings is None:
        name, rank = op.input(1).name, len(x.shape)
        return [f"paddings '{name}' must be {rank} constant pairs of integers, none negative"]
    want = tuple(a + n + b for n, (a, b) in zip(x.shape, paddings, strict=True))
    return wrong_shape(op.outputs[0], want)


class Pad(Movement):
    """Any input, paddings [rank, 2] constant; one quantization."""

    kind = "PAD"
    inputs = 2

    def form_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = padding_problems(op)
        if x.quant is not None and y.quant is not None:
            found += same_quantization_problems(x, y)
        if y.quant is not None and not _fits(y, y.q.zero_point):
            found.append(f"'{y.name}' has zero point {y.q.zero_point}, no {y.dtype.value} value")
        return found

    def border(self, op: Op) -> Copy:
        """Return the copy that fills the output."""
        y = op.outputs[0]
        quantized = y.quant is not None and y.dtype in (DType.INT8, DType.UINT8, DType.INT16)
        return filled(View.of(y), y.q.zero_point if quantized else 0)

    def copies(self, op: Op) -> list[Copy]:
        x, y = op.input(0), op.outputs[0]
        inside = View.of(y)
        for axis, (before, _) in enumerate(paddings_of(op) or ()):
            inside = inside.part(axis, before, x.shape[axis])
        middle = Copy(View.of(x), inside)
        return [middle] if x.shape == y.shape else [self.border(op), middle]


def _fits(tensor: Tensor, value: int) -> bool:
    limits = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}
    low, high = limits.get(tensor.dtype, (value, value))
    return low <= value <= high
