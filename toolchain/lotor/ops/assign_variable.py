"""ASSIGN_VARIABLE: a variable's value from here on, in later runs too."""

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator


class AssignVariable(Operator):
    """In the file: inputs handle and value, no output.

    After `resource_variables`: input value, output the memory of the variable.
    """

    kind = "ASSIGN_VARIABLE"
    inputs = 2
    outputs = 0
    stateful = True

    def problems(self, op: Op) -> list[str]:
        if op.outputs[0].within is None:
            return [f"variable '{op.input(0).name}' cannot be kept; see its VAR_HANDLE"]
        return []

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        return [KernelCall("variable", "variable", [x], [y], {"bytes": y.nbytes})]
