"""Scenes for tests of what the sentinel decides: no pictures, only what was seen on them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lotor.sentinel.scene import Detection, Frame, Light, Scene, Track

NOON = 1_790_000_000.0  # a September night
BOX = (10, 10, 50, 50)


def scene(
    monotonic: float,
    scores: Mapping[str, float] | None = None,
    *,
    camera: str = "garden",
    person: float | None = 0.0,
    veto: tuple[str, float] | None = ("person", 0.5),
    track: int = 1,
    zones: Sequence[str] = (),
    unknown: bool = False,
    light: Light = Light.DAY,
    errors: Sequence[str] = (),
    ended: Sequence[int] = (),
    wall: float | None = None,
    number: int | None = None,
    suspects: Sequence[int | None] = (None,),
) -> Scene:
    """Return a scene with one track, or none without scores."""
    time = NOON + monotonic if wall is None else wall
    image = np.zeros((60, 80, 3), np.uint8)
    frame = Frame(
        camera, round(monotonic * 10) if number is None else number, time, monotonic, image
    )
    tracks: tuple[Track, ...] = ()
    if scores is not None:
        unlike = math.inf if unknown else None
        detection = Detection(BOX, "raccoon", scores, unlike, unknown)
        tracks = (Track(track, BOX, detection, 1, monotonic, monotonic, tuple(zones)),)
    gone = tuple(Track(n, BOX, None, 1, monotonic, monotonic) for n in ended)
    return Scene(frame, light, (BOX,), tracks, gone, person, veto, tuple(errors), tuple(suspects))


def raccoon(score: float) -> dict[str, float]:
    """Return the scores of what may be a raccoon."""
    return {"raccoon": score, "background": 1 - score}
