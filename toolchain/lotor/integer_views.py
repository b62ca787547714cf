"""Views of a frame in integers: what `NAME_views` of the generated C computes, byte for byte.

The C is `kernels/views/portable.h`. `preprocess.resize` asks OpenCV for the same, whose last bit
depends on the machine.
"""

import numpy as np
import numpy.typing as npt

from lotor.preprocess import Image

Integers = npt.NDArray[np.int64]


def resize(rgb: Image, height: int, width: int) -> Image:
    """Return an image as uint8 [height, width, 3].

    As OpenCV does: where the image is at least as large on both sides, the mean over the area of
    each pixel, here exact and then rounded half to even (half up where that area is exactly 2 by 2
    pixels); else linearly between pixels, whose weights have 11 bits.

    Args:
        rgb: uint8 [h, w, 3] of at most 2^24 pixels.
        height: pixels of the result, at most 1024.
        width: the same.
    """
    h, w = rgb.shape[:2]
    found = (
        _mean(rgb, height, width) if h >= height and w >= width else _between(rgb, height, width)
    )
    return found.astype(np.uint8)


def _mean(rgb: Image, height: int, width: int) -> Integers:
    h, w = rgb.shape[:2]
    down, across = _overlaps(h, height), _overlaps(w, width)
    # All are integers far below 2^53, which doubles hold exactly, in any order.
    sums = np.einsum("yr,rcp,xc->yxp", down, rgb.astype(np.float64), across, optimize=True)
    mean, rest = np.divmod(sums.astype(np.int64), h * w)
    up = (h, w) == (2 * height, 2 * width)  # what OpenCV has special code for
    return np.asarray(mean + (2 * rest + (1 if up else mean % 2) > h * w), np.int64)


def _overlaps(size: int, out: int) -> npt.NDArray[np.float64]:
    """Return how much of each pixel [out, size] is in each of the result, in 1/out of a pixel."""
    start, pixel = np.arange(out)[:, None] * size, np.arange(size) * out
    common = np.minimum(start + size, pixel + out) - np.maximum(start, pixel)
    return np.asarray(np.maximum(common, 0), np.float64)


def _between(rgb: Image, height: int, width: int) -> Integers:
    left, right, far = _neighbours(rgb.shape[1], width)
    pixels, far = rgb.astype(np.int64), far[:, None]
    rows = (pixels[:, left] * (2048 - far) + pixels[:, right] * far) >> 4
    above, below, far = _neighbours(rgb.shape[0], height)
    far = far[:, None, None]
    return ((rows[above] * (2048 - far) >> 16) + (rows[below] * far >> 16) + 2) >> 2


def _neighbours(size: int, out: int) -> tuple[Integers, Integers, Integers]:
    """Return the two pixels [out] nearest to each of the result, and how far from the first.

    That is in 1/2048 of a pixel. Beyond the border, both are the one at it.
    """
    centre = (2 * np.arange(out) + 1) * size - out  # in 1/(2 out) of a pixel
    first, rest = np.divmod(centre, 2 * out)
    far = (rest * 2048 + out) // (2 * out)
    return np.clip(first, 0, size - 1), np.clip(first + 1, 0, size - 1), far
