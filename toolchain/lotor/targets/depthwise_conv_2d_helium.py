"""DEPTHWISE_CONV_2D of int8 for Helium: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets import depthwise_conv_2d_helium_general
from lotor.targets.helium_weights import (
    FOUR,
    aligned,
    groups_of,
    ring_clearance,
    scale_of,
    words_of,
)
from lotor.targets.linear_scale import Sums

_SIDE = 4  # of a patch
_LEAD = 5  # zeros before a filter, which shift it by a row and a column of a patch
_FILTERS = 72  # bytes of four filters between zeros
_ROOM = 80  # bytes of a patch and of the places of its rows
_MOST_BYTES = 1 << 16  # of pixels that a number of 16 bits takes
_ONE = 8.4  # instructions for an output of which a patch gives one
_MOST_STEP = 2047  # two outputs further the offset is below 4096


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    kernel = p["kernel_h"], p["kernel_w"]
    pitch = -(-p["in_c"] // FOUR) * FOUR
    if (
        max(kernel) > _SIDE
        or (p["dilation_h"], p["dilation_w"], p["depth_multiplier"]) != (1, 1, 1)
        or p["weights_offset"] != 0
        or p["in_c"] < FOUR
        or p["out_step"] > _MOST_STEP
        or max(p["stride_w"], _SIDE) * pitch >= _MOST_BYTES
        or p["out_w"] >= _MOST_BYTES
    ):
        return None
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T
    sums = Sums.of(call, filters)
    scale = scale_of(sums)
    if scale is None:
        return None
    square = kernel == (3, 3) and p["stride_h"] == p["stride_w"] == 1
    outputs = 4 if square and min(p["out_h"], p["out_w"]) > 1 else 1
    strips = depthwise_conv_2d_helium_general.pack(call) if outputs == 1 else None
    if strips is not None and depthwise_conv_2d_helium_general.cost(strips) < _ONE:
        return None
    words = _packed(filters.reshape(-1, *kernel), scale.table, outputs)
    names = (
        "batches in_h in_w in_c out_h out_w in_step out_step kernel_w stride_h stride_w "
        "pad_h pad_w out_min out_max"
    )
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -p["in_offset"],
        "rows": _SIDE if outputs == 4 else p["kernel_h"],
        # The last patch of four outputs has the fourth column.
        "columns": max((p["out_w"] - 1) * p["stride_w"] + p["kernel_w"], p["pad_w"] + 1),
        "outputs": outputs,
        "words": words.shape[1],
        "aligned": int(aligned(call.outputs[0], p["out_step"])),
        "bias": scale.bias,
        "lift": scale.lift,
        "shift": scale.shift,
    }
    nbytes = params["rows"] * params["columns"] * pitch + _ROOM
    ring = Tensor(f"{call.outputs[0].name} ring", (nbytes,), DType.INT8)
    return replace(
        call,
        params=params,
        constants={"weights": (words.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)},
        outputs=[*call.outputs, ring],
        structure="depthwise_conv_2d_helium",
    )


def _packed(filters: Array, table: Array, outputs: int) -> Array:
    """Return int64[groups, words] of filters[channels, height, width]: those of four channels."""
    channels, height, width = filters.shape
    patches = np.zeros((channels, _SIDE, _SIDE), np.int8)
    patches[:, :width, :height] = filters.transpose(0, 2, 1)
    rows = []
    for group in groups_of(channels):
        bytes_ = np.zeros(_FILTERS + 16, np.int8)
        for i, channel in enumerate(group):
            start = _LEAD + 16 * i
            patch = patches[channel].reshape(-1)
            # A filter of a single output may fill its vector; the lead of the next is not read.
            bytes_[start : start + 16] = patch
        lines = table[group] if outputs == 4 else table[group].T
        rows.append(np.concatenate([words_of(bytes_[:_FILTERS]), lines.reshape(-1)]))
    return np.stack(rows)


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: rows are copied, then some are written."""
    turn = 2 if call.params["outputs"] == 4 else 1
    return [ring_clearance(call, int(call.params["rows"]), turn)]
