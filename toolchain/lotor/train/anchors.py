"""Anchors: the boxes that a detector's outputs are told against, and what they should say.

SSD (Liu et al., arXiv:1512.02325): every cell of a few feature maps stands for boxes of several
sizes and shapes; what the network says of each is how it must be moved and stretched, and what is
in it. Boxes are top, left, bottom and right, anchors the middle's y and x, height and width, all as
shares of the input's sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

ENCODING = (10.0, 10.0, 5.0, 5.0)
"""By what encoded y, x, height and width are multiplied; usual for TFLite_Detection_PostProcess."""

STEP = float(np.float32(1 / 255))
"""Anchors are whole multiples of it, since they are uint8 in the file of integers."""


@dataclass(frozen=True)
class Detections:
    """What makes detections of a detector's outputs.

    Attributes:
        anchors: float32 [n, 4].
        classes: how many scores each has.
        most: detections at most.
        overlap: intersection over union from which on the weaker of two boxes is put out.
        least: score that a detection has at least.
    """

    anchors: Array
    classes: int
    most: int
    overlap: float
    least: float


def grid_anchors(
    grids: Sequence[tuple[int, int]], scales: Sequence[float], ratios: Sequence[float]
) -> Array:
    """Return the anchors of feature maps, cell by cell, float32 [n, 4].

    Each cell has one of every ratio of width to height, all of one area, and a larger square: its
    side is the geometric mean of the map's scale and the next one (of the last: and 1). Sides are
    cut to those of the input.

    Args:
        grids: rows and columns of each map, finest first.
        scales: of each map, the side of its squares as a share of the input's.
        ratios: of width to height.
    """
    found = []
    for (rows, columns), scale, after in zip(grids, scales, [*scales[1:], 1.0], strict=True):
        sides = [(scale / r**0.5, scale * r**0.5) for r in ratios] + [((scale * after) ** 0.5,) * 2]
        y, x = (np.mgrid[:rows, :columns] + 0.5) / np.reshape((rows, columns), (2, 1, 1))
        one = np.ones((rows, columns))
        cells = [np.stack([y, x, h * one, w * one], axis=-1) for h, w in sides]
        found.append(np.stack(cells, axis=2).reshape(-1, 4))
    steps = np.rint(np.clip(np.concatenate(found), 0, 1) / STEP)
    return np.asarray(np.maximum(steps, 1) * np.float32(STEP), np.float32)


def corners(anchors: Array) -> Reals:
    """Return anchors as boxes, [n, 4]."""
    middle, half = anchors[:, :2].astype(np.float64), anchors[:, 2:].astype(np.float64) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def encode(boxes: Reals, anchors: Array) -> Reals:
    """Return how anchors [n, 4] must be moved and stretched to be boxes [n, 4]."""
    here = anchors.astype(np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    moved = ((boxes[:, :2] + boxes[:, 2:]) / 2 - here[:, :2]) / here[:, 2:]
    return np.concatenate([moved, np.log(sides / here[:, 2:])], axis=1) * ENCODING


def decode(encoded: Reals, anchors: Array) -> Reals:
    """Return the boxes [n, 4] that encodings [n, 4] stand for."""
    here, said = anchors.astype(np.float64), encoded / ENCODING
    middle = said[:, :2] * here[:, 2:] + here[:, :2]
    half = np.exp(said[:, 2:]) * here[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def overlaps(a: Reals, b: Reals) -> Reals:
    """Return the intersection over union of each box in a [n, 4] with each in b [m, 4]: [n, m]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    area_a, area_b = (np.prod(np.maximum(v[:, 2:] - v[:, :2], 0), axis=-1) for v in (a, b))
    union = area_a[:, None] + area_b[None, :] - common
    return np.asarray(common / np.maximum(union, 1e-12))


def match(
    shared: Reals, matched: float, unmatched: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Say which box each anchor stands for.

    An anchor stands for the box that it overlaps most, from `matched` on; and every box has the
    anchor that overlaps it most, of those that no box before has got that way.

    Args:
        shared: intersection over union of anchors with boxes, [n, m].
        matched: least of it for a match.
        unmatched: below it, an anchor stands for the background.

    Returns:
        The index of the box, -1 for none, [n]; and whether an anchor with none is background,
        bool [n].
    """
    count, boxes = shared.shape
    if not boxes:
        return np.full(count, -1), np.ones(count, np.bool_)
    best = shared.max(axis=1)
    chosen = np.where(best >= matched, shared.argmax(axis=1), -1)
    free = np.ones(count, np.bool_)
    for box in range(min(boxes, count)):
        anchor = int(np.where(free, shared[:, box], -1.0).argmax())
        chosen[anchor], free[anchor] = box, False
    return chosen, (chosen < 0) & (best < unmatched)
