"""What the kernels for Armv6-M share: weights of sixteen filters side by side, and tables."""

import numpy as np

from lotor.graph import Array
from lotor.targets.linear_scale import Sums
from lotor.targets.v6m_scale import ShortLine

LANES = 4  # pixels at a time
MOST_STEP = (1 << 16) - 1  # bytes from one pixel to the next
_FILTERS = 16


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
