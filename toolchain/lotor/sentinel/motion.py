"""What moves on a camera's frames: OpenCV's background subtraction, and a few boxes of it.

The background is a mixture of Gaussians for each pixel (Zivkovic, "Improved adaptive Gaussian
mixture model for background subtraction", ICPR 2004; OpenCV's MOG2) on frames made small. It learns
by time, not by frame: what comes to rest is background after `LEARN_S`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lotor.detect import Box
from lotor.preprocess import Image
from lotor.sentinel.scene import Light

WIDTH = 160
"""Pixels of the longer side of the small frame on which motion is looked for."""
REGIONS = 4
"""So many regions of a frame are handed on at most, the largest."""
LEARN_S = 90.0
"""Seconds after which what came and stays, such as a parked car, counts as background."""
GLOBAL = 0.5
"""Share of the view that changes at once when it is the light that changes, not an animal."""
SETTLE_S = 1.0
"""Seconds in which all is learnt anew after that, and in which nothing counts as moving."""
BLIND_S = 30.0
"""Seconds of that without an end after which a camera is said to see nothing."""
LEAST_SIDE = 96
"""Pixels of a crop's side at least; smaller ones would only be enlarged."""
MARGIN = 0.2
"""Of a region's longer side, that a crop has more on each side."""
RIM = 2
"""Small pixels around what moves that are taken for its edge."""

_GAP_S = 30.0  # after a pause as long as this, or three of the usual ones, all is learnt anew
_WARM_S = 2.0  # of fast learning at the start
_SHARE = 0.9  # OpenCV's default: what makes up so much of the past is background
_JOIN = 9  # small pixels: parts nearer to each other than this are one region
_MOVED = 255  # in what OpenCV returns; shadows are 127


class Motion(NamedTuple):
    """What moves on a frame.

    Attributes:
        regions: boxes in pixels of the frame, the largest first, `REGIONS` at most.
        settling: whether the whole view changed just now, so that nothing can be told.
        blind: whether it does so for longer than `BLIND_S`.
    """

    regions: tuple[Box, ...]
    settling: bool = False
    blind: bool = False


