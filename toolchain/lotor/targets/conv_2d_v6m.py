"""CONV_2D of int8 for Armv6-M: which layers, how weights are packed, which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance, image_reads
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import (
    LANES,
    MOST_STEP,
    PACKED_PIXELS,
    PIXELS,
    packed_table,
    parts_of,
    side_by_side,
    table,
)

_SIZES = (
    *("batches", "in_h", "in_w", "out_h", "out_w", "in_step", "out_step", "group_c"),
    *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w"),
    *("dilation_h", "dilation_w", "weights_offset"),
)
# Most are in assembly or decide what is done for every pixel: only layers that are alike share.
FIXED = (
    *(*_SIZES, "groups", "filters", "parts", "columns", "bent", "deep", "in_zero_point"),
    *("out_min", "out_max"),
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/conv_2d/v6m.h`; None where it would not be exact or not work."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    filters = call.constants["weights"].reshape(p["out_c"], -1)
    wide = filters.astype(np.int16) + p["weights_offset"]
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    if pixels < PIXELS or p["out_step"] > MOST_STEP:
        return None
    sums = Sums.of(call, wide)
    line = short_line(sums)
    if line is None:
        return None
    groups = p["in_c"] // p["group_c"]
    parts = parts_of(wide, p["out_c"] // groups, sums, line) if pixels >= PACKED_PIXELS else 0
    rows = packed_table(sums, line) if parts else table(sums, line)
    if p["weights_offset"] != 0:  # the kernel writes what it adds before each part's inputs
        in_parts = filters.reshape(p["out_c"], max(parts, 1), -1)
        padded = np.pad(in_parts, ((0, 0), (0, 0), (1, 0)), constant_values=1)
        filters = padded.reshape(p["out_c"], -1)
    params = {name: p[name] for name in _SIZES}
    params |= {
        "groups": groups,
        "filters": p["out_c"] // groups,
        "in_zero_point": -p["in_offset"],
        "parts": parts,
        "columns": rows.shape[1],
        "bent": int(line.bent),
        "deep": int(line.deep),
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    name = f"{call.outputs[0].name} lanes"
    return replace(
        call,
        params=params,
        constants={"weights": side_by_side(filters), "table": rows.reshape(-1)},
        outputs=[*call.outputs, Tensor(name, (filters.shape[1] * LANES,), DType.INT32)],
        structure="conv_2d_v6m",
    )


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: some pixels are read, then written.

    Group by group. The last pixels are as many as all before, even if some of them have been
    written before.
    """
    p = {name: int(value) for name, value in call.params.items()}
    reads, some = image_reads(call).reshape(-1), PACKED_PIXELS if p["parts"] else PIXELS
    starts = np.arange(0, len(reads), some)
    starts[-1] = len(reads) - some
    first = np.array([reads[start : start + some].min() for start in starts])
    groups, last = np.arange(p["groups"]), (starts + some - 1) * p["out_step"]
    ends = last[:, None] + (groups + 1) * p["filters"]
    needed = first[:, None] + groups * p["group_c"]
    clearance = block_clearance(ends.reshape(-1), needed.reshape(-1), call.inputs[0])
    return [Clearance(clearance, None)]
