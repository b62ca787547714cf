"""FILL: one value everywhere."""

from lotor.graph import DType, Op, Tensor
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape


class Fill(Movement):
    """Dimensions [rank] int32 or int64 constant, a value of any type, constant or not."""

    kind = "FILL"
    inputs = 2

    def moved(self, op: Op) -> list[Tensor]:
        return [op.input(1), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        dims, value, y = op.input(0), op.input(1), op.outputs[0]
        shape = integers(dims, len(y.shape))
        if shape is None or dims.dtype not in (DType.INT32, DType.INT64):
            return [f"dimensions '{dims.name}' must be {len(y.shape)} constant integers"]
        if value.elements != 1:
            return [f"value '{value.name}' has {value.elements} elements; 1 needed"]
        return wrong_shape(y, tuple(shape))

    def copies(self, op: Op) -> list[Copy]:
        whole = View.of(op.outputs[0])
        return [Copy(View(op.input(1), whole.shape, (0,) * len(whole.shape)), whole)]
