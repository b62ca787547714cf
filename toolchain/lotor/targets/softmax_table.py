"""SOFTMAX of int8 with many classes by a table."""

from collections.abc import Sequence
from dataclasses import replace

from lotor.graph import DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall

_DIFFERENCES = 256  # of two int8


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/softmax/table.h`; None where its table does not pay."""
    if call.function != "softmax":
        return None
    p = call.params
    counting = min(1 - int(p["diff_min"]), _DIFFERENCES)
    if p["depth"] < counting:
        return None
    params = {name: p[name] for name in ("rows", "depth", "multiplier", "left_shift")}
    table = Tensor(f"{call.outputs[0].name} table", (counting,), DType.INT32)
    return replace(
        call,
        params=params | {"counting": counting},
        outputs=[*call.outputs, table],
        structure="softmax_table",
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: in the end, element by element."""
    return [Clearance(0, None)]
