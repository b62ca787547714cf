"""DEPTHWISE_CONV_2D of int8 of any shape for the DSP instructions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.blocks import rows_block
from lotor.targets.dsp_scale import DspScale
from lotor.targets.linear_scale import Sums

_LANES = 4
# Bytes of gathered rows, and of outputs that keep their distance from the input meanwhile: at most
# so many, or this part of the input where that is more.
_ROOM = 2048
_SHARE = 25
_BYTES = 2  # of a gathered input
GEOMETRY = (
    "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w stride_h "
    "stride_w pad_h pad_w dilation_h dilation_w depth_multiplier weights_offset by_channel"
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp_general.h`, which is exact for every layer."""
    if call.function != "depthwise_conv_2d":
        return None
    p = row_by_row(call)
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T.astype(np.int16)
    filters += np.int16(p["weights_offset"])
    scale = DspScale.of(Sums.of(call, filters)).lifted(int(np.abs(filters).max()))
    width, stride = p["out_w"], p["stride_w"]
    reach_w = (p["kernel_w"] - 1) * p["dilation_w"] + 1
    words = reach_w // 2 + 1 if stride % 2 else -(-reach_w // 2)
    pitch = max((width - 1) * stride + reach_w, p["in_w"] + p["pad_w"])
    pitch += pitch % 2
    params = {name: p[name] for name in GEOMETRY.split()}
    params |= {"words": words, "pitch": pitch}
    params |= {"in_zero_point": -p["in_offset"], "rest": width % _LANES, **scale.params}
    packed = replace(
        call,
        params=params,
        constants={"weights": call.constants["weights"], "scales": scale.table},
        structure="depthwise_conv_2d_dsp_general",
    )
    return _with_rows(packed, rows_in_room(packed, _BYTES))


def row_by_row(call: KernelCall) -> dict[str, int]:
    """Return the parameters, columns of one pixel turned to rows, and whether it is by channel."""
    p = {name: int(value) for name, value in call.params.items()}
    if p["in_w"] == p["out_w"] == p["kernel_w"] == 1:
        # A column is stored as a row is.
        for name in ("in", "out", "kernel", "stride", "pad", "dilation"):
            h, w = f"{name}_h", f"{name}_w"
            p[h], p[w] = p[w], p[h]
    # Stride 1 can replace the input, channel by channel.
    same = call.inputs[0].shape == call.outputs[0].shape and p["in_step"] == p["out_step"]
    strides = (p["stride_h"], p["stride_w"], p["depth_multiplier"])
    return p | {"by_channel": int(same and strides == (1, 1, 1))}


def rows_in_room(call: KernelCall, column: int) -> int:
    """Return the rows of the output that can be computed at once.

    Args:
        call: with all parameters but these.
        column: bytes of gathered rows for each of their columns.
    """
    p = {name: int(value) for name, value in call.params.items()}
    room = max(_ROOM, call.inputs[0].nbytes // _SHARE)
    rows = p["out_h"]
    while rows > 1:
        outputs = 0 if p["by_channel"] else rows * p["out_w"] * p["out_step"]
        if outputs + column * gathered(rows, p) <= room:
            break
        rows -= 1
    return rows


def _with_rows(call: KernelCall, rows: int) -> KernelCall:
    """Return a call that computes so many rows of the output at once."""
    p = {name: int(value) for name, value in call.params.items()}
    stride, words = p["stride_w"], p["words"]
    # The last step reads beyond the row.
    last = ((p["out_w"] - 1) // _LANES * _LANES + _LANES - 1) * stride + 2 * words
    filter_ = p["kernel_h"] * words * (4 if stride % 2 else 2)
    elements = filter_ + gathered(rows, p) + max(0, last - p["pitch"])
    shape = (elements + elements % 2,)
    scratch = Tensor(f"{call.outputs[0].name} rows", shape, DType.INT16)
    outputs = [call.outputs[0], scratch]
    return replace(call, params={**call.params, "rows": rows}, outputs=outputs)


def shrink(call: KernelCall) -> KernelCall:
    """Return the call with as few gathered rows as it can do with."""
    return _with_rows(call, 1)


ROWS = rows_block(_with_rows)


def gathered(rows: int, p: dict[str, int]) -> int:
    """Return the elements that are gathered for so many rows of the output."""
    reach = (p["kernel_h"] - 1) * p["dilation_h"] + 1
    return ((rows - 1) * p["stride_h"] + reach) * p["pitch"]


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output.

    Channel by channel, what is overwritten has been gathered. Else all channels are computed for
    some rows of the output, and the input rows of these are needed until the last channel.
    """
    p = {name: int(value) for name, value in call.params.items()}
    if p["by_channel"]:
        return [Clearance(None, None, in_place=True)]
    first = np.arange(0, p["out_h"], p["rows"])
    images = np.arange(p["batches"])[:, None]
    end = (images * p["out_h"] + np.minimum(first + p["rows"], p["out_h"])).reshape(-1)
    top = np.clip(first * p["stride_h"] - p["pad_h"], 0, p["in_h"])
    read = (images * p["in_h"] + top).reshape(-1)
    # The last pixel that is written, and the first one that is read.
    written = end * p["out_w"] * p["out_step"] - p["out_step"]
    needed = read * p["in_w"] * p["in_step"]
    forward = [-call.inputs[0].nbytes]
    if p["in_c"] > 1:  # of a channel all outputs have been written before the next one is read
        more = (p["depth_multiplier"] - 1) * (p["in_c"] - 1)
        forward.append(int((written - needed).max()) + more)
    if len(end) > 1:  # of all channels, before the next rows are
        forward.append(int((written[:-1] + p["out_c"] - needed[1:]).max()))
    return [Clearance(max(forward), None)]
