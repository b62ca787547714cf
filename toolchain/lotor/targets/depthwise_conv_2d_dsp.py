"""DEPTHWISE_CONV_2D of int8 for the DSP instructions: which layers, how weights are packed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.blocks import rows_block, turn_block
from lotor.targets.dsp_weights import (
    implied_addends,
    kept,
    line_from_24_bits,
    rounded_from_24_bits,
)
from lotor.targets.linear_scale import Sums
from lotor.targets.shared_call import SharedCall

_MOST_OFFSET = 1020  # of LDRD
_SHORT_TURN, _TURN = 2, 4  # steps in one turn of the loop
_SHIFT = 12  # which most layers can have
_ORDER = (4, 1, 3, 0, 2, 7, 5, 6)  # of the weights in the bytes of two words
# Bytes of gathered rows, and of outputs that keep their distance from the input meanwhile: at most
# so many, or this part of the input where that is more.
_ROOM = 1024
_SHARE = 50
_PART = 8


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    stride, width = p["stride_h"], p["out_w"]
    steps = -(-width // 2)
    # The last step reads two words of every row, or three.
    pitch = max(2 * steps + 2 if stride == 1 else 4 * steps + 2, p["in_w"] + p["pad_w"])
    pitch += pitch % 2
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T
    if (
        (p["kernel_h"], p["kernel_w"], p["dilation_h"], p["dilation_w"]) != (3, 3, 1, 1)
        or stride not in (1, 2)
        or p["stride_w"] != stride
        or p["depth_multiplier"] != 1
        or p["weights_offset"] != 0
        or 4 * pitch + 8 * _TURN + 8 > _MOST_OFFSET
        or filters.min() < -127
    ):
        return None
    sums = Sums.of(call, filters)
    scale = line_from_24_bits(sums, _SHIFT) or rounded_from_24_bits(sums)
    if scale is None:
        return None
    base, scale = implied_addends(sums, scale)
    words = np.concatenate([_packed(filters, sums.bias), kept(base, scale)], axis=1)
    names = "batches in_h in_w in_c out_h out_w in_step out_step pad_h pad_w out_min out_max"
    params = {name: p[name] for name in names.split()}
    params |= {
        "stride": stride,
        "in_zero_point": -p["in_offset"],
        "words": words.shape[1],
        "turn": _TURN,
        "base": base,
        "lift": scale.lift,
        "shift": scale.shift,
    }
    packed = replace(
        call,
        params=params,
        constants={"weights": (words.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)},
        structure="depthwise_conv_2d_dsp",
    )
    return gathering(packed, pitch)


def gathering(
    call: KernelCall, pitch: int, room: int = 0, dtype: DType = DType.INT16
) -> KernelCall:
    """Return the call with gathered rows of `pitch` elements, as many as there is room for."""
    rows = rows_at_once(call, pitch * dtype.numpy.itemsize, room)
    return _with_rows(call, pitch, rows, dtype)


def _with_rows(call: KernelCall, pitch: int, rows: int, dtype: DType) -> KernelCall:
    shape = (((rows - 1) * int(call.params["stride"]) + 3) * pitch,)
    gathered = Tensor(f"{call.outputs[0].name} rows", shape, dtype)
    return replace(
        call,
        params={**call.params, "pitch": pitch, "rows": rows},
        outputs=[call.outputs[0], gathered],
    )


def shrink(call: KernelCall) -> KernelCall:
    """Return the call with as few gathered rows as it can do with."""
    return _with_rows(call, int(call.params["pitch"]), 1, call.outputs[1].dtype)


def share(shared: Sequence[SharedCall], small: bool) -> list[KernelCall]:
    """Return a model's calls with rows of one pitch for each stride, so that they share code."""
    turn = _SHORT_TURN if small else _TURN
    calls = [replace(call.packed, params={**call.packed.params, "turn": turn}) for call in shared]
    pitches: dict[int, int] = {}
    for call in calls:
        stride, pitch = int(call.params["stride"]), int(call.params["pitch"])
        pitches[stride] = max(pitch, pitches.get(stride, 0))
    # Part of the RAM that the largest layer needs is there for the others, too.
    most = max(call.inputs[0].nbytes for call in calls)
    return [
        gathering(
            call, pitches[int(call.params["stride"])], (most - call.inputs[0].nbytes) // _PART
        )
        for call in calls
    ]


