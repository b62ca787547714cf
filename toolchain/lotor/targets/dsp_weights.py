"""Weights of two filters in a halfword each, for the kernels with DSP instructions."""

import numpy as np

from lotor.graph import Array


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
