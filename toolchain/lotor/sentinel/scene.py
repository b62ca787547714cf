"""What the sentinel sees: a frame, what moves on it, what a model says of that, and its track."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lotor.detect import Box
from lotor.preprocess import Image
from lotor.veto import PERSON_SCORE

Point = tuple[float, float]
"""x, y as shares of a frame's width and height, 0..1."""


class Light(StrEnum):
    """What a camera sees by: colour, or infrared (and black and white at dusk)."""

    DAY = "day"
    NIGHT = "night"


@dataclass(frozen=True)
class Frame:
    """A picture of a camera, and when it was taken.

    Attributes:
        camera: its name in the configuration.
        number: counted from 0 since the camera was opened first; one that was dropped counts.
        time: Unix time, in seconds.
        monotonic: the same moment, in seconds of a clock that never goes back.
        image: BGR, uint8 [height, width, 3]; nobody writes to it.
    """

    camera: str
    number: int
    time: float
    monotonic: float
    image: Image


@dataclass(frozen=True)
class Detection:
    """What a model says of a part of a frame.

    Attributes:
        box: that part, in pixels.
        model: its name.
        scores: probability of each label, 0..1.
        unlike: how unlike all known it is (`lotor.ood`); None where the model cannot tell.
        unknown: whether that is beyond what training chose.
    """

    box: Box
    model: str
    scores: Mapping[str, float]
    unlike: float | None = None
    unknown: bool = False

    @property
    def label(self) -> str:
        """The likeliest label."""
        return max(self.scores, key=lambda label: (self.scores[label], label))


@dataclass(frozen=True)
class Track:
    """Something that moves, followed over frames.

    Attributes:
        number: unique for a camera as long as the program runs, from 1.
        box: where it is on this frame, or was last.
        detection: what a model says of it on this frame; None if it was not seen there.
        frames: on so many it was seen.
        began: when it was first seen, monotonic.
        seen: when it was last seen, monotonic.
        zones: names of the camera's zones that it is in now.
    """

    number: int
    box: Box
    detection: Detection | None
    frames: int
    began: float
    seen: float
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """All that was seen on a frame.

    Attributes:
        frame: itself.
        light: by which it was taken.
        moving: parts that move, in pixels.
        tracks: everything that is followed, also what is not seen on this frame.
        ended: tracks that were given up on this frame.
        person: the highest score of a person on the veto model's scale, 0..1. None: nobody was
            asked, which may only be where nothing moves. NaN: one was asked and failed.
        suspects: numbers of the tracks that may be a person; None for the rest of the frame, and
            where nobody knows.
        likely: whether one of those asked says a person more likely than not, on its own scale;
            None: by `person`.
        veto: its name and threshold from which on a person is there; None without one.
        errors: what went wrong, each a line; then nothing may act.
        seconds: how long looking took.
    """

    frame: Frame
    light: Light
    moving: tuple[Box, ...] = ()
    tracks: tuple[Track, ...] = ()
    ended: tuple[Track, ...] = ()
    person: float | None = None
    veto: tuple[str, float] | None = None
    errors: tuple[str, ...] = ()
    suspects: tuple[int | None, ...] = (None,)
    likely: bool | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def shows_person(self) -> bool:
        """Whether it shows a person more likely than not; also where asking failed."""
        if self.veto is None or self.person is None:
            return False
        by_person = not self.person < max(PERSON_SCORE, self.veto[1])
        return by_person if self.likely is None else self.likely
