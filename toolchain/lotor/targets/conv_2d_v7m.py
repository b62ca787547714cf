"""CONV_2D of int8 for Armv7-M: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.conv_2d_dsp import GEOMETRY, is_pointwise
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance, image_reads
from lotor.targets.v7m_sums import dense_function, line_of, packed_words, rounded_of

_LANES = 6


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m.h`; None where it would not be exact, and for 1x1 of one group."""
    return _pack(call, pointwise=False)


def pack_pointwise(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m_pointwise.h`; None where it would not be exact or not work."""
    return _pack(call, pointwise=True)


def _pack(call: KernelCall, pointwise: bool) -> KernelCall | None:
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    groups, offset = p["in_c"] // p["group_c"], p["weights_offset"]
    if pointwise != (is_pointwise(p) and groups == 1):
        return None
    weights = call.constants["weights"]
    filters = weights.reshape(len(weights), -1)
    sums = Sums.of(call, filters.astype(np.int16) + offset)
    scale = line_of(sums) or rounded_of(sums)
    if scale is None:
        return None
    # Each row of a window has a pair for its last input, also if that is alone; there are two.
    count = p["kernel_w"] * p["group_c"]
    rows = np.pad(filters.reshape(len(weights), -1, count), ((0, 0), (0, 0), (0, count % 2)))
    taps = rows.reshape(len(weights), -1)
    taps = np.pad(taps, ((0, 0), (0, max(0, 4 - taps.shape[1]))))
    pairs = taps.shape[1] // 2
    words = packed_words(taps, sums.bias, pairs, scale).reshape(-1)
    name, text = dense_function(scale, (p["out_min"], p["out_max"]), offset != 0)
    if pointwise:
        pixels = p["batches"] * p["out_h"] * p["out_w"]
        params = {"pixels": pixels, **{key: p[key] for key in ("in_c", "in_step", "out_step")}}
    else:
        params = {key: p[key] for key in GEOMETRY.split()}
        side_by_side = p["in_step"] == p["group_c"] and p["dilation_w"] == 1
        params |= {
            "in_c": p["group_c"],
            "groups": groups,
            "filters": p["out_c"] // groups,
            "side_by_side": int(side_by_side or p["kernel_w"] == 1),
            "in_zero_point": -p["in_offset"],
        }
    params |= {"weights_offset": offset, "pairs": pairs, "words": len(words) // groups}
    copied = 0 if pointwise else -(-2 * count // 4)
    totals = _LANES if offset else 0
    room = pairs * _LANES + totals + copied
    lanes = Tensor(f"{call.outputs[0].name} lanes", (room,), DType.INT32)
    return replace(
        call,
        params={**params, "dense": name},
        constants={"weights": words},
        outputs=[*call.outputs, lanes],
        structure="conv_2d_v7m_pointwise" if pointwise else "conv_2d_v7m",
        functions={name: text},
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: six pixels are read, then written.

    In each group of channels, one after the other.
    """
    return _clearances(call, image_reads(call).reshape(-1), int(call.params["groups"]))


def pointwise_clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: six pixels are read, then written."""
    return _clearances(call, np.arange(call.params["pixels"]) * int(call.params["in_step"]), 1)


def _clearances(call: KernelCall, reads: Array, groups: int) -> Sequence[Clearance]:
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads))
    ends = ends * int(call.params["out_step"])
    if groups > 1:  # what is written of the last pixel, up to each group's end
        later = np.arange(groups - 1, -1, -1) * int(call.params["filters"])
        ends = (ends[:, None] - later).reshape(-1)
        first = (first[:, None] + np.arange(groups) * int(call.params["in_c"])).reshape(-1)
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]
