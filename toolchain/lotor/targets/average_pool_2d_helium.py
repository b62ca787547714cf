"""AVERAGE_POOL_2D of int8 for Helium: which layers, and the division as a line."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.helium_weights import half_up
from lotor.targets.linear_scale import linear_scale
from lotor.targets.overlap import block_clearance, image_reads

_CHANNELS = 8
_MOST = 255  # inputs of a window whose sum has 16 bits
_LIFTS = (13, 12, 11, 10)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/average_pool_2d/helium.h`; None where it would not be exact."""
    if call.function != "average_pool_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    count = p["kernel_h"] * p["kernel_w"]
    ends = [(p[f"out_{a}"] - 1) * p[f"stride_{a}"] + p[f"kernel_{a}"] for a in "hw"]
    if (
        p["in_c"] < _CHANNELS
        or count > _MOST
        or p["pad_h"] + p["pad_w"] > 0
        or ends[0] > p["in_h"]
        or ends[1] > p["in_w"]
        or p["half_up"]
    ):
        return None

    def outputs(sums: Array) -> Array:
        mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        limited: Array = np.clip(mean, p["out_min"], p["out_max"])
        return limited

    ranges = np.array([-128 * count]), np.array([127 * count])
    limits = p["out_min"], p["out_max"]
    for lift in _LIFTS:
        line = linear_scale(outputs, np.array([1 / count]), ranges, limits, lift)
        if line is not None and line.shift > 1:
            names = (
                "batches in_h in_w in_c out_h out_w in_step out_step "
                "kernel_h kernel_w stride_h stride_w"
            )
            params = {name: p[name] for name in names.split()}
            params |= {
                "multiplier": int(line.multiplier[0]),
                "addend": int(line.addend[0]) - half_up(line.shift),
                "lift": line.lift,
                "shift": line.shift,
                "out_min": p["out_min"],
                "out_max": p["out_max"],
            }
            return replace(call, params=params, structure="average_pool_2d_helium")
    return None


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: eight channels are read, then written."""
    p = {name: int(value) for name, value in call.params.items()}
    channels = np.minimum(np.arange(0, p["in_c"], _CHANNELS), p["in_c"] - _CHANNELS)
    pixels = image_reads(replace(call, params={**p, "pad_h": 0, "pad_w": 0}))
    reads = (pixels[:, None] + channels).reshape(-1)
    starts = np.arange(len(pixels))[:, None] * p["out_step"] + channels
    return [Clearance(block_clearance(starts.reshape(-1) + _CHANNELS, reads, call.inputs[0]), None)]
