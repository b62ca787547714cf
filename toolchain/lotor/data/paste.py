"""Animals cut out of one photograph and pasted into another, small, as a garden camera sees them.

The outline is GrabCut's (Rother, Kolmogorov and Blake, 2004), started from the animal's box; where
that finds nearly nothing or nearly everything, the box with its corners rounded off takes its
place. Either has soft edges.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Box
from lotor.preprocess import Image

_ROUNDS = 2  # of GrabCut
_SEEN = 80  # pixels of the longer side that it works on
_SOUND = (0.2, 0.95)  # share of its box that an outline may fill
_LARGEST = 0.95  # share of the scene's height or width that a pasted box may have


@dataclass(frozen=True)
class Cutout:
    """An animal on its own.

    Attributes:
        pixels: of its box, BGR uint8 [height, width, 3].
        cover: float32 [height, width]: 1 where it hides what is behind it, 0 where it does not.
    """

    pixels: Image
    cover: npt.NDArray[np.float32]


def cut_out(image: Image, box: Box, outline: bool = True) -> Cutout:
    """Return what is in a box.

    Args:
        image: BGR uint8 [height, width, 3].
        box: in its pixels.
        outline: look for the animal's outline; else the box with rounded corners.
    """
    x0, y0, x1, y1 = box[:4]
    pixels = np.ascontiguousarray(image[y0:y1, x0:x1])
    found = _outline(image, box) if outline else None
    cover = _rounded(y1 - y0, x1 - x0) if found is None else found
    soft = max(1.0, min(cover.shape) * 0.02)
    inside = np.pad(cover, 1)  # the box's own edge is soft as well
    return Cutout(
        pixels, np.asarray(cv2.GaussianBlur(inside, (0, 0), soft), np.float32)[1:-1, 1:-1]
    )


def _outline(image: Image, box: Box) -> npt.NDArray[np.float32] | None:
    """Return what GrabCut finds in a box, float32 [height, width] of the box; None if not sound."""
    scale = min(1.0, _SEEN / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # GrabCut learns the background outside of the box; there must be some.
    x0, y0 = (max(1, int(corner * scale)) for corner in box[:2])
    x1, y1 = (
        min(side - 1, int(corner * scale)) for corner, side in zip(box[2:4], size, strict=True)
    )
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    mask = np.zeros(small.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(
            small, mask, (x0, y0, x1 - x0, y1 - y0), np.zeros((1, 65)), np.zeros((1, 65)),
            _ROUNDS, cv2.GC_INIT_WITH_RECT,
        )  # fmt: skip
    except cv2.error:
        return None
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    whole = cv2.resize(found, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    inside = np.asarray(whole, np.float32)[box.y0 : box.y1, box.x0 : box.x1]
    least, most = _SOUND
    return inside if least < inside.mean() < most else None


def _rounded(height: int, width: int) -> npt.NDArray[np.float32]:
    """Return a box with round corners: |x|^4 + |y|^4 < 1 (a superellipse)."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(x**4 + y**4 < 1, np.float32)


def paste(
    scene: Image, cutout: Cutout, area: float, rng: np.random.Generator, kind: str = ""
) -> tuple[Image, Box]:
    """Return a scene with an animal somewhere in it, and the animal's box.

    Args:
        scene: BGR uint8 [height, width, 3].
        cutout: the animal.
        area: share of the scene that its box gets, 0..1; less where it would not fit.
        rng: where, and whether mirrored.
        kind: of the box.
    """
    height, width = scene.shape[:2]
    h, w = cutout.cover.shape
    scale = min(
        float(np.sqrt(area * height * width / (h * w))), _LARGEST * height / h, _LARGEST * width / w
    )
    size = (max(2, round(w * scale)), max(2, round(h * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(cutout.pixels, size, interpolation=method), np.float32)
    cover = np.asarray(cv2.resize(cutout.cover, size, interpolation=method), np.float32)[:, :, None]
    if rng.random() < 0.5:
        pixels, cover = pixels[:, ::-1], cover[:, ::-1]
    x0 = int(rng.integers(0, max(1, width - size[0] + 1)))
    y0 = int(rng.integers(0, max(1, height - size[1] + 1)))
    whole = scene.copy()
    behind = whole[y0 : y0 + size[1], x0 : x0 + size[0]]
    box = Box(x0, y0, x0 + behind.shape[1], y0 + behind.shape[0], kind)
    cover, pixels = (part[: behind.shape[0], : behind.shape[1]] for part in (cover, pixels))
    behind[:] = np.clip(behind + cover * (pixels - behind) + 0.5, 0, 255)
    return whole, box
