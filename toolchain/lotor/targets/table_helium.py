"""Functions of one int8 by table for Helium: the order of the table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.overlap import block_clearance

_AT_ONCE = 16


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/table/helium.h`; None if its inputs are not int8."""
    if call.function != "table":
        return None
    # By the byte of an input instead of its value.
    values = np.roll(call.constants["values"], 128)
    return replace(call, constants={**call.constants, "values": values}, structure="table_helium")


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: sixteen are looked up, then written."""
    p = {name: int(value) for name, value in call.params.items()}
    first = np.arange(0, p["row"], _AT_ONCE)
    rows = np.arange(p["rows"])[:, None]
    ends = rows * p["out_step"] + np.minimum(first + _AT_ONCE, p["row"])
    reads = rows * p["in_step"] + first
    return [Clearance(block_clearance(ends.reshape(-1), reads.reshape(-1), call.inputs[0]), None)]
