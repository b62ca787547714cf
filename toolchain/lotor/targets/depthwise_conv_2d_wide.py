"""DEPTHWISE_CONV_2D of int8 for wide vector registers: which layers, how weights are packed."""

from dataclasses import replace

import numpy as np

from lotor.ops import KernelCall
from lotor.targets.conv_2d_wide import LANES, scale_table

_NAMES = (
    "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w dilation_h dilation_w depth_multiplier in_offset out_offset out_min out_max"
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/depthwise_conv_2d/wide.h`; None for several outputs a channel."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["depth_multiplier"] != 1:
        return None
    weights = call.constants["weights"].reshape(-1, p["out_c"]).astype(np.int32)
    weights = weights + p["weights_offset"]
    table = scale_table(call)
    close = p["in_step"] == p["out_step"] == p["in_c"] and p["stride_w"] == 1
    across = bool(p["in_c"] % LANES) and close and p["out_w"] > 1
    if across:
        weights, table = (np.tile(rows, p["out_w"]) for rows in (weights, table))
    rest = (0, -weights.shape[1] % LANES)
    weights, table = (np.pad(rows, ((0, 0), rest)) for rows in (weights, table))
    params = {name: p[name] for name in _NAMES.split()}
    params |= {"period": weights.shape[1], "across": int(across)}
    return replace(
        call,
        params=params,
        constants={"weights": weights.astype(np.int32).reshape(-1), "table": table.reshape(-1)},
        structure="depthwise_conv_2d_wide",
    )