class MotionDetector:
    """Looks for motion on one camera's frames, all of the same size.

    Args:
        masks: polygons, corners as shares of width and height, in which nothing counts.
        least_area: share of the frame that must move, 0..1.
    """

    def __init__(
        self, masks: Sequence[Sequence[Sequence[float]]] = (), least_area: float = 0.001
    ) -> None:
        self._masks = [np.asarray(mask, np.float64) for mask in masks]
        self._least_area = least_area
        self._open = np.ones((2, 2), np.uint8)
        self._rim = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
        self._join = np.ones((_JOIN, _JOIN), np.uint8)
        self.restart()

    def restart(self) -> None:
        """Forget the background; the next frame may have another size."""
        self._model = cv2.createBackgroundSubtractorMOG2(detectShadows=True)
        self._model.setBackgroundRatio(_SHARE)
        self._seen: npt.NDArray[np.uint8] | None = None
        self._parts: dict[Box, int] = {}  # of the last frame's regions, numbers in `_labels`
        self._labels: npt.NDArray[np.int32] = np.zeros((1, 1), np.int32)
        self._size = (0, 0)
        self._began = self._before = 0.0
        self._settle_until = self._settling_since = -1.0

    def look(
        self,
        image: Image,
        monotonic: float,
        light: Light = Light.DAY,
        small: Image | None = None,
        apart: float = 0.0,
    ) -> Motion:
        """Take a frame in and say what moves on it.

        Args:
            image: BGR, uint8 [height, width, 3].
            monotonic: when it was taken, in seconds of a clock that never goes back.
            light: by which; in infrared, where all is grey, dark animals would pass for shadows.
            small: the frame as `shrunk` makes it, where it is there already.
            apart: seconds between the camera's frames.
        """
        small = shrunk(image) if small is None else small
        self._parts = {}
        height, width = image.shape[:2]
        passed = monotonic - self._before
        anew = passed > max(_GAP_S, 3 * apart)
        if self._seen is None or self._size != (width, height) or anew:
            self.restart()
            self._size = (width, height)
            self._seen = self._unmasked(small)
            self._began = self._before = monotonic
            self._model.apply(small, learningRate=1.0)
            return Motion(())
        self._before = monotonic
        if monotonic < self._settle_until:
            self._model.apply(small, learningRate=0.5)
            return self._settled(monotonic)
        self._model.setDetectShadows(light is Light.DAY)
        rate = self._rate(monotonic, passed)
        moved = np.asarray(self._model.apply(small, learningRate=rate), np.uint8)
        moved = np.where(moved == _MOVED, self._seen, np.uint8(0))
        share = cv2.countNonZero(moved) / max(1, cv2.countNonZero(self._seen))
        if share > GLOBAL:
            self._settle_until = monotonic + SETTLE_S
            if self._settling_since < 0:
                self._settling_since = monotonic
            self._model.apply(small, learningRate=1.0)
            return self._settled(monotonic)
        self._settling_since = -1.0
        return Motion(self._regions(moved, width, height))

    def behind(self, image: Image, boxes: Sequence[Box]) -> Image:
        """Return a frame with what lies behind some parts in their place, as it was learnt.

        Only what moves gives way, with a rim of `RIM` small pixels, and not all of its box: whoever
        stands still beside or behind it stays, and so does whatever else moves.

        Args:
            image: the frame that was looked at last, BGR, uint8 [height, width, 3].
            boxes: of its regions, as `look` returned them.
        """
        parts = [self._parts[box] for box in boxes if box in self._parts]
        if not parts:
            return image
        height, width = image.shape[:2]
        gone = np.isin(self._labels, parts).astype(np.uint8)
        gone = np.asarray(cv2.dilate(gone, self._rim), np.uint8)
        gone = np.asarray(cv2.resize(gone, (width, height), interpolation=cv2.INTER_NEAREST))
        learnt = np.asarray(self._model.getBackgroundImage(), np.uint8)
        shown = image.copy()
        cv2.copyTo(cv2.resize(learnt, (width, height)), gone, shown)
        return shown

    def _settled(self, monotonic: float) -> Motion:
        return Motion((), True, monotonic - self._settling_since > BLIND_S)

    def _rate(self, monotonic: float, passed: float) -> float:
        """Return the share of a frame in what is learnt.

        Something new is background once what was there has less than `_SHARE` of the weight, after
        log(_SHARE) / log(1 - rate) frames.
        """
        rate = 1.0 - _SHARE ** (min(passed, LEARN_S) / LEARN_S)
        warm = monotonic - self._began
        if warm < _WARM_S:  # noise and swaying leaves are to be known soon
            rate = max(rate, min(0.1, passed / _WARM_S))
        return float(rate)

    def _unmasked(self, small: Image) -> npt.NDArray[np.uint8]:
        """Return where motion counts: uint8, of the small frame's size, 255 there."""
        height, width = small.shape[:2]
        seen = np.full((height, width), 255, np.uint8)
        for mask in self._masks:
            corners = np.rint(mask * (width, height)).astype(np.int32)
            cv2.fillPoly(seen, [corners], (0,))
        return seen

    def _regions(self, moved: npt.NDArray[np.uint8], width: int, height: int) -> tuple[Box, ...]:
        cleaned = cv2.morphologyEx(moved, cv2.MORPH_OPEN, self._open)
        if not cv2.countNonZero(cleaned):
            return ()
        joined = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, self._join)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        pixels = np.bincount(labels[cleaned > 0], minlength=count)
        least = self._least_area * moved.size
        found = [
            (int(pixels[index]), index, stats[index])
            for index in range(1, count)
            if pixels[index] >= max(1.0, least)
        ]
        found.sort(key=lambda region: -region[0])
        across, down = width / moved.shape[1], height / moved.shape[0]
        self._labels = np.asarray(labels, np.int32)
        for _, index, (x, y, w, h, _) in found[:REGIONS]:
            x1, y1 = min(width, round((x + w) * across)), min(height, round((y + h) * down))
            self._parts[int(x * across), int(y * down), int(x1), int(y1)] = index
        return tuple(self._parts)


def shrunk(image: Image) -> Image:
    """Return a frame whose longer side has `WIDTH` pixels at most."""
    height, width = image.shape[:2]
    scale = min(1.0, WIDTH / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def crop_of(box: Box, width: int, height: int) -> Box:
    """Return the square around a region that a model is shown, within the frame.

    It is moved where it would stick out, and no square only where the frame has no room for one.
    """
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    side = max(LEAST_SIDE, round(side * (1 + 2 * MARGIN)))
    w, h = min(side, width), min(side, height)
    left = min(max(0, (x0 + x1 - w) // 2), width - w)
    top = min(max(0, (y0 + y1 - h) // 2), height - h)
    return (left, top, left + w, top + h)
