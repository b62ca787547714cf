"""What the Helium kernels share: weights in blocks of sixteen, sums on a line or rounded twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lotor.graph import Array, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import LinearScale, Sums
from lotor.targets.overlap import block_clearance

BLOCK = 16  # products of one instruction
FOUR = 4
_LIFTS = (13, 12, 11, 10)  # of sums without their bias; the addend must be finer for it
_BIASED_LIFTS = (9, 8, 10, 11)
_LEAST = -(1 << 31)


@dataclass(frozen=True)
class HeliumScale:
    """What makes outputs of sums without their bias.

    Attributes:
        table: what the kernels read of each channel, int64[channels, 2, 3 or 4].
        bias: whether the bias is added to the sums; else it is in the addend.
        lift: as in `LinearScale`.
        shift: the same; 0 where sums are rounded twice.
    """

    table: Array
    bias: int
    lift: int = 0
    shift: int = 0


def scale_of(sums: Sums) -> HeliumScale | None:
    """Return the shortest way from sums without their bias to outputs; None where there is none."""
    without = replace(sums, low=sums.low - sums.bias, high=sums.high - sums.bias)
    for lift in _LIFTS:
        line = _half_up(sums.line((lift,), biased=False), without)
        if line is not None:
            return HeliumScale(line.table, 0, line.lift, line.shift)
    bias = sums.bias[:, None]
    line = biased_line_of(sums)
    if line is not None:
        table = np.concatenate([bias, line.table], axis=1)
        return HeliumScale(table, 1, line.lift, line.shift)
    twice = sums.rounded_twice()
    if twice is None:
        return None
    table = np.concatenate([bias, twice.table[:, :2], -twice.right[:, None]], axis=1)
    return HeliumScale(table, 1)


def biased_line_of(sums: Sums, lifts: Sequence[int] = _BIASED_LIFTS) -> LinearScale | None:
    """Return the line of sums with their bias; None if there is none with one of the lifts."""
    for lift in lifts:
        line = _half_up(sums.line((lift,)), sums)
        if line is not None:
            return line
    return None


def half_up(shift: int) -> int:
    """Return what a shift to the right adds as it narrows to 16 bits and to 8, half up each time.

    What saturates to 16 bits is beyond 8 bits, too.
    """
    return (1 << (min(16, shift - 1) - 1)) + (1 << (shift - 1))


def _half_up(line: LinearScale | None, sums: Sums) -> LinearScale | None:
    """Return a line whose sum is then rounded half up; None if it would leave 32 bits."""
    if line is None or line.shift < 2:
        return None
    addend = line.addend - np.int64(half_up(line.shift))
    lowest = ((sums.low << line.lift) * line.multiplier >> 32) + addend
    if min(addend.min(), lowest.min()) < _LEAST:
        return None
    return replace(line, addend=addend.astype(np.int32))


def groups_of(count: int, size: int = FOUR) -> Array:
    """Return int64[groups, size]: which channels go together.

    If they are no multiple of `size`, the second group begins where what is beyond ends; a single
    group that is not full repeats its last channel.
    """
    starts = sorted({0, *range(count % size or size, count, size)})
    return np.minimum([[start + i for i in range(size)] for start in starts], count - 1)


def blocks_of(filters: Array) -> Array:
    """Return int8[channels, blocks, 16]: filters[channels, taps] with zeros at their end."""
    padded = np.pad(filters, ((0, 0), (0, -filters.shape[1] % BLOCK)))
    return padded.reshape(len(filters), -1, BLOCK).astype(np.int8)


def words_of(blocks: Array) -> Array:
    """Return the last axis of int8 as int64 words."""
    return np.ascontiguousarray(blocks).view(np.uint32).astype(np.int64)


def aligned(y: Tensor, step: int) -> bool:
    """Return whether four channels of a pixel are a word of the output's memory."""
    return (
        y.shape[-1] % FOUR == 0
        and step % FOUR == 0
        and (y.within is None or y.within.offset % FOUR == 0)
    )


def ring_clearance(call: KernelCall, rows: int, turn: int) -> Clearance:
    """Return the clearance of an input whose rows are copied into a ring.

    Args:
        call: has the parameters of a sliding window.
        rows: of the ring.
        turn: rows of outputs that are written after the ring has what they need; an odd number of
            rows ends with ones that are written again.
    """
    p = {name: int(value) for name, value in call.params.items()}
    ends = np.minimum(np.arange(turn, p["out_h"] + turn, turn), p["out_h"])
    tops = (ends - turn) * p["stride_h"] - p["pad_h"]
    # What of the image is not in the ring before these rows are copied.
    copied = np.concatenate([[0], tops[:-1] + rows])
    first = np.clip(np.maximum(copied, tops), 0, p["in_h"])
    images = np.arange(p["batches"])[:, None]
    written = (images * p["out_h"] + ends).reshape(-1) * p["out_w"] * p["out_step"]
    needed = (images * p["in_h"] + first).reshape(-1) * p["in_w"] * p["in_step"]
    return Clearance(block_clearance(written, needed, call.inputs[0]), None)
