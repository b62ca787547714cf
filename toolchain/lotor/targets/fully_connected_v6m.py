"""FULLY_CONNECTED of int8 for Armv6-M: which layers, and their table."""

from collections.abc import Sequence
from dataclasses import replace

from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import table

FIXED = ("inputs", "columns", "bent", "deep", "out_min", "out_max")  # in assembly
_GROUP = 4


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v6m.h`; None where it would not be exact or not work."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["outputs"] < _GROUP or p["weights_offset"] != 0:
        return None
    weights = call.constants["weights"]
    sums = Sums.of(call, weights.reshape(p["outputs"], p["inputs"]))
    line = short_line(sums)
    if line is None:
        return None
    rows = table(sums, line)
    params = {name: p[name] for name in ("batches", "inputs", "outputs", "out_min", "out_max")}
    params |= {"columns": rows.shape[1], "bent": int(line.bent), "deep": int(line.deep)}
    constants = {"weights": weights, "table": rows.reshape(-1)}
    return replace(call, params=params, constants=constants, structure="fully_connected_v6m")


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)
