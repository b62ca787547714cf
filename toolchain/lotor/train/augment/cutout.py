"""Animals cut out of photographs: GrabCut (Rother et al., SIGGRAPH 2004) from a box."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Box, Photo
from lotor.preprocess import Image

Mask = npt.NDArray[np.bool_]
"""bool [height, width] of a photograph: where the animal is."""

VERSION = 2
"""Goes up when masks change, so that kept ones are made anew."""

_SIDE = 112  # pixels: the longer side of what GrabCut works on
_ROUNDS = 4
_HEART = 0.3  # share of a box's sides in whose ellipse all is taken for the animal
_CENTRE = (0.12, 0.12, 0.88, 0.94)  # shares: where an animal is when nobody said it
_LEAST, _MOST = 0.2, 0.92  # share of its box that an animal covers
_LEAST_PIXELS = 400
_WHOLE = 0.7  # share of the mask that its largest piece must have
_FILLED = 0.7  # share of its width and height of the box that a mask must reach


@dataclass(frozen=True)
class Cutout:
    """An animal without its surroundings.

    Attributes:
        image: BGR uint8 [height, width, 3], with the surroundings that its edges had.
        mask: uint8 [height, width], 255 where the animal is.
        cut: whether the photograph cut it off at the left, the top, the right, the bottom.
    """

    image: Image
    mask: npt.NDArray[np.uint8]
    cut: tuple[bool, bool, bool, bool]


def prior_box(photo: Photo, height: int, width: int) -> Box:
    """Return the box to cut out: the largest of the photograph's class, else of any, else a guess.

    The guess is the middle of the picture, where photographers put what they show.
    """
    boxes = [box for box in photo.boxes if box.kind == photo.kind] or list(photo.boxes)
    if boxes:
        return max(boxes, key=lambda box: (box.x1 - box.x0) * (box.y1 - box.y0))
    x0, y0, x1, y1 = _CENTRE
    return Box(int(x0 * width), int(y0 * height), int(x1 * width), int(y1 * height), photo.kind)


def segment(image: Image, box: Box) -> Mask | None:
    """Return the mask of what is in a box, None where it cannot be one animal.

    Args:
        image: BGR uint8 [height, width, 3].
        box: around the animal, in its pixels.
    """
    height, width = image.shape[:2]
    # Far away from the box nothing is learnt, and small pictures are quick.
    margin = max(8, (box.x1 - box.x0) // 3), max(8, (box.y1 - box.y0) // 3)
    left, top = max(0, box.x0 - margin[0]), max(0, box.y0 - margin[1])
    part = image[top : box.y1 + margin[1], left : box.x1 + margin[0]]
    scale = min(1.0, _SIDE / max(part.shape[:2]))
    size = (max(2, round(part.shape[1] * scale)), max(2, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    inside = [
        round((at - origin) * scale) for at, origin in zip(box[:4], (left, top) * 2, strict=True)
    ]
    found = _grab(np.asarray(small, np.uint8), inside)
    if found is None:
        return None
    whole = np.zeros((height, width), np.bool_)
    large = cv2.resize(found, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = large > 127
    return whole if plausible(whole, box) else None


def _grab(small: Image, inside: list[int]) -> npt.NDArray[np.uint8] | None:
    """Return 255 where GrabCut sees the animal, in its largest piece; None where it fails."""
    x0, y0, x1, y1 = inside
    state = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    state[y0:y1, x0:x1] = cv2.GC_PR_BGD
    centre, axes = (
        ((x0 + x1) // 2, (y0 + y1) // 2),
        (max(1, (x1 - x0) // 2), max(1, (y1 - y0) // 2)),
    )
    # A box's corners seldom show the animal, its middle nearly always does.
    cv2.ellipse(state, centre, axes, 0, 0, 360, cv2.GC_PR_FGD, -1)
    heart = (max(1, round(_HEART * axes[0])), max(1, round(_HEART * axes[1])))
    cv2.ellipse(state, centre, heart, 0, 0, 360, cv2.GC_FGD, -1)
    if not ((state & 1) == 0).any():
        return None
    cv2.setRNGSeed(0)
    try:
        outside, animal = np.zeros((1, 65)), np.zeros((1, 65))
        nowhere = (0, 0, 0, 0)  # the mask says where
        cv2.grabCut(small, state, nowhere, outside, animal, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    mask = cv2.morphologyEx(state & 1, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    if facts[largest, cv2.CC_STAT_AREA] < _WHOLE * mask.sum():
        return None
    outlines, _ = cv2.findContours(
        (pieces == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    # Holes are the animal's own dark or bright spots more often than they are gaps.
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outlines, -1, 255, -1), np.uint8)


def plausible(mask: Mask, box: Box) -> bool:
    """Whether a mask may be an animal in a box.

    It is not when it is tiny, fills the box or almost nothing of it, is much smaller than the box,
    or reaches opposite edges of the photograph: then there is no outline that could be cut out.
    """
    height, width = mask.shape
    if mask.sum() < _LEAST_PIXELS:
        return False
    x0, y0, x1, y1 = bounds(mask)
    if (x1 - x0) < _FILLED * (box.x1 - box.x0) or (y1 - y0) < _FILLED * (box.y1 - box.y0):
        return False
    if not _LEAST <= mask.sum() / ((box.x1 - box.x0) * (box.y1 - box.y0)) <= _MOST:
        return False
    return not (x0 <= 1 and x1 >= width - 1) and not (y0 <= 1 and y1 >= height - 1)


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of what is true, right and lower edge outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def cut_out(image: Image, mask: Mask) -> Cutout:
    """Return what a mask covers of a photograph."""
    height, width = mask.shape
    x0, y0, x1, y1 = bounds(mask)
    near = 2  # pixels: GrabCut leaves a rim at the photograph's edge
    cut = (x0 < near, y0 < near, x1 > width - near, y1 > height - near)
    part = image[y0:y1, x0:x1].copy()
    return Cutout(part, mask[y0:y1, x0:x1].astype(np.uint8) * 255, cut)


def mask_key(image: Image, box: Box) -> str:
    """Return what a mask is kept under: the hash of pixels, box and versions."""
    said = f"{VERSION} {cv2.__version__} {image.shape} {tuple(box[:4])}".encode()
    return hashlib.sha256(said + image.tobytes()).hexdigest()
