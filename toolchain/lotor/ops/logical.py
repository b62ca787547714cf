"""LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT: operators of truth values."""

from lotor.graph import Array, DType, Op
from lotor.ops.binary import Binary, constant_inputs
from lotor.ops.broadcast import broadcast_call
from lotor.ops.operator import KernelCall, Operator, dtype_problems


class LogicalAnd(Binary):
    """bool; with broadcasting."""

    kind = "LOGICAL_AND"
    dtypes = (DType.BOOL,)
    wide = False

    def lower(self, op: Op) -> list[KernelCall]:
        inputs = [op.input(0), op.input(1)]
        return [broadcast_call("logical", self.kind.lower(), inputs, op.outputs[0], {})]

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return a & b


class LogicalOr(LogicalAnd):
    """bool; with broadcasting."""

    kind = "LOGICAL_OR"

    def compute(self, op: Op, a: Array, b: Array) -> Array | None:
        return a | b


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
