"""The parts of a split that are measured apart, and the rules by which a photograph is in one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lotor.benchmark.frozen import Hard, Small
from lotor.data.manifest import SHARP_SHORT_SIDE, Photo
from lotor.evaluate import Flags
from lotor.preprocess import Image, read_image
from lotor.progress import Progress

GREY_CHROMA = 3.0
"""Below this mean of max(R, G, B) - min(R, G, B), of 0..255, a picture has no colour."""
NIGHT_LUMA = 60.0
"""Below this mean brightness (luma of BT.601, 0..255) a picture with colour is dark."""

_SIDE = 96  # pixels: noise of single pixels must not count


@dataclass(frozen=True)
class Look:
    """What is measured of a picture: mean chroma and brightness, 0..255, and its size in pixels."""

    chroma: float
    luma: float
    width: int
    height: int

    @property
    def light(self) -> str:
        """Return `day`, `night` or `infrared`.

        `infrared`: without colour (mean chroma below `GREY_CHROMA`), as every infrared picture is;
        black-and-white photographs cannot be told from them, and a tinted one is not found.
        `night`: any other of mean brightness below `NIGHT_LUMA`: dark, whatever the hour.
        `day`: all others.
        """
        if self.chroma < GREY_CHROMA:
            return "infrared"
        return "night" if self.luma < NIGHT_LUMA else "day"


def look(image: Image) -> Look:
    """Measure a BGR picture, shrunk to 96x96 pixels."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    chroma = (small.max(axis=2) - small.min(axis=2)).mean()
    luma = (small @ np.array([0.114, 0.587, 0.299])).mean()
    return Look(float(chroma), float(luma), image.shape[1], image.shape[0])


def look_at(photos: Sequence[Photo]) -> list[Look]:
    """Measure photographs."""
    looks = []
    with Progress("looking at", len(photos), "photographs") as progress:
        for photo in photos:
            looks.append(look(read_image(photo.path)))
            progress.advance()
    return looks


def target_share(photo: Photo, seen: Look, is_target: Callable[[str], bool]) -> float:
    """Return the share (0..1) of the frame that the target's largest box takes; 0 without a box.

    A box without a class is taken for the photograph's own.
    """
    areas = [
        (box.x1 - box.x0) * (box.y1 - box.y0)
        for box in photo.boxes
        if is_target(box.kind or photo.kind)
    ]
    return max(areas, default=0) / (seen.width * seen.height)


def says(text: str, phrases: Sequence[str]) -> bool:
    """Whether a text holds one of the phrases, word by word.

    Words are runs of letters, or an ImageNet class such as n02509815; case, digits behind a word
    and signs between words do not count: "label fox" is in "file name label fox2".
    """
    words = f" {' '.join(_words(text))} "
    return any(f" {' '.join(_words(phrase))} " in words for phrase in phrases)


def _words(text: str) -> list[str]:
    return re.findall(r"n\d{8}|[a-z]+", text.lower())


@dataclass(frozen=True)
class Subset:
    """A part of the split.

    Attributes:
        name: e.g. `night`.
        rule: who is in it, in words.
        member: bool [photographs].
        whole: whether it was not chosen by what is on the photographs, so that scores can be
            compared with how often the target is there.
    """

    name: str
    rule: str
    member: Flags
    whole: bool = True


def subsets(
    photos: Sequence[Photo],
    looks: Sequence[Look],
    is_target: Callable[[str], bool],
    small: Small,
    hard: Hard,
) -> list[Subset]:
    """Divide photographs.

    Args:
        photos: of the split, [n].
        looks: what was measured of each, [n].
        is_target: whether a class is the target.
        small: which animals are small.
        hard: which photographs look like the target.
    """
    positive = np.array([is_target(photo.kind) for photo in photos], np.bool_)
    light = np.array([seen.light for seen in looks])
    shares = np.array(
        [target_share(photo, seen, is_target) for photo, seen in zip(photos, looks, strict=True)]
    )
    sharp = np.array([photo.sharp for photo in photos], np.bool_)
    alike = np.array(
        [photo.kind in hard.classes or says(photo.note, hard.words) for photo in photos], np.bool_
    )
    tiny = (shares > 0) & (shares < small.area)
    found = [
        Subset("all", "the whole split", np.ones(len(photos), np.bool_)),
        *(Subset(name, rule, light == name) for name, rule in LIGHT.items()),
        Subset("sharp", f"originals of at least {SHARP_SHORT_SIDE} pixels", sharp),
        Subset(
            "small",
            f"targets whose largest box takes less than {small.area:.0%} of the frame, and all "
            "photographs without one",
            tiny | ~positive,
            whole=False,
        ),
    ]
    if hard.classes or hard.words:
        names = ", ".join([*hard.classes, *hard.words])
        rule = f"targets, and of the others those that look like them: {names}"
        found.append(Subset("hard", rule, positive | alike, whole=False))
    return found


LIGHT: Mapping[str, str] = {
    "day": "neither night nor infrared",
    "night": f"with colour, mean brightness below {NIGHT_LUMA:.0f} of 255",
    "infrared": f"without colour: mean chroma below {GREY_CHROMA:.0f} of 255",
}
"""Rules of `Look.light`, in words."""
