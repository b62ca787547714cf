"""What the kernels for Armv7-M share: sums of 32 bits, of two pixels in a word."""

import numpy as np

from lotor.graph import Array
from lotor.ops import CFunction
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded

_SHIFTS = (4, 5, 3, 6, 2, 7, 1, 8)  # layers with equal shifts share code
_MOST_MOVES = 1 << 16
_HALF = -0x8001  # LOTOR_V7M_HALF
_MOST_SUM = 1 << 30  # that fits 32 bits twice


def line_of(sums: Sums) -> LinearScale | None:
    """Return the line of sums; None if there is none."""
    return sums.line((0,), shifts=_SHIFTS, moves=_MOST_MOVES)


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
        groups: how often two products or one go into the sums, each time with LOTOR_V7M_HALF.
        scale: of the sums.
        starts_first: whether what the sums begin with is in front of the weights.
    """
    first = bias + scale.move
    starts = words_of(np.stack([first * 65537 - groups * _HALF, first + groups], 1))
    weights = byte_words(filters)
    parts = (starts, weights) if starts_first else (weights, starts)
    packed: Array = np.concatenate([*parts, words_of(scale.table)], axis=1)
    return packed


def words_of(numbers: Array) -> Array:
    """Return int64 numbers as words, modulo 2^32."""
    return (numbers & 0xFFFFFFFF).astype("<u4")


def byte_words(rows: Array) -> Array:
    """Return rows of int8 as words, with zeros behind each up to a multiple of four."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 4) * 4), np.int8)
    padded[:, : rows.shape[1]] = rows
    return padded.view("<u4")


def dense_function(
    scale: LinearScale | TwiceRounded, limits: tuple[int, int], totals: bool
) -> tuple[str, CFunction]:
    """Return the name and the C function with these constants; see `v7m_dense.h`."""
    constants = (scale.lift, scale.shift, *limits, int(totals))
    name = "dense_" + "_".join(str(number).replace("-", "m") for number in constants)
    text = f"LOTOR_V7M_DENSE({name}, {', '.join(map(str, constants))})"
    return name, CFunction("lotor_v7m_dense_function", text)
