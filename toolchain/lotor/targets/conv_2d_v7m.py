"""CONV_2D of int8 for Armv7-M: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance, image_reads
from lotor.targets.v7m_sums import line_of, packed_words, rounded_of

_LANES = 6
_MOST_STEP = 819  # outputs of five pixels are at offsets below 4096
_MOST_PAIRS = 2730  # of inputs: those of six pixels' windows take a number of 16 bits as bytes


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/conv_2d/v7m.h`; None where it would not be exact or not work."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    weights = call.constants["weights"]
    filters = weights.reshape(weights.shape[0], -1)
    pairs = -(-filters.shape[1] // 2)
    if (
        p["group_c"] != p["in_c"]
        or p["weights_offset"] != 0
        or p["out_step"] > _MOST_STEP
        or pairs > _MOST_PAIRS
        or weights.min() < -127
    ):
        return None
    sums = Sums.of(call, filters)
    scale = line_of(sums) or rounded_of(sums)
    if scale is None:
        return None
    words = packed_words(filters, sums.bias, pairs, scale).reshape(-1)
    row = p["kernel_w"] * p["in_c"]
    outside = (
        p["pad_h"] + p["pad_w"] > 0
        or (p["out_h"] - 1) * p["stride_h"] + (p["kernel_h"] - 1) * p["dilation_h"] >= p["in_h"]
    )
    names = (
        "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w "
        "stride_h stride_w pad_h pad_w dilation_h dilation_w out_min out_max"
    )
    params = {name: p[name] for name in names.split()}
    copied = 0 if p["kernel_h"] * p["kernel_w"] == 1 and not outside else _copied(row, p)
    params |= {
        "in_zero_point": -p["in_offset"],
        "pairs": pairs,
        "copied": copied,
        "words": len(words),
        "lift": scale.lift,
        "shift": scale.shift,
    }
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    lanes = min(_LANES, pixels + pixels % 2)
    room = Tensor(f"{call.outputs[0].name} lanes", (pairs * lanes + copied // 2,), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, room],
        structure="conv_2d_v7m",
    )


def _copied(row: int, p: dict[str, int]) -> int:
    """Return the bytes of the part of a window that is copied at once, a multiple of four."""
    rows = 1 if row % 2 == 0 else p["kernel_h"]
    return -(-row * rows // 4) * 4


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: six pixels are read, then written."""
    reads = image_reads(call).reshape(-1)
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads))
    ends = ends * int(call.params["out_step"])
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]
