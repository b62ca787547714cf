"""From a frame to a scene: light, motion, what models say of what moves, tracks, and people.

Nothing is raised: what goes wrong is a line of `Scene.errors`, and then nothing may act.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np

from lotor.detect import Box
from lotor.preprocess import Image
from lotor.sentinel import config
from lotor.sentinel.light import LightMeter
from lotor.sentinel.models import rescaled
from lotor.sentinel.motion import Motion, MotionDetector, crop_of, shrunk
from lotor.sentinel.pace import Pace
from lotor.sentinel.scene import Detection, Frame, Light, Scene, Track
from lotor.sentinel.still import StillView
from lotor.sentinel.tracks import REST_S, Followed, Tracker, zones_of
from lotor.veto import PERSON, PERSON_SCORE

T = TypeVar("T")

LOOKS = 4
"""Parts of a frame that are shown to a model at most: what moves first, then what rests."""

FAR = 0.25
"""Share of the frame up to which the veto model is shown a part that no other witness knows."""

NEAR = 0.5
"""Share of the frame beyond which what moves stays in the whole frame: it is the most of it."""

_NOTHING = frozenset({"background", "none", "empty"})


class Looked(NamedTuple):
    """What a model said of a part.

    Attributes:
        detection: what it said.
        track: number of the track; None where a board saw it.
        region: where it moves, as the background behind it is known; None where it rests.
    """

    detection: Detection
    track: int | None = None
    region: Box | None = None


class People(NamedTuple):
    """Whether a person is on a frame: see `Scene`."""

    person: float | None = None
    suspects: tuple[int | None, ...] = ()
    likely: bool | None = None


NOBODY = People()
"""Nobody was asked."""
UNKNOWN = People(math.nan, (None,), True)
"""Asking failed."""


class Asked(Protocol):
    """What is asked of models: see `lotor.sentinel.models.Models`."""

    veto: tuple[str, float] | None

    def choose(self, light: Light, camera: str, zones: Sequence[str], at: float) -> Any:
        """Return what has `name` and `score(image, box)`; None for no model."""
        ...

    def person(self, image: Image, box: Box | None = None) -> float | None:
        """Return the score of a person on a frame, or a part of it."""
        ...

    def person_by(self, detection: Detection) -> float | None:
        """Return a model's own score of a person."""
        ...


