"""Whether to act about what is on a frame: rule by rule, each with its reason.

All rules are asked on every frame, also once one stands against it, so that a record says all that
did. Only if every one of them lets it pass are deterrents set off. What the rules remember of a
track is its votes (`voting.py`); what they remember of the whole garden is when somebody was last
seen, on any camera, and when deterrents acted.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lotor.sentinel.config import Config, Target
from lotor.sentinel.event import UNKNOWN, VOTES, Check, Decision, new_id
from lotor.sentinel.hours import within
from lotor.sentinel.scene import Detection, Light, Scene, Track
from lotor.sentinel.tracks import LOST_S
from lotor.sentinel.voting import Rule, Voting
from lotor.veto import PERSON

ThresholdOf = Callable[[str, str, Light], float]
"""From a model's name, a label and the light: the score from which on a frame votes, 0..1."""

Suspects = frozenset[int | None]
"""Who on a frame may be a person: numbers of tracks, None for the rest of the frame."""

_SOMEBODY: Suspects = frozenset({None})
_NIGHT_S = 24 * 3600
_CLOCK_SET = datetime(2025, 1, 1).timestamp()
"""A clock that says less was never set: a Raspberry Pi without a battery begins in 1970."""


@dataclass(frozen=True)
class Now:
    """What the rules must know beyond a frame.

    Attributes:
        armed: whether deterrents may act.
        blocked: parts that are not well and therefore forbid it, each a line.
        looking: names of the cameras that gave a frame just now, and were looked at well.
    """

    armed: bool = True
    blocked: Sequence[str] = ()
    looking: Sequence[str] = ()


@dataclass
class _Followed:
    voting: Voting
    event: str | None = None
    last: Decision | None = None
    acted: float | None = None  # by the last one, monotonic
    # So many of its last frames in a row voted for each label and showed nobody.
    clear: dict[str, int] = field(default_factory=dict)
    seen: float = -math.inf  # when it was last, monotonic


