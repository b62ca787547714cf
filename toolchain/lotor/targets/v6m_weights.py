"""What the kernels for Armv6-M share: weights of sixteen filters side by side, and tables."""

import numpy as np

from lotor.graph import Array
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import ShortLine

LANES = 4  # words of inputs at a time
PIXELS = 4  # that they hold, one each,
PACKED_PIXELS = 6  # or three in two
MOST_STEP = (1 << 16) - 1  # bytes from one pixel to the next
_FILTERS = 16
MOST_PACKED = (1 << 20) - (1 << 15)  # sums that can be told apart, see `v6m_dense.h`
_MOST_PART = 254  # inputs, an immediate; one more where weights have a zero point
# Instructions that packing saves for each product, and what it costs for a pixel: to take the sums
# of a part apart, for each filter; to pack an input, for all filters.
_SAVED, _PART_COST, _INPUT_COST = 0.83, 11, 4


def side_by_side(filters: Array) -> Array:
    """Return int8[blocks * inputs * 16]: for each input the weights of sixteen filters."""
    padded = np.pad(filters, ((0, -len(filters) % _FILTERS), (0, 0)))
    blocks = padded.reshape(-1, _FILTERS, filters.shape[1]).transpose(0, 2, 1)
    weights: Array = blocks.astype(np.int8).reshape(-1)
    return weights


def table(sums: Sums, line: ShortLine) -> Array:
    """Return uint32[channels, columns]: the count to begin with, and the line."""
    rows = np.column_stack([sums.bias - line.first, line.table])
    words: Array = (rows & 0xFFFFFFFF).astype(np.uint32)
    return words


def parts_of(filters: Array, group: int, sums: Sums, line: ShortLine) -> int:
    """Return in how many parts of a window packed pixels can be summed, at least.

    0 where no number does, or where it would take longer than without packing.

    Args:
        filters: of int[channels, inputs], with the weights' zero point in them.
        group: how many of these have the same inputs.
        sums: of these.
        line: the counts to begin with are from its first.
    """
    outputs, inputs = filters.shape
    for parts in range(1, inputs + 1):
        if _PART_COST * parts / inputs + _INPUT_COST / group > _SAVED:
            return 0
        if inputs % parts == 0 and inputs // parts <= _MOST_PART:
            wide = filters.astype(np.int64).reshape(outputs, parts, -1)
            begin = np.zeros((outputs, parts), np.int64)
            begin[:, 0] = sums.bias - line.first
            low = begin + np.minimum(wide * -128, wide * 127).sum(axis=2)
            high = begin + np.maximum(wide * -128, wide * 127).sum(axis=2)
            if max(int(-low.min()), int(high.max())) < MOST_PACKED:
                return parts
    return 0


def packed_table(sums: Sums, line: ShortLine) -> Array:
    """Return `table` with what both words of packed pixels begin with."""
    count = (sums.bias - line.first)[:, None] * np.array([1 + (1 << 16), 1 + (1 << 5) + (1 << 10)])
    words: Array = (np.column_stack([count, line.table]) & 0xFFFFFFFF).astype(np.uint32)
    return words
