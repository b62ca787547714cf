"""DEPTHWISE_CONV_2D of int8 of any window, stride and dilation for Armv6-M."""

from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.ops import KernelCall
from lotor.targets.depthwise_conv_2d_dsp_general import row_by_row, rows_in_room
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import MOST_PACKED, MOST_STEP, table

# In assembly, or dear at run time.
FIXED = (
    *("in_w", "in_step", "out_w", "out_step", "kernel_h", "kernel_w", "stride_w", "pad_w"),
    *("dilation_h", "dilation_w", "part", "pitch", "bent", "deep", "out_min", "out_max"),
)
_PARTS = 3  # of a row, see `v6m_dense.h`
_BYTES = 8  # of a column, for all of them
_MOST_TAPS = 32  # in a row, and the most dilation: an immediate


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v6m_general.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = row_by_row(call)
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T.astype(np.int64)
    filters += p["weights_offset"]
    part = -(-p["out_w"] // _PARTS)
    if (
        max(p["kernel_w"], p["dilation_w"]) > _MOST_TAPS
        or max(part * p["out_step"], _BYTES * p["stride_w"]) > MOST_STEP
        or int(np.abs(filters).sum(axis=1).max()) * 128 >= MOST_PACKED
    ):
        return None
    sums = Sums.of(call, filters)
    line = short_line(sums)
    if line is None:
        return None
    words = table(sums, line)
    pitch = (part - 1) * p["stride_w"] + (p["kernel_w"] - 1) * p["dilation_w"] + 1
    names = (
        "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w stride_h "
        "stride_w pad_h pad_w dilation_h dilation_w depth_multiplier weights_offset"
    )
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -p["in_offset"],
        "part": part,
        "pitch": pitch,
        "by_channel": p["by_channel"],
        "columns": words.shape[1],
        "bent": int(line.bent),
        "deep": int(line.deep),
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    packed = replace(
        call,
        params=params,
        constants={"weights": call.constants["weights"], "table": words.reshape(-1)},
        structure="depthwise_conv_2d_v6m_general",
    )
    return _with_rows(packed, rows_in_room(packed, _BYTES))


def shrink(call: KernelCall) -> KernelCall:
    """Return the call with as few gathered rows as it can do with."""
    return _with_rows(call, 1)


def _with_rows(call: KernelCall, rows: int) -> KernelCall:
    """Return a call that computes so many rows of the output at once."""
    p = {name: int(value) for name, value in call.params.items()}
    reach = (p["kernel_h"] - 1) * p["dilation_h"] + 1
    columns = ((rows - 1) * p["stride_h"] + reach) * p["pitch"]
    words = p["kernel_h"] * p["kernel_w"] + columns * _BYTES // 4
    scratch = Tensor(f"{call.outputs[0].name} rows", (words,), DType.INT32)
    outputs = [call.outputs[0], scratch]
    return replace(call, params={**call.params, "rows": rows}, outputs=outputs)