class Rules:
    """Decides about all cameras of a sentinel; in one thread.

    Args:
        config: of it.
        threshold_of: from which score on a frame votes.
    """

    def __init__(self, config: Config, threshold_of: ThresholdOf) -> None:
        self._config = config
        self._threshold_of = threshold_of
        self._targets = {target.label: target for target in config.target}
        self._followed: dict[tuple[str, int], _Followed] = {}
        self._rules: dict[tuple[str, Light], Rule] = {}
        self._shown: dict[str, deque[tuple[float, Suspects]]] = {}  # of each camera's last frames
        # When somebody was last there for sure, monotonic: on which camera, and as which track.
        self._sure: dict[tuple[str, int | None], float] = {}
        self._acts: list[float] = []  # when deterrents were set off, monotonic, of a day
        self._before = -math.inf  # when the last one of before this run was

    def decide(self, scene: Scene, now: Now) -> list[Decision]:
        """Return a decision for every track that is seen on a frame.

        A decision with the id of an earlier one is that one gone on: the same in all but its
        `until`, `last` and `frames`. A new one that acts must be on record before anything acts;
        it counts for cool-down and nightly cap at once, also for other tracks of the same frame.

        Args:
            scene: of a frame; those of a camera come in order.
            now: what else matters.
        """
        self._see_people(scene)
        self._doubt(scene)
        made = []
        for track in scene.tracks:
            if track.detection is not None:
                made.append(self._decide(scene, track, track.detection, now))
        for track in scene.ended:
            self._followed.pop((scene.frame.camera, track.number), None)
        return made

    def unmade(self, decision: Decision) -> None:
        """Forget a decision that could not be put on record; the next frame makes a new one."""
        if followed := self._followed.get((decision.camera, decision.track)):
            if followed.acted is not None:
                self.acted_not(followed.acted)
            followed.last = followed.acted = None

    def acted(self, monotonic: float) -> None:
        """Count what is set off now for cool-down and nightly cap."""
        self._acts = [each for each in self._acts if monotonic - each < _NIGHT_S]
        self._acts.append(monotonic)

    def acted_not(self, monotonic: float) -> None:
        """Count no more what was set off then: it could not be put on record."""
        self._acts.remove(monotonic)

    def acted_before(self, monotonic: float, ago: Sequence[float]) -> None:
        """Remember what was set off before this run, so many seconds of use ago at least."""
        self._acts = sorted(monotonic - each for each in ago)
        self._before = max(self._acts, default=-math.inf)

    def forget_camera(self, camera: str) -> None:
        """Forget the tracks of a camera that was lost."""
        self._followed = {key: value for key, value in self._followed.items() if key[0] != camera}

    def person_for(self, monotonic: float) -> str | None:
        """Return why nothing may act on account of a person, or None if there is no reason."""
        return self._person(monotonic)[0]

    def person_left(self, monotonic: float) -> float:
        """Return for how many seconds more that holds at most, 0 for not at all."""
        return self._person(monotonic)[1]

    def _person(self, monotonic: float) -> tuple[str | None, float]:
        """By one frame that shows a person nothing acts as long as that frame is remembered.

        By enough of them for an alarm, or one that shows a person more likely than not, it is taken
        for sure, and nothing acts until `hold_s` after the last one. What only may be a person, and
        was of one track alone, counts no more once that track has turned out to be a target while
        nothing else was in view.
        """
        hold, memory = self._config.veto.hold_s, self._config.deciding.memory_s
        sure, camera = max(
            ((time, camera) for (camera, _), time in self._sure.items()), default=(-math.inf, "")
        )
        if monotonic - sure < max(hold, 1e-9):
            past = monotonic - sure
            if past <= 0:
                return f"a person is in view of {camera}", hold
            return (
                f"a person was in view of {camera} {past:.0f} s ago; nothing acts until {hold:g} s "
                "after",
                hold - past,
            )
        for camera, frames in self._shown.items():
            shown = [time for time, who in frames if who and monotonic - time <= memory]
            if shown:
                left = memory - max(0.0, monotonic - max(shown))
                return (
                    f"{len(shown)} of the last {self._config.deciding.of} frames of {camera} may "
                    "show a person",
                    left,
                )
        return None, 0.0

    def _see_people(self, scene: Scene) -> None:
        if scene.veto is None or scene.person is None:
            return
        time, camera, given = scene.frame.monotonic, scene.frame.camera, self._config.deciding
        frames = self._shown.setdefault(camera, deque(maxlen=given.of))
        suspects = _suspects(scene)
        certain = scene.shows_person
        frames.append((time, suspects | _SOMEBODY if certain else suspects))
        shown = [who for at, who in frames if who and time - at <= given.memory_s]
        if certain or (suspects and len(shown) >= given.votes):
            several = frozenset[int | None]().union(*shown)
            who = None if certain or len(several) > 1 else next(iter(several))
            lasts = self._config.veto.hold_s
            self._sure = {key: at for key, at in self._sure.items() if time - at < lasts}
            # What a board tells may be older than the frame before.
            self._sure[camera, who] = max(time, self._sure.get((camera, who), -math.inf))

    def _doubt(self, scene: Scene) -> None:
        """Let what may be a person be one for good where a track may not be what it was.

        That is, of two in view one may pass behind the other and take its track along, and a track
        that was not seen for a while may go on with somebody else.
        """
        camera, now = scene.frame.camera, scene.frame.monotonic
        for track in scene.tracks:
            followed = self._followed.get((camera, track.number))
            if followed is None:
                continue
            if (
                len(scene.tracks) > 1
                or track.detection is None
                or not 0 <= now - followed.seen <= LOST_S
            ):
                self._keep(camera, track.number)
        for track in scene.ended:
            self._keep(camera, track.number)

    def _keep(self, camera: str, track: int) -> None:
        """Withdraw nothing more of what a track was taken for."""
        if (at := self._sure.pop((camera, track), None)) is not None:
            self._sure[camera, None] = max(at, self._sure.get((camera, None), -math.inf))
        self._replace(camera, track, _SOMEBODY)

    def _replace(self, camera: str, track: int, by: Suspects) -> None:
        frames = self._shown.get(camera, deque())
        for index, (time, who) in enumerate(frames):
            if track in who:
                frames[index] = (time, who - {track} | by)

    def _see_target(
        self, scene: Scene, followed: _Followed, track: int, voted: Sequence[str], label: str | None
    ) -> None:
        """Take in what a track has the votes for; a target of late was no person before.

        That is for what was alone in view all the time: see `_doubt`.

        Args:
            scene: of the frame.
            followed: what is known of the track.
            track: its number.
            voted: labels that this frame votes for.
            label: the one that has the votes.
        """
        looked = scene.person is not None and not _suspects(scene)
        followed.clear = {each: followed.clear.get(each, 0) + 1 for each in voted if looked}
        if label is None or label in (UNKNOWN, PERSON):
            return
        if followed.clear.get(label, 0) >= self._config.deciding.votes:
            self._sure.pop((scene.frame.camera, track), None)
            self._replace(scene.frame.camera, track, frozenset())

    def _decide(self, scene: Scene, track: Track, detection: Detection, now: Now) -> Decision:
        frame = scene.frame
        rule = self._rule(detection.model, scene.light)
        key = (frame.camera, track.number)
        followed = self._followed.setdefault(key, _Followed(Voting(rule)))
        followed.voting.rule = rule
        scores = {label: detection.scores.get(label, math.nan) for label in self._targets}
        if detection.unknown:  # votes for nothing else
            scores = dict.fromkeys(scores, math.nan)
        scores[UNKNOWN] = float(detection.unknown)
        votes = followed.voting.decide(frame.monotonic, scores)
        followed.seen = frame.monotonic
        voted = [each for each, least in rule.thresholds.items() if scores[each] >= least]
        self._see_target(scene, followed, track.number, voted, votes.enough)
        label = votes.enough or max(votes.votes, key=lambda name: votes.votes[name], default=None)
        if label is not None and followed.event is None:
            followed.event = new_id(frame.time)
        checks = self._checks(scene, track, detection, label, votes.votes, now)
        target = self._targets.get(label or "")
        actions = target.actions if target and all(check.passed for check in checks) else ()
        followed.acted = frame.monotonic if actions else None
        if actions:
            self.acted(frame.monotonic)
        last = followed.last
        if last and not actions and last.label == label and same_rules(last.checks, checks):
            followed.last = replace(
                last, until=frame.time, last=frame.number, frames=last.frames + 1
            )
            return followed.last
        followed.last = Decision(
            id=new_id(frame.time),
            event=followed.event,
            camera=frame.camera,
            track=track.number,
            time=frame.time,
            until=frame.time,
            first=frame.number,
            last=frame.number,
            frames=1,
            label=label,
            model=detection.model,
            scores=detection.scores,
            box=track.box,
            light=scene.light,
            checks=checks,
            actions=actions,
        )
        return followed.last

    def _rule(self, model: str, light: Light) -> Rule:
        if (model, light) not in self._rules:
            given = self._config.deciding
            thresholds = {
                label: self._threshold(target, model, light)
                for label, target in self._targets.items()
            }
            self._rules[model, light] = Rule(
                thresholds | {UNKNOWN: 1.0},
                votes=given.votes,
                of=given.of,
                memory_s=given.memory_s,
                cooldown_s=0,  # of the whole garden, not of a track: see `_cooldown`
            )
        return self._rules[model, light]

    def _threshold(self, target: Target, model: str, light: Light) -> float:
        given = target.threshold
        if light is Light.NIGHT and target.night_threshold is not None:
            given = target.night_threshold
        return self._threshold_of(model, target.label, light) if given is None else given

    def _checks(
        self,
        scene: Scene,
        track: Track,
        detection: Detection,
        label: str | None,
        votes: Mapping[str, int],
        now: Now,
    ) -> tuple[Check, ...]:
        target = self._targets.get(label or "") or next(iter(self._targets.values()))
        return (
            is_well(scene, now),
            _known(detection),
            self._score(scene, detection, target),
            self._votes(UNKNOWN if label == UNKNOWN else target.label, votes),
            _zone(track, target),
            self.people(scene),
            *self.of_garden(scene, target, now),
        )

    def of_garden(self, scene: Scene, target: Target, now: Now) -> tuple[Check, ...]:
        """Return the checks that hold for whatever was seen, and by whom."""
        time, monotonic = scene.frame.time, scene.frame.monotonic
        return (
            _armed(now),
            self._quiet(time),
            self._cooldown(monotonic),
            self._cap(time, monotonic),
            _has_actions(target),
        )

    def _score(self, scene: Scene, detection: Detection, target: Target) -> Check:
        least = self._threshold(target, detection.model, scene.light)
        score = detection.scores.get(target.label, math.nan)
        return Check(
            "score",
            score >= least,
            f"{detection.model} says {target.label} {percent(score)} by {scene.light}; "
            f"{percent(least)} is needed",
        )

    def _votes(self, label: str, votes: Mapping[str, int]) -> Check:
        given, count = self._config.deciding, votes.get(label, 0)
        return Check(
            VOTES,
            count >= given.votes,
            f"{count} of the last {given.of} frames say {label}; {given.votes} are needed",
        )

    def people(self, scene: Scene) -> Check:
        """Return the check that no person is on a frame, nor was lately on any camera."""
        if scene.veto is None:
            return Check("person", True, "no model looks for people")
        if scene.person is None:
            return Check(
                "person", False, f"{scene.veto[0]} was not asked whether a person is there"
            )
        if why := self.person_for(scene.frame.monotonic):
            return Check("person", False, why)
        return Check(
            "person",
            True,
            f"{scene.veto[0]} sees nobody: {percent(scene.person)}, below {percent(scene.veto[1])}",
        )

    def _quiet(self, time: float) -> Check:
        spans = self._config.deciding.quiet_hours
        at = datetime.fromtimestamp(time)
        if spans and time < _CLOCK_SET:
            why = f"the clock was not set: it says {at:%Y-%m-%d %H:%M}"
            return Check("quiet hours", False, why)
        for span in spans:
            if within(span, at):
                return Check("quiet hours", False, f"{at:%H:%M} is in the quiet hours {span}")
        why = f"{at:%H:%M} is outside {', '.join(spans)}" if spans else "there are none"
        return Check("quiet hours", True, why)

    def _cooldown(self, monotonic: float) -> Check:
        """By the clock that never jumps; what acted before this run, by the time in use since."""
        least = self._config.deciding.cooldown_s
        last = max(self._acts, default=-math.inf)
        past = monotonic - last
        ago = f"acted {past:.0f} s {'of use ' if last == self._before else ''}ago"
        if past < least:
            return Check("cool-down", False, f"{ago}; the next after {least:g} s")
        return Check("cool-down", True, ago if math.isfinite(past) else "has not acted lately")

    def _cap(self, time: float, monotonic: float) -> Check:
        """Count the night's, each so long ago as was lived through since.

        So a clock that is set hides none of them, except where it is set over a noon: therefore
        those of the last 12 hours count in any case.
        """
        most = self._config.deciding.per_night
        night, lived = night_of(time), [monotonic - each for each in self._acts]
        tonight = sum(night_of(time - past) == night for past in lived)
        lately = sum(past < _NIGHT_S / 2 for past in lived)
        count = max(tonight, lately)
        return Check(
            "night cap", count < most, f"acted {count} times this night; {most} are allowed"
        )


