"""Day or infrared night, told by the picture: infrared has no colour."""

from typing import Literal

import cv2
import numpy as np

from lotor.preprocess import Image
from lotor.sentinel.scene import Light

NIGHT_BELOW, DAY_ABOVE = 4.0, 6.0
"""Colourfulness (`colourfulness`): below the first it is night, above the second day."""
FRAMES = 5
"""So many frames in a row must say so before it changes."""

_SIZE = (64, 48)
_MOST = 24.0  # what is burnt in (a time, a logo) counts no more than this
_TINT = 1.1  # a camera without an infrared filter shows magenta: red and blue above green


def colourfulness(image: Image) -> float:
    """Return how far apart the channels of a BGR picture are on average, in steps of 0..255.

    Infrared seen by a sensor without a filter for it is grey, tinted magenta; that tint is taken
    out, but no other: a lawn is all green, and yet day.
    """
    small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
    planes = [plane.astype(np.float32) for plane in cv2.split(small)]  # numpy is slow on 3 in a row
    blue, green, red = (max(float(plane.mean()), 1.0) for plane in planes)
    if blue > _TINT * green and red > _TINT * green:
        planes[0] *= green / blue
        planes[2] *= green / red
    most = np.maximum(np.maximum(planes[0], planes[1]), planes[2])
    least = np.minimum(np.minimum(planes[0], planes[1]), planes[2])
    return float(np.minimum(most - least, _MOST).mean())


class LightMeter:
    """Says by which light a camera sees.

    Args:
        fixed: "day" or "night" where it is always that; "auto" tells it by the picture.
    """

    def __init__(self, fixed: Literal["auto", "day", "night"] = "auto") -> None:
        self._fixed = fixed != "auto"
        self._light = Light(fixed) if fixed != "auto" else None
        self._against = 0

    def look(self, image: Image) -> Light:
        """Take a BGR frame in and return the light; the first frame decides at once."""
        if self._light is not None and self._fixed:
            return self._light
        colour = colourfulness(image)
        if self._light is None:
            middle = (NIGHT_BELOW + DAY_ABOVE) / 2
            self._light = Light.NIGHT if colour < middle else Light.DAY
        says = self._light
        if colour < NIGHT_BELOW:
            says = Light.NIGHT
        elif colour > DAY_ABOVE:
            says = Light.DAY
        self._against = self._against + 1 if says is not self._light else 0
        if self._against >= FRAMES:
            self._light, self._against = says, 0
        return self._light
