"""VAR_HANDLE: the handle of a resource variable, which `resource_variables` takes away."""

from dataclasses import dataclass
from typing import Any

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator


@dataclass(frozen=True)
class VariableName:
    """What identifies a variable of a model."""

    container: str
    shared: str

    @property
    def text(self) -> str:
        """The name for people."""
        return self.shared or self.container or "variable"


class VarHandle(Operator):
    """Output: a handle. Refused where the variable cannot be kept in the arena."""

    kind = "VAR_HANDLE"
    inputs = 0
    options = "VarHandleOptions"

    def read(self, options: Any) -> VariableName:
        return VariableName(_text(options.Container()), _text(options.SharedName()))

    def problems(self, op: Op) -> list[str]:
        return [
            f"variable '{op.attrs.text}' cannot be kept: its values must have one shape and type, "
            "an initialiser that assigns constants, and no other use than read and assign"
        ]

    def lower(self, op: Op) -> list[KernelCall]:
        raise AssertionError("refused")


def _text(name: Any) -> str:
    text = (name or b"").decode("utf-8", "replace") if isinstance(name, bytes) else ""
    return "".join(c if c.isprintable() else "_" for c in text)