def night_of(time: float) -> str:
    """Return the date on which the night of a Unix time began: nights change at noon, local."""
    return f"{datetime.fromtimestamp(time) - timedelta(hours=12):%Y-%m-%d}"


def is_well(scene: Scene, now: Now) -> Check:
    """Return the check that looking went well and that no part that matters is ill."""
    wrong = [*scene.errors, *now.blocked]
    return Check("health", not wrong, "; ".join(wrong) or "all is well")


def _known(detection: Detection) -> Check:
    if detection.unlike is None:
        return Check("known", True, f"{detection.model} cannot tell what is unlike all it knows")
    like = "unlike" if detection.unknown else "like"
    return Check(
        "known",
        not detection.unknown,
        f"{like} what {detection.model} knows: {detection.unlike:.2f}",
    )


def _zone(track: Track, target: Target) -> Check:
    if not target.zones:
        return Check("zone", True, f"{target.label} counts everywhere")
    here = ", ".join(track.zones) or "no zone"
    inside = not set(track.zones).isdisjoint(target.zones)
    return Check(
        "zone", inside, f"it is in {here}; {target.label} counts in {', '.join(target.zones)}"
    )


def _armed(now: Now) -> Check:
    return Check("armed", now.armed, "armed" if now.armed else "disarmed")


def _has_actions(target: Target) -> Check:
    named = ", ".join(target.actions)
    return Check(
        "actions",
        bool(named),
        f"{target.label} sets off {named}" if named else f"{target.label} is only watched",
    )


def same_rules(before: Sequence[Check], after: Sequence[Check]) -> bool:
    """Return whether the same rules pass; their numbers may differ."""
    return [check.passed for check in before] == [check.passed for check in after]


def percent(share: float) -> str:
    """Return a share in words; "nothing" for what is no number."""
    return "nothing" if math.isnan(share) else f"{100 * share:.0f} %"


def _suspects(scene: Scene) -> Suspects:
    """Return who on a frame may be a person."""
    # Not `>=`: where asking failed (NaN), somebody is taken to be there.
    if scene.veto is None or scene.person is None or scene.person < scene.veto[1]:
        return frozenset()
    return frozenset(scene.suspects) or _SOMEBODY
