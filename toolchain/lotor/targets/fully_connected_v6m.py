"""FULLY_CONNECTED of int8 for Armv6-M: which layers, and their table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import PIXELS, table

# In assembly.
FIXED = ("inputs", "weights_offset", "columns", "bent", "deep", "out_min", "out_max")
_GROUP = 4


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v6m.h`; None where it would not be exact or not work."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    return _packed(call, p["batches"], p["inputs"])


def pack_convolution(call: KernelCall) -> KernelCall | None:
    """Return the same for a convolution of so few pixels that it is a dense layer of each."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    pixels, kernel = p["out_h"] * p["out_w"], (p["kernel_h"], p["kernel_w"])
    whole = pixels == 1 and kernel == (p["in_h"], p["in_w"])
    pointwise = kernel == (1, 1) and pixels == p["in_h"] * p["in_w"]
    if (
        not (whole or pointwise)
        or p["batches"] * pixels >= PIXELS
        or p["pad_h"] + p["pad_w"] > 0
        or (p["dilation_h"], p["dilation_w"]) != (1, 1)
        or (p["in_step"], p["group_c"], p["out_step"]) != (p["in_c"], p["in_c"], p["out_c"])
    ):
        return None
    return _packed(call, p["batches"] * pixels, p["kernel_h"] * p["kernel_w"] * p["in_c"])


def _packed(call: KernelCall, batches: int, inputs: int) -> KernelCall | None:
    p, weights = call.params, call.constants["weights"]
    outputs = weights.size // inputs
    if outputs < _GROUP:
        return None
    offset = int(p["weights_offset"])
    sums = Sums.of(call, weights.reshape(outputs, inputs).astype(np.int16) + offset)
    line = short_line(sums)
    if line is None:
        return None
    rows = table(sums, line)
    params = {
        "batches": batches,
        "inputs": inputs,
        "outputs": outputs,
        "weights_offset": offset,
        "columns": rows.shape[1],
        "bent": int(line.bent),
        "deep": int(line.deep),
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    return replace(
        call,
        kernel="fully_connected",
        function="fully_connected",
        params=params,
        constants={"weights": weights, "table": rows.reshape(-1)},
        structure="fully_connected_v6m",
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)
