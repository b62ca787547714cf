"""CONV_2D of int8 for the DSP instructions: which layers, how weights are packed, which order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.dsp_weights import line_from_24_bits, pair_words, rounded_from_24_bits
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded
from lotor.targets.overlap import block_clearance, image_reads

_MOST_STEP = 1365  # outputs of three pixels are at offsets below 4096
_MOST_INPUTS = 8188  # of a window: four windows' bytes are a number of 16 bits
_LANES = 4


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/conv_2d/dsp.h`; None where it would not be exact or not work."""
    if call.function != "conv_2d":
        return None
    p = call.params
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    weights = call.constants["weights"]
    filters = weights.reshape(weights.shape[0], -1)
    if (
        pixels < _LANES
        or len(filters) < 2
        or p["group_c"] != p["in_c"]
        or p["weights_offset"] != 0
        or p["out_step"] >= _MOST_STEP
        or filters.shape[1] > _MOST_INPUTS
        or weights.min() < -127
    ):
        return None
    sums = Sums.of(call, filters)
    scale = line_from_24_bits(sums) or rounded_from_24_bits(sums)
    if scale is None:
        return None
    padded = np.pad(filters, ((0, 0), (0, -filters.shape[1] % 4)))
    words = _packed(padded, sums.bias, scale)
    pairs = padded.shape[1] // 2
    names = (
        "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w "
        "stride_h stride_w pad_h pad_w dilation_h dilation_w"
    )
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -int(p["in_offset"]),
        "pairs": pairs,
        "words": len(words),
        "lift": scale.lift,
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    row = int(p["kernel_w"] * p["in_c"])
    row *= int(p["kernel_h"]) if row % 4 else 1
    copied = 0 if _pointwise(p) else -(-row // 4)
    lanes = Tensor(f"{call.outputs[0].name} lanes", (pairs * _LANES + copied,), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, lanes],
        structure="conv_2d_dsp",
    )


def _packed(filters: Array, bias: Array, scale: LinearScale | TwiceRounded) -> Array:
    """Return the weights as `kernels/common/dsp_dense.h` reads them, uint32."""
    count = len(filters)
    # The last filters of an odd number are the first ones' partners.
    firsts = [0, *range(1, count, 2)] if count % 2 else list(range(0, count, 2))
    seconds = [n + 1 for n in firsts]
    words = pair_words(filters[firsts], filters[seconds])
    biases = np.stack([bias[firsts], bias[firsts] + 256 * bias[seconds]], 1)
    table = scale.table
    stream = np.concatenate(
        [words[:, :1], biases, words[:, 1:], table[firsts], table[seconds]], axis=1
    )
    packed: Array = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)
    return packed


def _pointwise(p: Mapping[str, int | float]) -> bool:
    """Return whether an output pixel needs the input pixel of the same number."""
    window = [p[f"{name}_{axis}"] for name in ("kernel", "stride") for axis in "hw"]
    return window == [1] * 4 and p["pad_h"] + p["pad_w"] == 0


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: four pixels are read, then written."""
    reads = image_reads(call).reshape(-1)
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads)) * int(
        call.params["out_step"]
    )
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]
