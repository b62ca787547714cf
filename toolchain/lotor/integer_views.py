"""Views of a frame in integers: what `NAME_views` of the generated C computes, byte for byte.

The C is `kernels/views/portable.h`. `preprocess.resize` asks OpenCV for the same, whose last bit
depends on the machine.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lotor.classifier import HostClassifier
from lotor.detect import Box, views
from lotor.preprocess import Image, normalize

Integers = npt.NDArray[np.int64]


def score(
    classifier: HostClassifier, image: Image, target: int, crops: Sequence[Box] | None = None
) -> tuple[npt.NDArray[np.int16], int]:
    """Score an image on views, as `detect.score_image` does.

    Args:
        classifier: the model; the zero point of its scores is -128.
        image: BGR.
        target: index of the label that views are for.
        crops: what is looked at besides the full frame; by default the nine of `detect.views`.

    Returns:
        What `join` does.
    """
    grid = views(*image.shape[:2])
    boxes = grid if crops is None else [grid[0], *crops]
    given, outputs = classifier.input, []
    for x0, y0, x1, y1 in boxes:
        pixels = resize(image[y0:y1, x0:x1, ::-1], given.height, given.width)
        tensor = given.quantize(normalize(pixels, given.mean, given.std))[None]
        outputs.append(classifier.infer(tensor).reshape(-1)[: len(classifier.labels)])
    return join(np.stack(outputs).astype(np.int64) + 128, target)


def join(steps: Integers, target: int) -> tuple[npt.NDArray[np.int16], int]:
    """Join the scores of several views into one, as `detect.combine` does.

    The target's is exact, the others' are rounded: by at most a quarter of a step.

    Args:
        steps: scores [views, labels] in steps of the model's output, from 0; the full frame first.
        target: index of the label that is looked for.

    Returns:
        scores [labels] in half steps, and the index of the target's best view.
    """
    best, whole = int(steps[:, target].argmax()), steps[0]
    found = 2 * int(steps[0, target])
    if len(steps) > 1:
        found = int(np.sort(steps[:, target])[-2:].sum())
    rest, left = int(whole.sum() - whole[target]), max(0, 2 * int(whole.sum()) - found)
    joined = (2 * left * whole + rest) // (2 * rest) if rest else np.zeros_like(whole)
    joined[target] = found
    return joined.astype(np.int16), best


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
