"""CONV_2D of int8 for Helium: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.helium_weights import (
    BLOCK,
    aligned,
    blocks_of,
    groups_of,
    ring_clearance,
    scale_of,
    words_of,
)
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance

_MOST_STEP = 1364  # outputs of three pixels are at offsets below 4096
_MOST_BLOCKS = 1000  # of a window: four windows' bytes are a number of 16 bits
_LANES = 4


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium.h`; None where it would not be exact or not work."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    groups = p["in_c"] // p["group_c"]
    p |= {"in_c": p["group_c"], "out_c": p["out_c"] // groups}
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    weights = call.constants["weights"]
    filters = weights.reshape(weights.shape[0], -1)
    blocks = -(-filters.shape[1] // BLOCK)
    if (
        pixels < _LANES
        or p["weights_offset"] != 0
        or p["dilation_w"] != 1
        or p["out_step"] > _MOST_STEP
        or blocks > _MOST_BLOCKS
    ):
        return None
    sums = Sums.of(call, filters)
    scale = scale_of(sums)
    if scale is None:
        return None
    words = [
        _packed(filters[first : first + p["out_c"]], scale.table[first : first + p["out_c"]])
        for first in range(0, len(filters), p["out_c"])
    ]
    names = (
        "batches in_h in_w in_c out_h out_w out_c in_step out_step kernel_h kernel_w "
        "stride_h stride_w pad_h pad_w dilation_h"
    )
    params = {"groups": groups} | {name: p[name] for name in names.split()}
    ring = {"rows": 0, "columns": 0}
    if not _pointwise(p):
        ring["rows"] = (p["kernel_h"] - 1) * p["dilation_h"] + 1
        columns = (p["out_w"] - 1) * p["stride_w"] + p["kernel_w"]
        ring["columns"] = max(columns, p["pad_w"] + 1)
    params |= ring
    params |= {
        "in_zero_point": -p["in_offset"],
        "blocks": blocks,
        "words": len(words[0]),
        "aligned": int(aligned(call.outputs[0], p["out_step"]) and p["out_c"] % _LANES == 0),
        "bias": scale.bias,
        "lift": scale.lift,
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    nbytes = blocks * BLOCK * _LANES
    if ring["rows"]:
        # With what windows are beyond their end, as they come by sixteen bytes.
        nbytes += BLOCK + (blocks + 1) * BLOCK + 4 * p["kernel_h"]
        nbytes += ring["rows"] * ring["columns"] * p["in_c"] + BLOCK
    lanes = Tensor(f"{call.outputs[0].name} lanes", (nbytes,), DType.INT8)
    return replace(
        call,
        params=params,
        constants={"weights": np.concatenate(words)},
        outputs=[*call.outputs, lanes],
        structure="conv_2d_helium",
    )


def _packed(filters: Array, table: Array) -> Array:
    """Return the weights as `kernels/common/helium_dense.h` reads them, uint32."""
    blocks = blocks_of(filters)
    parts = []
    for group in groups_of(len(filters)):
        for pair in (group[[0, 2]], group[[1, 3]]):
            parts.append(words_of(blocks[pair].transpose(1, 0, 2)).reshape(-1))
            parts.append(table[pair].reshape(-1))
    stream = np.concatenate(parts)
    packed: Array = (stream & 0xFFFFFFFF).astype(np.uint32)
    return packed


def _pointwise(p: dict[str, int]) -> bool:
    """Return whether an output pixel needs the input pixel of the same number."""
    window = [p[f"{name}_{axis}"] for name in ("kernel", "stride") for axis in "hw"]
    return window == [1] * 4 and p["pad_h"] + p["pad_w"] == 0


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output.

    Four pixels are read, then written; or rows are copied, then a row of outputs is written.
    """
    p = {name: int(value) for name, value in call.params.items()}
    if p["groups"] > 1:  # one has been written before the next is read
        return [NO_CLEARANCE]
    if p["rows"]:
        return [ring_clearance(call, p["rows"], 1)]
    first = np.arange(0, p["batches"] * p["out_h"] * p["out_w"], _LANES)
    ends = np.minimum(first + _LANES, p["batches"] * p["out_h"] * p["out_w"]) * p["out_step"]
    return [Clearance(block_clearance(ends, first * p["in_step"], call.inputs[0]), None)]
