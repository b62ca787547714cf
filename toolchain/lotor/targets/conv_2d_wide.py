"""CONV_2D of int8 for wide vector registers: which layers, and how weights are packed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lotor.graph import Array
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.ops.int4 import unpacked

LANES = 16
_MOST = 4608  # inputs of a window, for which the kernel has room
_NAMES = (
    "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w dilation_h dilation_w group_c in_offset out_offset out_min out_max"
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/conv_2d/wide.h`; None for groups and very large windows."""
    if call.function == "conv_2d_int4":
        call = unpacked(call)
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["group_c"] != p["in_c"]:
        return None
    filters = call.constants["weights"].reshape(p["out_c"], -1).astype(np.int16)
    filters += np.int16(p["weights_offset"])
    if filters.shape[1] + 1 > _MOST:
        return None
    blocks, pairs = -(-p["out_c"] // LANES), -(-filters.shape[1] // 2)
    padded = np.zeros((blocks * LANES, pairs * 2), np.int16)
    padded[: p["out_c"], : filters.shape[1]] = filters
    weights = padded.reshape(blocks, LANES, pairs, 2).transpose(0, 2, 1, 3)
    columns = np.zeros((4, blocks * LANES), np.int32)
    columns[:, : p["out_c"]] = scale_table(call)
    table = columns.reshape(4, blocks, LANES).transpose(1, 0, 2)
    return replace(
        call,
        params={name: p[name] for name in _NAMES.split()} | {"pairs": pairs},
        constants={"weights": weights.reshape(-1), "table": table.reshape(-1)},
        structure="conv_2d_wide",
    )


def scale_table(call: KernelCall) -> npt.NDArray[np.int32]:
    """Return bias, multiplier, shift to the left and to the right: int32 [4, channels]."""
    shift: Array = call.constants["shift"].astype(np.int32)
    return np.stack(
        [
            call.constants["bias"].astype(np.int32),
            call.constants["multiplier"].astype(np.int32),
            np.maximum(shift, 0),
            np.maximum(-shift, 0),
        ]
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return that nothing lies over anything: who has such registers has the memory."""
    return [NO_CLEARANCE] * len(call.inputs)
