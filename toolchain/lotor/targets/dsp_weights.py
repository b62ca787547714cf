"""What the kernels with DSP instructions share: weights in pairs, sums of 24 bits."""

import numpy as np

from lotor.graph import Array
from lotor.ops import CFunction
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded

_LIFTS = (8, 9, 10, 11)  # sums come shifted by 8
_SHIFTS = range(22, 0, -1)
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


def line_from_24_bits(sums: Sums, shift: int) -> LinearScale | None:
    """Return the line of sums that come shifted by 8 bits; None if there is none, or no room.

    Args:
        sums: of a layer.
        shift: the one to try first, then those next to it: layers with equal shifts share code.
    """
    shifts = sorted(_SHIFTS, key=lambda other: abs(other - shift))
    return sums.line(_LIFTS, shifts=shifts) if sums.largest < _MOST_SUM else None


def rounded_from_24_bits(sums: Sums) -> TwiceRounded | None:
    """Return the reference's own way for such sums; None where it does not serve, or no room."""
    return sums.rounded_twice() if sums.largest < _MOST_SUM else None


def dense_function(
    scale: LinearScale | TwiceRounded, limits: tuple[int, int], turn: int, base: int
) -> tuple[str, CFunction]:
    """Return the name and the C function with these constants; see `dsp_dense.h`."""
    return _dense(turn, scale.lift, scale.shift, base, *limits)


def dense_turn(name: str) -> int:
    """Return how many steps a turn of such a function's loop has."""
    return int(name.split("_")[1])


def dense_with_turn(name: str, turn: int) -> tuple[str, CFunction]:
    """Return such a function with other turns."""
    return _dense(turn, *(int(part.replace("m", "-")) for part in name.split("_")[2:]))


def _dense(*constants: int) -> tuple[str, CFunction]:
    name = "dense_" + "_".join(str(number).replace("-", "m") for number in constants)
    text = f"LOTOR_DSP_DENSE({name}, {', '.join(map(str, constants))})"
    return name, CFunction("lotor_dsp_dense_function", text)


def implied_addends(
    sums: Sums, scale: LinearScale | TwiceRounded
) -> tuple[int, LinearScale | TwiceRounded]:
    """Return a scale whose addends need not be kept, and half a step and the zero point.

    These are all that the kernels know of addends; the rest follows from the multipliers, see
    `Sums.implied`. The base is 0, and the scale the same, where there is no such scale.
    """
    line = sums.implied(scale) if isinstance(scale, LinearScale) else None
    if line is None:
        return 0, scale
    return (sums.zero_point << line.shift) + (1 << line.shift >> 1), line


def kept(base: int, scale: LinearScale | TwiceRounded) -> Array:
    """Return what the kernels read of each channel, int64[channels, n]."""
    return scale.table[:, :1] if base else scale.table
