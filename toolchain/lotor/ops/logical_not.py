"""LOGICAL_NOT: the opposite of a truth value."""

from lotor.graph import Array, DType, Op
from lotor.ops.binary import constant_inputs
from lotor.ops.operator import KernelCall, Operator, dtype_problems


class LogicalNot(Operator):
    """bool."""

    kind = "LOGICAL_NOT"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = dtype_problems([x, y], DType.BOOL)
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        return [KernelCall("logical", "logical_not", [x], [y], {"elements": y.elements})]

    def evaluate(self, op: Op) -> list[Array] | None:
        values = constant_inputs(op, 1)
        if values is None or self.problems(op):
            return None
        return [~values[0]]
