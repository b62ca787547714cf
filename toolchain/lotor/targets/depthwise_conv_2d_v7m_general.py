"""DEPTHWISE_CONV_2D of int8 of any shape for Armv7-M.

The order is that of the kernel with DSP instructions, and so are the clearances.
"""

from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.ops import KernelCall
from lotor.targets.depthwise_conv_2d_dsp_general import (
    GEOMETRY,
    gathered,
    row_by_row,
    rows_in_room,
)
from lotor.targets.dsp_scale import DspScale
from lotor.targets.linear_scale import Sums
from lotor.targets.v7m_sums import line_of

_COLUMNS = 3
_BYTES = 4  # of two gathered inputs
_MOST_OFFSET = 1020  # of LDRD
_FARTHEST = 4095  # of LDR and ADD


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m_general.h`; None where a window is too wide for it."""
    if call.function != "depthwise_conv_2d":
        return None
    p = row_by_row(call)
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T.astype(np.int16)
    filters += np.int16(p["weights_offset"])
    sums = Sums.of(call, filters)
    scale = DspScale.on_line(sums, line_of(sums))
    half = -(-p["out_w"] // 2)
    reach = (p["kernel_w"] - 1) * p["dilation_w"] + 1
    pitch = (half - 1) * p["stride_w"] + reach
    farthest = 4 * (reach + (_COLUMNS - 1) * p["stride_w"])
    if farthest > _MOST_OFFSET:
        return None
    run = 2 if p["weights_offset"] == 0 else 1
    row_step = pitch * p["dilation_h"]
    joint = run == 2 and p["kernel_w"] % 2 == 1 and p["kernel_h"] > 1
    joint = joint and 4 * row_step + farthest <= _FARTHEST
    one_row = -(-p["kernel_w"] // run)
    pairs_of_rows = p["kernel_h"] // 2 if joint else 0
    runs = pairs_of_rows * p["kernel_w"] + (p["kernel_h"] - 2 * pairs_of_rows) * one_row
    params = {name: p[name] for name in GEOMETRY.split()}
    params |= {
        "in_zero_point": -p["in_offset"],
        "run": run,
        "joint": int(joint),
        "runs": runs,
        "pitch": pitch,
        "row_step": row_step if joint else 0,
        "rest": half % _COLUMNS,
        **scale.params,
    }
    packed = replace(
        call,
        params=params,
        constants={"weights": call.constants["weights"], "scales": scale.table},
        structure="depthwise_conv_2d_v7m_general",
    )
    return _with_rows(packed, rows_in_room(packed, _BYTES))


def _with_rows(call: KernelCall, rows: int) -> KernelCall:
    """Return a call that computes so many rows of the output at once."""
    p = {name: int(value) for name, value in call.params.items()}
    shape = (p["kernel_h"] * p["kernel_w"] + gathered(rows, p),)
    scratch = Tensor(f"{call.outputs[0].name} rows", shape, DType.INT32)
    outputs = [call.outputs[0], scratch]
    return replace(call, params={**call.params, "rows": rows}, outputs=outputs)


def shrink(call: KernelCall) -> KernelCall:
    """Return the call with as few gathered rows as it can do with."""
    return _with_rows(call, 1)
