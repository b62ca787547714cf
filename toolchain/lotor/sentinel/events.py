"""From decisions about tracks to events: visits, each with a beginning and an end."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from lotor.sentinel.bus import EventChanged
from lotor.sentinel.event import Decision, Event
from lotor.sentinel.scene import Light, Scene, Track

_RISEN = 0.05
"""A score that rose by less is not told at once."""


@dataclass
class _Visit:
    id: str
    camera: str
    track: int
    begin: float
    light: Light
    until: float
    confirmed: bool = False
    labels: Counter[str] = field(default_factory=Counter)
    scores: dict[str, float] = field(default_factory=dict)
    zones: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    best: int = -1
    told: Event | None = None

    def event(self, ended: bool = False) -> Event:
        label, frames = max(self.labels.items(), key=lambda item: (item[1], item[0]))
        return Event(
            id=self.id,
            camera=self.camera,
            track=self.track,
            label=label,
            score=self.scores[label],
            begin=self.begin,
            end=max(self.begin, self.until) if ended else None,
            light=self.light,
            zones=tuple(self.zones),
            frames=frames,
            actions=tuple(self.actions),
        )


class Events:
    """The visits that last; in one thread.

    A visit begins with the first frame of a track that got a vote. It becomes an event, and is
    told, once there were enough of them: a single frame that deceives is a decision on record and
    nothing more.
    """

    def __init__(self) -> None:
        self._visits: dict[str, _Visit] = {}

    def follow(self, scene: Scene, decisions: Iterable[Decision]) -> list[EventChanged]:
        """Take in a frame and what was decided on it; return the events that changed."""
        changed = []
        tracks = {track.number: track for track in scene.tracks}
        for decision in decisions:
            if decision.event:
                visit = self._grow(scene, tracks[decision.track], decision)
                changed += self._told(visit)
        ended = {track.number for track in scene.ended}
        changed += self._end(
            visit
            for visit in self._visits.values()
            if visit.camera == scene.frame.camera and visit.track in ended
        )
        return changed

    def best(self, event: str, frame: int) -> bool:
        """Return whether a frame is the one on which an event that lasts was seen best so far."""
        visit = self._visits.get(event)
        return visit is not None and visit.best == frame

    def lose(self, camera: str) -> list[EventChanged]:
        """End the visits of a camera that was lost."""
        return self._end(visit for visit in self._visits.values() if visit.camera == camera)

    def end(self, ids: Container[str]) -> list[EventChanged]:
        """End some visits, by the ids of their events."""
        return self._end(visit for visit in self._visits.values() if visit.id in ids)

    def end_all(self) -> list[EventChanged]:
        """End all visits: the sentinel ends."""
        return self._end(self._visits.values())

    def _grow(self, scene: Scene, track: Track, decision: Decision) -> _Visit:
        frame = scene.frame
        visit = self._visits.get(decision.event or "")
        if visit is None:
            visit = self._visits[decision.event or ""] = _Visit(
                *(decision.event or "", frame.camera, track.number, frame.time, scene.light),
                frame.time,
            )
        visit.until = frame.time
        if decision.label:
            visit.labels[decision.label] += 1
            scores = track.detection.scores if track.detection else {}
            found = scores.get(decision.label, 0.0)
            highest = visit.scores.get(decision.label, 0.0)
            visit.scores[decision.label] = max(found, highest)
            if frame.image.size and (found >= highest or visit.best < 0):
                visit.best = frame.number
        visit.zones += [zone for zone in track.zones if zone not in visit.zones]
        visit.actions += [name for name in decision.actions if name not in visit.actions]
        visit.confirmed |= decision.confirms
        return visit

    def _told(self, visit: _Visit) -> list[EventChanged]:
        if not visit.confirmed:
            return []
        event, before = visit.event(), visit.told
        if before is not None and not _news(before, event):
            return []
        visit.told = event
        return [EventChanged(event, began=before is None)]

    def _end(self, visits: Iterable[_Visit]) -> list[EventChanged]:
        ended: Sequence[_Visit] = list(visits)
        for visit in ended:
            del self._visits[visit.id]
        return [EventChanged(visit.event(ended=True)) for visit in ended if visit.told]


def _news(before: Event, after: Event) -> bool:
    return (
        (before.label, before.zones, before.actions) != (after.label, after.zones, after.actions)
    ) or after.score >= before.score + _RISEN
