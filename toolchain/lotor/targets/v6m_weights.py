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
_MOST_PACKED = (1 << 20) - (1 << 15)


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


def fit_packed(sums: Sums, line: ShortLine) -> bool:
    """Return whether sums of packed pixels can be told apart, see `v6m_dense.h`."""
    counts = np.concatenate([sums.low - line.first, sums.high - line.first])
    return int(np.abs(counts).max()) < _MOST_PACKED


def packed_table(sums: Sums, line: ShortLine) -> Array:
    """Return `table` with what both words of packed pixels begin with."""
    count = (sums.bias - line.first)[:, None] * np.array([1 + (1 << 16), 1 + (1 << 5) + (1 << 10)])
    words: Array = (np.column_stack([count, line.table]) & 0xFFFFFFFF).astype(np.uint32)
    return words