class Pipeline:
    """Looks at the frames of one camera, in their order; for one thread.

    Args:
        camera: whose frames.
        settings: the configuration; models are open already.
        models: of it.
    """

    def __init__(self, camera: config.Camera, settings: config.Config, models: Asked) -> None:
        self.camera, self.models = camera, models
        self._light = LightMeter(camera.light)
        self._motion = MotionDetector(camera.masks, camera.least_area)
        self._tracker = Tracker()
        self._still = StillView()
        self._pace = Pace()
        self._size: tuple[int, int] | None = None
        self._was = Light.DAY
        self._errors: list[str] = []
        self._unasked = False  # a model failed to say what a part of the frame is

    def look(self, frame: Frame) -> Scene:
        """Return what is seen on a frame."""
        begun = time.perf_counter()
        self._errors, self._unasked = [], False
        self._pace.see(frame.monotonic)
        image = self._try("frame", lambda: plain(frame.image), None)
        if image is None:
            return self._blind(frame, begun)
        ended: tuple[Track, ...] = ()
        if self._size not in (None, image.shape[:2]):
            ended = self._tracker.end()  # its boxes are pixels of another frame
        self._size = image.shape[:2]
        small = self._try("frame", lambda: shrunk(image), image)
        light = self._try("light", lambda: self._light.look(small), self._was)
        self._was = light
        self._still.see_by(light)  # also while something moves: night falls then, too
        apart = self._pace.seconds
        motion = self._try(
            "motion",
            lambda: self._motion.look(image, frame.monotonic, light, small, apart),
            Motion(()),
        )
        if motion.blind:
            self._errors.append(
                f"camera {self.camera.name}: the whole picture keeps changing, so that nothing can "
                "be told apart; is it fixed, and in focus?"
            )
        nothing: list[Looked] = []
        looked = self._try(
            "tracks", lambda: self._follow(frame, image, light, motion.regions), nothing
        )
        none: tuple[Track, ...] = ()
        ended += self._try("tracks", lambda: self._give_up(frame.monotonic), none)
        seen = NOBODY
        if motion.regions or motion.settling or self._tracker.living or self._errors:
            seen = self._person(image, looked, frame.monotonic)
        elif self.models.veto and self._still.due(frame.monotonic, light):
            seen = self._try("veto", lambda: self._look_at_still(image, frame.monotonic), NOBODY)
        return Scene(
            frame,
            light,
            motion.regions,
            self._tracker.tracks,
            ended,
            seen.person,
            self.models.veto,
            tuple(self._errors),
            seen.suspects,
            seen.likely,
            time.perf_counter() - begun,
        )

    def _give_up(self, monotonic: float) -> tuple[Track, ...]:
        return self._tracker.give_up(monotonic, self._pace.seconds)

    def look_for_people(self, frame: Frame, parts: list[Detection]) -> Scene:
        """Return whether a person is on a frame of which a board says that something is there.

        Whether anything moves is not asked; the board's word takes that place.

        Args:
            frame: of the board.
            parts: what the board says is there, with its own score of a person where it has one.
        """
        begun = time.perf_counter()
        self._errors, self._unasked = [], False
        image = self._try("frame", lambda: plain(frame.image), None)
        seen = UNKNOWN if self.models.veto else NOBODY
        if image is not None:
            small = self._try("frame", lambda: shrunk(image), image)
            self._was = self._try("light", lambda: self._light.look(small), self._was)
            looked = [Looked(part) for part in parts]
            seen = self._person(image, looked, frame.monotonic)
        return Scene(
            *(frame, self._was, (), (), (), seen.person, self.models.veto, tuple(self._errors)),
            likely=seen.likely,
            seconds=time.perf_counter() - begun,
        )

    @property
    def light(self) -> Light:
        """By which the last frame was taken."""
        return self._was

    def _follow(
        self, frame: Frame, image: Image, light: Light, regions: tuple[Box, ...]
    ) -> list[Looked]:
        """Take in what moves and what rests; return what models say of it."""
        now, left = frame.monotonic, LOOKS
        looked: list[Looked] = []
        seen: set[int] = set()
        for box, followed in zip(regions, self._tracker.match(regions, now), strict=True):
            zones = self._zones(box, image)
            detection = None
            if left > 0:
                left -= 1
                detection = self._ask(frame, image, light, box, zones)
            track = self._tracker.see(followed, box, detection, now, zones)
            seen.add(track.number)
            if detection is not None:
                looked.append(Looked(detection, track.number, box))
        for followed in self._tracker.living:
            if followed.track.number in seen:
                continue
            found = None
            if left > 0 and now - followed.moved <= REST_S:
                left -= 1
                found = self._rests(frame, image, light, followed)
            if found is None:
                self._tracker.miss(followed)
            else:
                looked.append(Looked(found, followed.track.number))
        return looked

    def _rests(
        self, frame: Frame, image: Image, light: Light, followed: Followed
    ) -> Detection | None:
        """Look again at where a track was last; return what is there if it still is."""
        track = followed.track
        found = self._ask(frame, image, light, track.box, track.zones)
        if found is None:
            return None
        still = not found.unknown and found.label not in _NOTHING and found.label == followed.label
        if still:
            zones = track.zones
            self._tracker.see(followed, track.box, found, frame.monotonic, zones, moving=False)
        return found if still else None

    def _ask(
        self, frame: Frame, image: Image, light: Light, box: Box, zones: tuple[str, ...]
    ) -> Detection | None:
        model = self.models.choose(light, self.camera.name, zones, frame.time)
        if model is None:
            return None
        height, width = image.shape[:2]
        crop = crop_of(box, width, height)
        nothing: Detection | None = None
        found = self._try(f"model {model.name}", lambda: model.score(image, crop), nothing)
        self._unasked |= found is None
        return found

    def _look_at_still(self, image: Image, monotonic: float) -> People:
        """Remember what the veto model says of a still view; return whether one likely is there."""
        score = self.models.person(image)
        if score is None:
            return NOBODY
        self._still.take(monotonic, score)
        return People(score, (None,), True) if self._is_likely(score) else NOBODY

    def _whole(self, image: Image, monotonic: float) -> float | None:
        """Return the score of a person in a whole frame, less what the still view has, too."""
        score = self.models.person(image)
        if score is None or self.models.veto is None:
            return score
        least = self.models.veto[1]
        return rescaled(score, self._still.threshold(monotonic, least), least)

    def _person(self, image: Image, looked: Sequence[Looked], monotonic: float) -> People:
        """Return whether a person is there.

        A part that moves and that two witnesses were asked about gives way to the garden behind it
        on the whole frame, which is then asked about everybody else.
        """
        failed = len(self._errors)
        failure: float | None = math.nan
        scores: list[tuple[int | None, float | None]] = []
        known: list[Box] = []
        likely = False
        height, width = image.shape[:2]
        for detection, track, region in looked:
            box = detection.box
            by = self.models.person_by(detection)
            trusted = by is not None and not detection.unknown
            scores.append((track, by))
            likely |= by is not None and detection.scores[PERSON] >= PERSON_SCORE
            if trusted or _area(box) <= FAR * height * width:
                score = self._try("veto", partial(self.models.person, image, box), failure)
                scores.append((track, score))
                likely |= score is not None and self._is_likely(score)
                near = region is None or _area(region) > NEAR * height * width
                if region is not None and not near and trusted and score is not None:
                    known.append(region)
        rest = self._try("veto", lambda: self._motion.behind(image, known), image)
        whole = self._try("veto", lambda: self._whole(rest, monotonic), failure)
        scores.append((None, whole))
        likely |= whole is not None and self._is_likely(whole)
        found = [(track, score) for track, score in scores if score is not None]
        if (
            self._unasked
            or len(self._errors) > failed
            or any(math.isnan(score) for _, score in found)
        ):
            return UNKNOWN
        least = self.models.veto[1] if self.models.veto else math.inf
        suspects = dict.fromkeys(track for track, score in found if score >= least)
        return People(max((s for _, s in found), default=None), tuple(suspects), likely)

    def _is_likely(self, score: float) -> bool:
        """Return whether a score on the veto's scale says a person more likely than not."""
        return self.models.veto is not None and score >= max(PERSON_SCORE, self.models.veto[1])

    def _zones(self, box: Box, image: Image) -> tuple[str, ...]:
        height, width = image.shape[:2]
        return zones_of(box, width, height, self.camera.zone)

    def _try(self, part: str, do: Callable[[], T], otherwise: T) -> T:
        try:
            return do()
        except Exception as error:  # whatever it is, it must be seen and must not stop the watch
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._errors.append(f"camera {self.camera.name}, {part}: {text}")
            return otherwise

    def _blind(self, frame: Frame, begun: float) -> Scene:
        """Return the scene of a frame that cannot be looked at."""
        ended = self._give_up(frame.monotonic)
        for followed in self._tracker.living:
            self._tracker.miss(followed)
        return Scene(
            frame,
            self._was,
            (),
            self._tracker.tracks,
            ended,
            math.nan if self.models.veto else None,
            self.models.veto,
            tuple(self._errors),
            seconds=time.perf_counter() - begun,
        )


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def plain(image: Any) -> Image:
    """Return a frame as BGR, uint8 [height, width, 3]; grey and transparent ones are made so.

    Raises:
        ValueError: it is no picture.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.size == 0:
        raise ValueError("the frame is empty or no picture of 8 bits")
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if image.ndim == 3 and image.shape[2] == 4:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), np.uint8)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the frame has shape {list(image.shape)}, not [height, width, 3]")
    return image
