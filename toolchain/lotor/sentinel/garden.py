"""A garden that exists only in memory: who walks through it, when, and what a camera sees of it.

The pictures are cut out of the model's golden vectors (free photographs, 96x96), so that a night
can be lived anywhere. Who is there at a time is known exactly, which no film can offer.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.paste import Cutout
from lotor.preprocess import Image
from lotor.resources import resource

WIDTH, HEIGHT = 640, 480
_DRAWN = 8  # visitors of whom a picture in their size is kept


class Who(StrEnum):
    """Who may come."""

    RACCOON = "raccoon"
    CAT = "cat"
    PERSON = "person"


@dataclass(frozen=True)
class Walk:
    """Somebody's way through the garden.

    Attributes:
        who: it is.
        begin: seconds since the beginning.
        seconds: it takes.
        size: of it, a share of the frame's height.
        right: whether from left to right.
        rest: share of the time in which it sits still, in the middle.
        cutout: what it looks like; a golden vector's picture when None.
    """

    who: Who
    begin: float
    seconds: float
    size: float = 0.4
    right: bool = True
    rest: float = 0.0
    cutout: Cutout | None = field(default=None, compare=False, repr=False)

    @property
    def end(self) -> float:
        """When it is gone."""
        return self.begin + self.seconds

    def place(self, time: float) -> float | None:
        """Return where it is: 0 at one edge, 1 at the other, None when not there."""
        share = (time - self.begin) / self.seconds
        if not 0 <= share <= 1:
            return None
        moving = (1 - self.rest) / 2
        if share < moving:
            share = share / moving / 2
        elif share > 1 - moving:
            share = 1 - (1 - share) / moving / 2
        else:
            share = 0.5
        return share if self.right else 1 - share


@dataclass
class Garden:
    """What a camera sees.

    Attributes:
        walks: who comes and when.
        wind: spans of seconds in which leaves move.
        night: by infrared: black and white, brighter in the middle.
        seed: of the noise.
        scenery: the empty garden, BGR uint8 [480, 640, 3]; lawn and gravel when None.
    """

    walks: list[Walk]
    wind: list[tuple[float, float]] = field(default_factory=list)
    night: bool = True
    seed: int = 0
    scenery: Image | None = None

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._still = lawn() if self.scenery is None else self.scenery
        if self.night:
            self._still = infrared(self._still)
        self._drawn: dict[int, Cutout] = {}
        self._noise = [_noise(self._rng) for _ in range(8)]
        self._count = 0

    def present(self, time: float) -> set[Who]:
        """Return who is in view, however little of it."""
        return {walk.who for walk in self.walks if walk.place(time) is not None}

    def picture(self, time: float) -> Image:
        """Return the frame at a time, BGR uint8 [480, 640, 3]."""
        image = self._still.copy()
        for walk in self.walks:
            place = walk.place(time)
            if place is not None:
                _draw(image, self._looks(walk), place)
        if any(begin <= time < end for begin, end in self.wind):
            self._blow(image, time)
        noise = self._noise[self._count % len(self._noise)]
        self._count += 1
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)

    def _looks(self, walk: Walk) -> Cutout:
        if id(walk) not in self._drawn:
            if len(self._drawn) >= _DRAWN:
                self._drawn.clear()
            whole = walk.cutout or Cutout(_golden(walk.who.value), _rounded())
            self._drawn[id(walk)] = _sized(whole, round(walk.size * HEIGHT), self.night)
        return self._drawn[id(walk)]

    def _blow(self, image: Image, time: float) -> None:
        for leaf in range(6):
            x = int(60 + 100 * leaf + 12 * np.sin(7 * time + leaf))
            y = int(90 + 30 * np.sin(3 * leaf) + 8 * np.sin(9 * time + 2 * leaf))
            shade = 60 + 8 * leaf
            cv2.ellipse(image, (x, y), (26, 12), 30 * leaf, 0, 360, (shade, shade, shade), -1)


def lawn() -> Image:
    """Return a lawn with a gravel path, uint8 [480, 640, 3]."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    # Photographs of a surface, as wide as the frame: grain without a pattern.
    image[:300] = cv2.resize(_golden("grass"), (WIDTH, 300), interpolation=cv2.INTER_CUBIC)
    image[300:] = cv2.resize(_golden("gravel"), (WIDTH, 180), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8)


def infrared(image: Image) -> Image:
    """Return what a camera with infrared lamps sees: grey, brighter in the middle."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1.0 - 0.35 * (x**2 + y**2)
    dark = np.clip(grey * light * 0.8, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(dark, cv2.COLOR_GRAY2BGR), np.uint8)


def _noise(rng: np.random.Generator) -> npt.NDArray[np.int16]:
    small = rng.normal(0, 2.0, (HEIGHT, WIDTH, 1)).astype(np.int16)
    return np.repeat(small, 3, axis=2)


@cache
def _golden(name: str) -> Image:
    """Return a golden vector's input as a picture, BGR uint8 [96, 96, 3]."""
    with np.load(resource("models", "raccoon") / "golden" / f"{name}.npz") as vector:
        pixels: Any = vector["input"].reshape(96, 96, 3).astype(np.int16) + 128
    return np.ascontiguousarray(pixels[:, :, ::-1].astype(np.uint8))


def _rounded() -> npt.NDArray[np.float32]:
    """Return a box of 96x96 with round corners and soft edges (a superellipse)."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    return np.asarray(np.clip((1 - (x**4 + y**4)) * 3, 0, 1), np.float32)


def _sized(whole: Cutout, height: int, night: bool) -> Cutout:
    """Return a cut-out of a height, in the frame's bounds; grey by night."""
    width = round(height * whole.pixels.shape[1] / whole.pixels.shape[0])
    shrink = min(1.0, 0.9 * WIDTH / width, 0.95 * HEIGHT / height)
    size = max(2, round(width * shrink)), max(2, round(height * shrink))
    method = cv2.INTER_AREA if size[0] < whole.pixels.shape[1] else cv2.INTER_CUBIC
    pixels = cv2.resize(whole.pixels, size, interpolation=method)
    if night:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2)
    cover = cv2.resize(whole.cover, size, interpolation=cv2.INTER_LINEAR)
    return Cutout(np.asarray(pixels, np.uint8), np.asarray(cover, np.float32))


def _draw(image: Image, cutout: Cutout, place: float) -> None:
    """Draw somebody with the feet on the gravel; at the edges only the part in view."""
    height, width = cutout.cover.shape
    x0 = round(-width + place * (WIDTH + width))
    y0 = max(0, min(HEIGHT - height, 440 - height))
    left, right = max(0, x0), min(WIDTH, x0 + width)
    if right <= left:
        return
    part = slice(left - x0, right - x0)
    behind = image[y0 : y0 + height, left:right]
    cover, pixels = cutout.cover[:, part, None], cutout.pixels[:, part]
    behind[:] = (behind + cover * (pixels.astype(np.float32) - behind) + 0.5).astype(np.uint8)
