"""What moves, followed over frames; and in which zones it is.

A track is a box that moves at a constant speed until the next frame says otherwise, as in SORT
(Bewley and others, "Simple online and realtime tracking", ICIP 2016, arXiv:1602.00763); boxes go to
the nearest track, best pairs first. Its speed is smoothed by a fixed gain where SORT has a Kalman
filter: background subtraction gives boxes that jump more than that one's noise model says.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from lotor.detect import Box
from lotor.sentinel import config
from lotor.sentinel.scene import Detection, Track

LOST_S = 3.0
"""Seconds after which a track that is not seen any more is given up, but not on the first frame."""
REST_S = 60.0
"""Seconds for which one that stopped moving is looked at again where it was last."""
TRACKS = 16
"""So many are followed at most; then the one that was not seen for longest is given up."""

_GAIN = 0.5  # share of a new speed in the smoothed one
_REACH = 1.5  # diagonals, and as many again each second, that a box may be from where it should be


@dataclass
class Followed:
    """A track, and what following it needs.

    Attributes:
        track: as it is told.
        speed: of the middle of its box, in pixels a second, x and y.
        moved: when a region that moves was last seen there, monotonic.
        at: the moment that `box` of the track stands for, monotonic.
        labels: on how many frames on which it moved it was taken for each.
    """

    track: Track
    speed: tuple[float, float]
    moved: float
    at: float
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def label(self) -> str | None:
        """What it was taken for on most frames on which it moved; None if for nothing."""
        return max(self.labels, key=lambda label: (self.labels[label], label), default=None)

    def count(self, detection: Detection | None) -> None:
        """Take in what a model said of it while it moved."""
        if detection is not None and not detection.unknown:
            self.labels[detection.label] += 1

    def predicted(self, monotonic: float) -> Box:
        """Return where its box should be."""
        passed = min(monotonic - self.at, 1.0)  # nobody runs on unseen for long
        dx, dy = round(self.speed[0] * passed), round(self.speed[1] * passed)
        x0, y0, x1, y1 = self.track.box
        return (x0 + dx, y0 + dy, x1 + dx, y1 + dy)


@dataclass
class Tracker:
    """Follows what moves on one camera."""

    living: list[Followed] = field(default_factory=list)
    _last: int = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Everything that is followed."""
        return tuple(followed.track for followed in self.living)

    def match(self, boxes: Sequence[Box], monotonic: float) -> list[Followed | None]:
        """Return the track to which each box belongs; None for a new one."""
        pairs = []
        for row, box in enumerate(boxes):
            for column, followed in enumerate(self.living):
                if (cost := _distance(box, followed, monotonic)) is not None:
                    pairs.append((cost, row, column))
        found: list[Followed | None] = [None] * len(boxes)
        taken: set[int] = set()
        for _, row, column in sorted(pairs):
            if found[row] is None and column not in taken:
                found[row] = self.living[column]
                taken.add(column)
        return found

    def see(
        self,
        followed: Followed | None,
        box: Box,
        detection: Detection | None,
        monotonic: float,
        zones: tuple[str, ...],
        moving: bool = True,
    ) -> Track:
        """Take in that something was seen.

        Args:
            followed: which track; None begins one.
            box: where.
            detection: what a model says of it.
            monotonic: when.
            zones: in which it is.
            moving: False where it rests, and was looked at again.
        """
        if followed is None:
            self._last += 1
            track = Track(self._last, box, detection, 1, monotonic, monotonic, zones)
            followed = Followed(track, (0.0, 0.0), monotonic, monotonic)
            self.living.append(followed)
            followed.count(detection)
            return track
        if moving:
            passed = monotonic - followed.at
            if passed > 0:
                now = [
                    (a - b) / passed
                    for a, b in zip(_middle(box), _middle(followed.track.box), strict=True)
                ]
                old = followed.speed
                followed.speed = (
                    old[0] + _GAIN * (now[0] - old[0]),
                    old[1] + _GAIN * (now[1] - old[1]),
                )
            followed.moved = monotonic
            followed.count(detection)
        else:
            followed.speed = (0.0, 0.0)
        followed.at = monotonic
        followed.track = replace(
            followed.track,
            box=box,
            detection=detection,
            frames=followed.track.frames + 1,
            seen=monotonic,
            zones=zones,
        )
        return followed.track

    def miss(self, followed: Followed) -> None:
        """Take in that a track was not seen on this frame."""
        if followed.track.detection is not None:
            followed.track = replace(followed.track, detection=None)

    def give_up(self, monotonic: float, apart: float = 0.0) -> tuple[Track, ...]:
        """Return the tracks that end now, and follow them no longer.

        Args:
            monotonic: the time.
            apart: seconds between the camera's frames.
        """
        longest = max(LOST_S, 1.5 * apart)
        ended = [f for f in self.living if monotonic - f.track.seen > longest]
        living = sorted(
            (f for f in self.living if monotonic - f.track.seen <= longest),
            key=lambda f: f.track.seen,
        )
        ended += living[: max(0, len(living) - TRACKS)]
        gone = {f.track.number for f in ended}
        self.living = [f for f in self.living if f.track.number not in gone]
        return tuple(f.track for f in ended)

    def end(self) -> tuple[Track, ...]:
        """Return all tracks, and follow none of them any longer."""
        ended = self.tracks
        self.living = []
        return ended


def iou(a: Box, b: Box) -> float:
    """Return the area that two boxes share, as a share of the area that they cover, 0..1."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def zones_of(box: Box, width: int, height: int, zones: Sequence[config.Zone]) -> tuple[str, ...]:
    """Return the names of the zones in which the middle of a box's lower edge lies."""
    x, y = (box[0] + box[2]) / 2 / width, box[3] / height
    return tuple(zone.name for zone in zones if inside(x, y, zone.polygon))


def inside(x: float, y: float, polygon: Sequence[Sequence[float]]) -> bool:
    """Return whether a point is in a polygon or on its edge; x, y and its corners are shares."""
    corners = np.asarray(polygon, np.float32)
    return bool(cv2.pointPolygonTest(corners, (x, y), False) >= 0)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _distance(box: Box, followed: Followed, monotonic: float) -> float | None:
    """Return how badly a box fits a track: 0 the same, up to 1 apart; None if it cannot be it."""
    expected = followed.predicted(monotonic)
    overlap = max(iou(box, expected), iou(box, followed.track.box))
    if overlap > 0:
        return 1.0 - overlap
    (ax, ay), (bx, by) = _middle(box), _middle(expected)
    size = max(math.hypot(b[2] - b[0], b[3] - b[1]) for b in (box, followed.track.box))
    reach = _REACH * (1.0 + min(monotonic - followed.at, 2.0))
    apart = math.hypot(ax - bx, ay - by) / size
    return 1.0 + apart if apart <= reach else None
