"""DEPTHWISE_CONV_2D of int8 for Armv6-M: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import table

# In assembly, or dear at run time.
FIXED = (
    *("batches", "in_w", "stride_w", "pad_w", "depth_multiplier"),
    *("bent", "deep", "out_min", "out_max"),
)
_TAPS = 3  # rows and columns of a window
_MOST_STRIDE = 8


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v6m.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T
    if (
        (p["kernel_h"], p["kernel_w"]) != (_TAPS, _TAPS)
        or (p["dilation_h"], p["dilation_w"]) != (1, 1)
        or p["stride_w"] > _MOST_STRIDE
        or p["weights_offset"] != 0
    ):
        return None
    sums = Sums.of(call, filters)
    line = short_line(sums)
    if line is None:
        return None
    by_column = filters.astype(np.int64).reshape(-1, _TAPS, _TAPS).transpose(0, 2, 1)
    rows = table(sums, line)
    words = np.concatenate(
        [by_column.reshape(len(filters), -1) & 0xFFFFFFFF, rows[:, 1:], rows[:, :1]], axis=1
    )
    columns = max((p["out_w"] - 1) * p["stride_w"] + _TAPS, p["pad_w"] + p["in_w"])
    names = (
        "batches in_h in_w out_h out_w out_c in_step out_step stride_h stride_w pad_h pad_w "
        "depth_multiplier out_min out_max"
    )
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -p["in_offset"],
        "columns": columns,
        "words": words.shape[1],
        "bent": int(line.bent),
        "deep": int(line.deep),
    }
    gathered = Tensor(f"{call.outputs[0].name} rows", (_TAPS * columns,), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"table": words.reshape(-1).astype(np.uint32)},
        outputs=[*call.outputs, gathered],
        structure="depthwise_conv_2d_v6m",
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output.

    All channels of a row are written before the next row; a channel is written when its input has
    been read and that of the next one not yet.
    """
    p = {name: int(value) for name, value in call.params.items()}
    y = np.arange(p["batches"] * p["out_h"])
    top = np.maximum(y % p["out_h"] * p["stride_h"] - p["pad_h"], 0)
    needed = (y // p["out_h"] * p["in_h"] + np.minimum(top, p["in_h"])) * p["in_w"] * p["in_step"]
    # The first channel of the last pixel that is written.
    written = ((y + 1) * p["out_w"] - 1) * p["out_step"]
    forward = [-call.inputs[0].nbytes]
    if p["out_c"] > 1:
        channels = np.arange(1, p["out_c"])
        ahead = int((channels - channels // p["depth_multiplier"]).max())
        forward.append(int((written - needed).max()) + ahead)
    if len(y) > 1:
        forward.append(int((written[:-1] + p["out_c"] - needed[1:]).max()))
    return [Clearance(max(forward), None)]
