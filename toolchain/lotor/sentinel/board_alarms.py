"""What a board's own watch says, as decisions of the sentinel: rule by rule, as of any frame.

The board saw it, by its model and its voting; the record says so. Everything else holds as for what
the sentinel sees itself. A person is looked for on the frame that came with the alarm, and where
none came nothing is set off, unless the configuration lets other cameras suffice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lotor.errors import LotorError
from lotor.sentinel.config import Config, Target
from lotor.sentinel.event import UNKNOWN, VOTES, Check, Decision, new_id
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.rules import Now, Rules, is_well, percent, same_rules
from lotor.sentinel.scene import Detection, Frame, Light, Scene, Track
from lotor.sentinel.sources import BoardEvent, Seen
from lotor.sentinel.tracks import zones_of
from lotor.veto import PERSON, PERSON_SCORE
from lotor.zoo import ModelFile, find_model

TRACK = 0
"""Number of the track that stands for what a board sees; the sentinel's own count from 1."""
QUIET_S = 30.0
"""Seconds without a word of a board after which what it saw is gone."""

_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


@dataclass
class _Visit:
    last: Decision
    heard: float  # monotonic


class BoardAlarms:
    """Decides about what the boards of a sentinel say; in one thread.

    Args:
        config: of the sentinel.
        rules: that hold for all cameras.
        opened: models of the configuration, which may lie anywhere.
    """

    def __init__(self, config: Config, rules: Rules, opened: Sequence[ModelFile] = ()) -> None:
        self._config, self._rules = config, rules
        self._targets = {target.label: target for target in config.target}
        self._zones = {camera.name: camera.zone for camera in config.camera}
        self._models = {model.name: model for model in opened}
        self._labels: dict[tuple[str, str], str | None] = {}
        self._visits: dict[tuple[str, str], _Visit] = {}  # by camera and label

    def look(self, event: BoardEvent, seen: Seen, pipeline: Pipeline) -> Scene:
        """Return the frame that came with an event, looked at for people; empty without one.

        Its one track is what the board says is there.
        """
        label, width, height = self.label_of(seen), *seen.size
        scores = {label or UNKNOWN: seen.score}
        if seen.person_score is not None:
            scores.setdefault(PERSON, seen.person_score)
        box = seen.box or (0, 0, width, height)
        model = f"{seen.model} on {seen.board}"
        detection = Detection(box, model, scores, unknown=seen.unknown)
        image = _NO_PICTURE if seen.image is None else seen.image
        frame = Frame(event.camera, seen.frame, event.time, seen.monotonic, image)
        zones = zones_of(box, width, height, self._zones[event.camera]) if seen.box else ()
        track = Track(TRACK, box, detection, 1, seen.monotonic, seen.monotonic, zones)
        veto = pipeline.models.veto
        if seen.image is None:
            scene = Scene(frame, pipeline.light, veto=veto)
        else:
            scene = pipeline.look_for_people(frame, [detection])
        if veto and (seen.person or label == PERSON):
            # NaN stays: where asking failed, somebody is taken to be there.
            least = 1.0 if label == PERSON else veto[1]
            person = least if scene.person is None else max(scene.person, least)
            likely = bool(scene.likely) or label == PERSON or veto[1] >= PERSON_SCORE
            likely |= (seen.person_score or 0.0) >= PERSON_SCORE
            scene = replace(scene, person=person, likely=likely)
        return replace(scene, tracks=(track,))

    def decide(
        self, event: BoardEvent, seen: Seen, scene: Scene, now: Now, monotonic: float
    ) -> list[Decision]:
        """Return the decision about what a board said, one at most.

        As in `Rules.decide`, one with the id of an earlier one is that one gone on. Of a person
        there is none: it forbids acting, and nothing is remembered.

        Args:
            event: what it said.
            seen: the same in numbers.
            scene: of it, by `look`.
            now: what else matters.
            monotonic: the time; what was said long ago sets nothing off.
        """
        # Who is seen is seen by all cameras. Nobody is no news: the frame counts already, as one of
        # the camera's last ones, and must not push one that shows a person out of these.
        if scene.veto and scene.person is not None and not scene.person < scene.veto[1]:
            self._rules.decide(replace(scene, tracks=()), now)
        label = self.label_of(seen)
        if label == PERSON:
            return []
        checks = self._checks(event, seen, scene, now, monotonic)
        key = event.camera, label or UNKNOWN
        visit = self._visits.get(key)
        target = self._targets.get(label or "")
        actions = target.actions if target and all(check.passed for check in checks) else ()
        if actions:
            self._rules.acted(scene.frame.monotonic)
        if visit and not actions and same_rules(visit.last.checks, checks):
            last = visit.last
            decision = replace(last, until=event.time, last=seen.frame, frames=last.frames + 1)
        else:
            (track,) = scene.tracks
            assert track.detection is not None
            decision = Decision(
                id=new_id(event.time),
                event=visit.last.event if visit else new_id(event.time),
                camera=event.camera,
                track=TRACK,
                time=event.time,
                until=event.time,
                first=seen.frame,
                last=seen.frame,
                frames=1,
                label=label or UNKNOWN,
                model=track.detection.model,
                scores=track.detection.scores,
                box=track.box,
                light=scene.light,
                checks=checks,
                actions=actions,
            )
        self._visits[key] = _Visit(decision, seen.monotonic)
        return [decision]

    def unmade(self, decision: Decision) -> None:
        """Forget a decision that could not be put on record; the next word makes a new one."""
        visit = self._visits.get((decision.camera, decision.label or UNKNOWN))
        if visit and visit.last.id == decision.id:
            if visit.last.actions:
                self._rules.acted_not(visit.heard)
            visit.last = replace(decision, checks=(), actions=())

    def over(self, monotonic: float) -> list[str]:
        """Return the ids of the events that ended, as the board says nothing more."""
        gone = [key for key, v in self._visits.items() if monotonic - v.heard >= QUIET_S]
        return [self._visits.pop(key).last.event or "" for key in gone]

    def forget_camera(self, camera: str) -> None:
        """Forget what the board of a camera that was lost saw."""
        self._visits = {key: v for key, v in self._visits.items() if key[0] != camera}

    def label_of(self, seen: Seen) -> str | None:
        """Return what a board's model looks for; None where that model is not known here."""
        key = seen.model, seen.hash
        if key not in self._labels:
            self._labels[key] = self._find(seen)
        return self._labels[key]

    def _find(self, seen: Seen) -> str | None:
        try:
            file = self._models.get(seen.model) or find_model(seen.model)
            content = file.path.read_bytes()
        except (LotorError, OSError):
            return None
        target = file.recipe.get("target")
        return target if target and hashlib.sha256(content).hexdigest() == seen.hash else None

    def _checks(
        self, event: BoardEvent, seen: Seen, scene: Scene, now: Now, monotonic: float
    ) -> tuple[Check, ...]:
        label = self.label_of(seen)
        target = self._targets.get(label or "", Target(label or UNKNOWN))
        return (
            is_well(scene, now),
            self._alarm(seen, label, monotonic - seen.monotonic),
            _known(seen, label),
            _score(seen, target, scene.light),
            Check(
                VOTES,
                seen.enough,
                f"by the board's own voting: {seen.votes} of its last frames say {target.label}, "
                f"which is {'enough' if seen.enough else 'not enough'} there",
            ),
            _zone(seen, scene.tracks[0], target),
            self._people(event, seen, scene, now),
            *self._rules.of_garden(scene, target, now),
        )

    def _alarm(self, seen: Seen, label: str | None, age: float) -> Check:
        why = f"the board {seen.board} saw {label or 'it'} by its own model {seen.model}"
        why += f" in frame {seen.frame}; "
        if seen.image_frame is None:
            why += "it gave no picture"
        elif seen.image_frame == seen.frame:
            why += "the picture is that frame"
        else:
            why += f"the picture is frame {seen.image_frame}"
        late = age > self._config.deciding.memory_s
        why += f"; that was {age:.0f} s ago" if late else ""
        why += f"; it holds its alarm back: {seen.held}" if seen.held else ""
        return Check("board", not seen.held and not late, why)

    def _people(self, event: BoardEvent, seen: Seen, scene: Scene, now: Now) -> Check:
        """As for any frame; but what cannot be asked forbids, as the board knows no veto of ours.

        The sentinel's own cameras may do without a model of people: that is for who stands before
        them to decide. A board that acts by a word alone is not.
        """
        veto = self._config.veto
        if not veto.model or scene.veto is None:
            return Check("person", False, "no model looks for people; a board's word does not do")
        if seen.image is not None:
            return self._rules.people(scene)
        if why := self._rules.person_for(seen.monotonic):
            return Check("person", False, why)
        none = f"{seen.board} gave no frame on which {veto.model} could look for a person"
        if not veto.others_suffice:
            return Check("person", False, none)
        others = [name for name in now.looking if name != event.camera]
        if not others:
            return Check("person", False, f"{none}, and no other camera looks now")
        return Check(
            "person",
            True,
            f"{none}; nobody is seen on {', '.join(others)}, which suffices by veto.others_suffice",
        )


def _known(seen: Seen, label: str | None) -> Check:
    if label is None:
        return Check(
            "known", False, f"{seen.board}'s model {seen.model} is none that is known here"
        )
    like = "unlike" if seen.unknown else "not unlike"
    return Check("known", not seen.unknown, f"{like} what {seen.model} on {seen.board} knows")


def _score(seen: Seen, target: Target, light: Light) -> Check:
    given = target.threshold
    if light is Light.NIGHT and target.night_threshold is not None:
        given = target.night_threshold
    least = max(seen.least, 0.0 if given is None else given)
    return Check(
        "score",
        seen.score >= least,
        f"{seen.model} on {seen.board} says {target.label} {percent(seen.score)}; "
        f"{percent(least)} is needed",
    )


def _zone(seen: Seen, track: Track, target: Target) -> Check:
    if not target.zones:
        return Check("zone", True, f"{target.label} counts everywhere")
    counts = f"{target.label} counts in {', '.join(target.zones)}"
    if seen.box is None:
        return Check("zone", False, f"{seen.board} does not say where on its frame; {counts}")
    here = ", ".join(track.zones) or "no zone"
    return Check(
        "zone", not set(track.zones).isdisjoint(target.zones), f"it is in {here}; {counts}"
    )