def _packed(filters: Array, bias: Array) -> Array:
    """Return int64[channels, 3]: the weights of 3x3 filters, so that masks give their pairs.

    Bytes 1 and 3 of the first word are the weights 1 and 0 of the first row, bytes 0 and 2 those
    of the second. Bytes 1 and 3 of the second word are those of the third row, bytes 0 and 2 the
    weights 2 of the first and the second row. The third word is the third row's, and the bias.
    """
    weights = filters.astype(np.int64) & 0xFF
    pairs = weights[:, list(_ORDER)].reshape(-1, 2, 4) << np.arange(0, 32, 8)
    last = weights[:, 8] | bias << 8
    return np.concatenate([pairs.sum(axis=2), last[:, None]], axis=1)


def rows_at_once(call: KernelCall, pitch: int, more: int = 0) -> int:
    """Return how many rows of the output to compute at once.

    Args:
        call: of the portable kernel or of a variant.
        pitch: bytes of a gathered row.
        more: bytes that there are besides.
    """
    p = {name: int(value) for name, value in call.params.items()}
    room = max(_ROOM, call.inputs[0].nbytes // _SHARE) + more
    stride, rows = p.get("stride", p.get("stride_h", 1)), p["out_h"]

    def extra(rows: int) -> int:
        outputs = 0 if stride == 1 else rows * p["out_w"] * p["out_step"]
        return outputs + ((rows - 1) * stride + 3) * pitch

    while rows > 1 and extra(rows) > room:
        rows -= 1
    return rows


def _can_turn(call: KernelCall, turn: int) -> bool:
    steps = int(call.params["out_w"]) // 2
    in_reach = 4 * int(call.params["pitch"]) + 8 * turn + 8 <= _MOST_OFFSET
    return in_reach and turn <= max(steps, _TURN)


TURN = turn_block((2, 3, 4, 6, 8, 12), 110, _can_turn)
ROWS = rows_block(
    lambda call, rows: _with_rows(call, int(call.params["pitch"]), rows, call.outputs[1].dtype)
)


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output.

    Stride 1 goes channel by channel and has gathered what it overwrites. Stride 2 goes through all
    channels for some rows of the output, and needs the input rows of these until the last channel.
    """
    p = {name: int(value) for name, value in call.params.items()}
    x, y = call.inputs[0], call.outputs[0]
    if p["stride"] == 1:
        same = x.shape == y.shape and p["in_step"] == p["out_step"]
        return [Clearance(None, None, in_place=True) if same else NO_CLEARANCE]
    first = np.arange(0, p["out_h"], p["rows"])
    images = np.arange(p["batches"])[:, None]
    end = (images * p["out_h"] + np.minimum(first + p["rows"], p["out_h"])).reshape(-1)
    read = (images * p["in_h"] + np.maximum(first * p["stride"] - p["pad_h"], 0)).reshape(-1)
    # The first channel of the last pixel that is written, of the first one that is read.
    written = end * p["out_w"] * p["out_step"] - p["out_step"]
    needed = read * p["in_w"] * p["in_step"]
    forward = [-x.nbytes]
    if p["in_c"] > 1:  # a channel has been written before the next one is read
        forward.append(int((written - needed).max()))
    if len(end) > 1:  # all of them have, before the next rows are
        forward.append(int((written[:-1] + p["in_c"] - needed[1:]).max()))
    return [Clearance(max(forward), None)]
