"""What the kernels for Armv7-M share: sums of 32 bits, of two pixels in a word."""

import numpy as np

from lotor.graph import Array
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded

_LIFTS = (0, 4, 8, 10, 11)
_MOST_SUM = 1 << 30  # that fits 32 bits twice


def line_of(sums: Sums) -> LinearScale | None:
    """Return the line of sums; None if there is none."""
    return sums.line(_LIFTS)


def rounded_of(sums: Sums) -> TwiceRounded | None:
    """Return the reference's own way; None where it does not serve, or no room."""
    return sums.rounded_twice() if sums.largest < _MOST_SUM else None


def packed_words(
    filters: Array,
    bias: Array,
    groups: int,
    scale: LinearScale | TwiceRounded,
    starts_first: bool = True,
) -> Array:
    """Return each filter's words as the kernels read them, uint32[filters, words].

    Args:
        filters: int8[filters, taps].
        bias: int64[filters].
        groups: how often two products or one go into the sums, each time with 0x8000 more.
        scale: of the sums.
        starts_first: whether what the sums begin with is in front of the weights.
    """
    starts = words_of(np.stack([bias * 65537 - groups * 0x8000, bias], 1))
    weights = byte_words(filters)
    first, second = (starts, weights) if starts_first else (weights, starts)
    packed: Array = np.concatenate([first, second, words_of(scale.table)], axis=1)
    return packed


def words_of(numbers: Array) -> Array:
    """Return int64 numbers as words, modulo 2^32."""
    return (numbers & 0xFFFFFFFF).astype("<u4")


def byte_words(rows: Array) -> Array:
    """Return rows of int8 as words, with zeros behind each up to a multiple of four."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 4) * 4), np.int8)
    padded[:, : rows.shape[1]] = rows
    return padded.view("<u4")
