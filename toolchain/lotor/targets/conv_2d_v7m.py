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
    """Return the call of `v7m.h`; None where it would not be exact, and for 1x1 filters."""
    return _pack(call, pointwise=False)


def pack_pointwise(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m_pointwise.h`; None where it would not be exact or not work."""
    return _pack(call, pointwise=True)


def _pack(call: KernelCall, pointwise: bool) -> KernelCall | None:
    if call.function != "conv_2d" or is_pointwise(call.params) != pointwise:
        return None
    p, weights = call.params, call.constants["weights"]
    if p["group_c"] != p["in_c"] or p["weights_offset"] != 0:
        return None
    filters = weights.reshape(len(weights), -1)
    sums = Sums.of(call, filters)
    scale = line_of(sums) or rounded_of(sums)
    if scale is None:
        return None
    # Each row of a window has a pair for its last input, also if that is alone; there are two.
    count = int(p["kernel_w"] * p["in_c"])
    rows = np.pad(filters.reshape(len(weights), -1, count), ((0, 0), (0, 0), (0, count % 2)))
    taps = rows.reshape(len(weights), -1)
    taps = np.pad(taps, ((0, 0), (0, max(0, 4 - taps.shape[1]))))
    pairs = taps.shape[1] // 2
    words = packed_words(taps, sums.bias, pairs, scale).reshape(-1)
    name, text = dense_function(scale, (int(p["out_min"]), int(p["out_max"])))
    if pointwise:
        pixels = p["batches"] * p["out_h"] * p["out_w"]
        params = {"pixels": pixels, **{key: p[key] for key in ("in_c", "in_step", "out_step")}}
    else:
        params = {key: p[key] for key in GEOMETRY.split()}
        params["in_zero_point"] = -int(p["in_offset"])
    params |= {"pairs": pairs, "words": len(words), "dense": name}
    copied = 0 if pointwise else -(-2 * count // 4)
    lanes = Tensor(f"{call.outputs[0].name} lanes", (pairs * _LANES + copied,), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, lanes],
        structure="conv_2d_v7m_pointwise" if pointwise else "conv_2d_v7m",
        functions={name: text},
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: six pixels are read, then written."""
    return _clearances(call, image_reads(call).reshape(-1))


def pointwise_clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: six pixels are read, then written."""
    return _clearances(call, np.arange(call.params["pixels"]) * int(call.params["in_step"]))


def _clearances(call: KernelCall, reads: Array) -> Sequence[Clearance]:
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads))
    ends = ends * int(call.params["out_step"])
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]
