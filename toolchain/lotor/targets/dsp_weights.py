"""What the kernels with DSP instructions share: weights in pairs, sums of 24 bits."""

import numpy as np

from lotor.graph import Array
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded

_LIFTS = (8, 9, 10, 11)  # sums come shifted by 8
_MOST_SUM = 1 << 23  # what is left of 32 bits for them


def pair_words(a: Array, b: Array) -> Array:
    """Return words of halfwords A + 256 * B, in the order in which SXTB16 unpacks the inputs.

    Args:
        a: int8[pairs, k], k a multiple of 4.
        b: the same; not below -127.

    Returns:
        int64[pairs, k / 2]: of inputs 0 and 2, 1 and 3, 4 and 6, ...
    """
    halves = (a.astype(np.int64) + 256 * b.astype(np.int64)) & 0xFFFF
    fours = halves.reshape(len(a), -1, 4)
    words = np.stack([fours[..., 0] | fours[..., 2] << 16, fours[..., 1] | fours[..., 3] << 16], -1)
    return words.reshape(len(a), -1)


def line_from_24_bits(sums: Sums) -> LinearScale | None:
    """Return the line of sums that come shifted by 8 bits; None if there is none, or no room."""
    return sums.line(_LIFTS) if sums.largest < _MOST_SUM else None


def rounded_from_24_bits(sums: Sums) -> TwiceRounded | None:
    """Return the reference's own way for such sums; None where it does not serve, or no room."""
    return sums.rounded_twice() if sums.largest < _MOST_SUM else None
