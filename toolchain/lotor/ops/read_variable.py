"""READ_VARIABLE: the value that a variable has at this point."""

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator


class ReadVariable(Operator):
    """Input: a variable, in the file its handle. Output: a copy of its value."""

    kind = "READ_VARIABLE"
    stateful = True

    def problems(self, op: Op) -> list[str]:
        if not op.input(0).variable:
            return [f"variable '{op.input(0).name}' cannot be kept; see its VAR_HANDLE"]
        return []

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        return [KernelCall("variable", "variable", [x], [y], {"bytes": y.nbytes})]
