"""Where a point of a photograph comes to lie when augmentation moves the photograph.

Points are in pixels from the upper left corner, so that a photograph of width w reaches from 0 to
w: the middle of its first pixel is at 0.5. A transform is a 3x3 matrix on (x, y, 1); what happens
first stands at the right of a product.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Box

Transform = npt.NDArray[np.float64]


def of_view(window: Sequence[int], height: int, width: int, aspect: str = "stretch") -> Transform:
    """Return what cutting out a window and `preprocess.resize` do to a point.

    Args:
        window: x0, y0, x1, y1 in pixels of the photograph.
        height: pixels of the result.
        width: pixels of the result.
        aspect: as for `resize`.
    """
    x0, y0, x1, y1 = window
    w, h = x1 - x0, y1 - y0
    left = top = 0.0
    if aspect == "crop":
        scale = min(h / height, w / width)
        kept_h, kept_w = max(1, round(height * scale)), max(1, round(width * scale))
        x0, y0 = x0 + (w - kept_w) // 2, y0 + (h - kept_h) // 2
        across, down = width / kept_w, height / kept_h
    elif aspect == "pad":
        scale = min(height / h, width / w)
        inner_h, inner_w = max(1, round(h * scale)), max(1, round(w * scale))
        top, left = (height - inner_h) // 2, (width - inner_w) // 2
        across, down = inner_w / w, inner_h / h
    else:
        across, down = width / w, height / h
    return np.array([[across, 0, left - x0 * across], [0, down, top - y0 * down], [0, 0, 1]])


def of_warp(matrix: Transform) -> Transform:
    """Return what `cv2.warpAffine` or `cv2.warpPerspective` do to a point.

    Args:
        matrix: 3x3, in OpenCV's coordinates, which start in the middle of the first pixel.
    """
    here, there = np.eye(3), np.eye(3)
    here[:2, 2], there[:2, 2] = -0.5, 0.5
    return np.asarray(there @ matrix @ here)


def of_mirror(width: int) -> Transform:
    """Return what mirroring left and right does to a point."""
    return np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])


def move(
    boxes: Sequence[Box], transform: Transform, height: int, width: int
) -> list[tuple[float, float, float, float, float]]:
    """Return where boxes come to lie.

    A box stands for the ellipse inside it, so that turning it back and forth does not blow it up.

    Args:
        boxes: in pixels of the photograph.
        transform: of points.
        height: of the result: boxes are cut to it.
        width: of the result.

    Returns:
        x0, y0, x1, y1 and the share of the box's area that is left inside, 0..1, for every box.
    """
    moved = []
    for box in boxes:
        x, y, depth = transform @ ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, 1.0)
        middle = np.array([x, y]) / depth
        # A tilt changes sizes from place to place: what counts is how it does in the middle.
        change = (transform[:2, :2] - np.outer(middle, transform[2, :2])) / depth
        half = np.array([(box.x1 - box.x0) / 2, (box.y1 - box.y0) / 2])
        reach = np.sqrt(np.square(change * half).sum(axis=1))
        low = np.clip(middle - reach, 0, (width, height))
        high = np.clip(middle + reach, 0, (width, height))
        left = float(np.prod(high - low) / max(1e-9, float(np.prod(2 * reach))))
        moved.append((float(low[0]), float(low[1]), float(high[0]), float(high[1]), left))
    return moved
