"""SELECT_V2: of two tensors the one or the other, element by element; with broadcasting."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.binary import constant_inputs
from lotor.ops.broadcast import Operand, broadcast_problems, walk
from lotor.ops.operator import KernelCall, Operator, dtype_problems

_TYPES = {
    DType.UINT8: "uint8",
    DType.BOOL: "uint8",
    DType.INT8: "int8",
    DType.INT16: "int16",
    DType.INT32: "int32",
    DType.FLOAT32: "float",
}


class SelectV2(Operator):
    """The second input where the first (bool) holds, else the third; with broadcasting.

    Numbers are copied without regard to their scales, as in the reference: the output is not
    clamped, so that no limits can be folded into it.
    """

    kind = "SELECT_V2"
    inputs = 3

    def shapes(self, op: Op) -> list[tuple[int, ...]]:
        """Return the inputs' shapes as they broadcast."""
        return [op.input(i).shape for i in range(3)]

    def problems(self, op: Op) -> list[str]:
        condition, a, b, y = op.input(0), op.input(1), op.input(2), op.outputs[0]
        found = dtype_problems([condition], DType.BOOL) + dtype_problems([a], *_TYPES)
        if not a.dtype is b.dtype is y.dtype:
            found.append("the two inputs to select from and the output differ in type")
        return found + self.shape_problems(op)

    def shape_problems(self, op: Op) -> list[str]:
        """Return what is wrong with the shapes."""
        return broadcast_problems([op.input(i) for i in range(3)], op.outputs[0])

    def strided(self, op: Op) -> bool:
        return True

    def lower(self, op: Op) -> list[KernelCall]:
        inputs, y = [op.input(i) for i in range(3)], op.outputs[0]
        operands = [Operand.of(t) for t in inputs]
        shape = self.shapes(op)[0]
        if shape != inputs[0].shape:  # a vector along the first axis
            operands[0] = Operand(shape, 1)
        found = walk(operands, Operand.of(y))
        names = ("condition_step", "a_step", "b_step")
        params = {"row": found.row} | dict(zip(names, found.steps, strict=True))
        function = f"select_{_TYPES[y.dtype]}"
        return [KernelCall("select", function, inputs, [y], params, {"loops": found.loops})]

    def evaluate(self, op: Op) -> list[Array] | None:
        values = constant_inputs(op, 3)
        if values is None or values[0].dtype != np.bool_ or values[1].dtype != values[2].dtype:
            return None
        if self.shape_problems(op):
            return None
        condition, a, b = (v.reshape(s) for v, s in zip(values, self.shapes(op), strict=True))
        return [np.where(condition, a, b)]
