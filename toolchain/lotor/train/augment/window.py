"""Which part of a photograph is shown."""

import numpy as np

from lotor.data.manifest import Box, Photo
from lotor.preprocess import Image
from lotor.train.recipe import Augment

Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, right and lower edge outside."""


def choose_window(image: Image, photo: Photo, how: Augment, rng: np.random.Generator) -> Window:
    """Choose the part of the photograph to show, x0, y0, x1, y1 in pixels."""
    height, width = image.shape[:2]
    whole = (0, 0, width, height)
    chance = rng.random()
    if chance < how.full:
        return whole
    if photo.boxes and chance < how.full + how.zoom:
        return _around(photo.boxes[int(rng.integers(len(photo.boxes)))], width, height, rng)
    for _ in range(10):
        area = rng.uniform(how.min_area, 1.0)
        ratio = np.exp(rng.uniform(-0.3, 0.3))
        w = min(width, max(8, round(width * np.sqrt(area * ratio))))
        h = min(height, max(8, round(height * np.sqrt(area / ratio))))
        x0 = int(rng.integers(0, width - w + 1))
        y0 = int(rng.integers(0, height - h + 1))
        window = (x0, y0, x0 + w, y0 + h)
        if _shows_a_box(window, photo, how.min_box):
            return window
    return whole


def _around(box: Box, width: int, height: int, rng: np.random.Generator) -> Window:
    """Return a window around a box, up to 2.5 times its size, cut off at the photograph's edge."""
    x0, y0, x1, y1 = box[:4]
    w, h = x1 - x0, y1 - y0
    left, right, above, below = rng.uniform(0.0, 0.75, 4)
    window = (
        max(0, round(x0 - left * w)),
        max(0, round(y0 - above * h)),
        min(width, round(x1 + right * w)),
        min(height, round(y1 + below * h)),
    )
    # A tiny box would be enlarged to a blur that shows nothing.
    least = 24
    if window[2] - window[0] < least or window[3] - window[1] < least:
        return (0, 0, width, height)
    return window


def _shows_a_box(window: Window, photo: Photo, least: float) -> bool:
    """Whether the window keeps enough of at least one box; True where nothing is boxed."""
    if not photo.boxes:
        return True
    for x0, y0, x1, y1, _ in photo.boxes:
        w = min(x1, window[2]) - max(x0, window[0])
        h = min(y1, window[3]) - max(y0, window[1])
        if w > 0 and h > 0 and w * h >= least * max(1, (x1 - x0) * (y1 - y0)):
            return True
    return False
