"""CALL_ONCE: an initialiser, which `resource_variables` takes away."""

from typing import Any

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator


class CallOnce(Operator):
    """No inputs, no outputs; the attribute is the number of the initialiser's graph.

    Refused where the initialiser does more than assign constants to variables.
    """

    kind = "CALL_ONCE"
    inputs = 0
    outputs = 0
    options = "CallOnceOptions"

    def read(self, options: Any) -> int:
        return int(options.InitSubgraphIndex())

    def problems(self, op: Op) -> list[str]:
        return ["its initialiser does more than assign constants to variables; freeze the model"]

    def lower(self, op: Op) -> list[KernelCall]:
        raise AssertionError("refused")
