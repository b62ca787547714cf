"""From scores of single frames to alarms: k of n frames, vetoes, a cool-down.

A single frame is a weak witness. A label alarms on a frame that votes for it (its score reaches the
label's threshold) when so many of the last n frames voted for it. Nothing alarms while one of those
frames shows what vetoes, a person: safety needs one witness where an alarm needs several.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lotor.errors import LotorError


@dataclass(frozen=True)
class Rule:
    """When to alarm.

    Attributes:
        thresholds: for each label that may alarm, the score (0..1) at which a frame votes for it.
        vetoes: for each label in whose presence nothing alarms, the score at which it is present.
        votes: how many frames must vote for a label (k).
        of: among how many of the last frames (n).
        memory_s: seconds after which a frame is forgotten, however few have come since.
        cooldown_s: seconds after an alarm in which there is no other, whatever its label.

    Raises:
        LotorError: a value is outside its limits, or a label both alarms and vetoes.
    """

    thresholds: Mapping[str, float]
    vetoes: Mapping[str, float] = field(default_factory=dict)
    votes: int = 3
    of: int = 5
    memory_s: float = 10.0
    cooldown_s: float = 60.0

    def __post_init__(self) -> None:
        for label, score in (*self.thresholds.items(), *self.vetoes.items()):
            if not 0 <= score <= 1:
                raise LotorError(f"the threshold {score:g} of {label} must be between 0 and 1")
        if not 1 <= self.votes <= self.of:
            raise LotorError(
                f"{self.votes} votes of {self.of} frames: at least 1 vote, at most one a frame"
            )
        for name, seconds in (("memory", self.memory_s), ("cool-down", self.cooldown_s)):
            if not (seconds >= 0 and math.isfinite(seconds)):
                raise LotorError(f"a {name} of {seconds:g} s must be 0 or more, and finite")
        if both := sorted(self.thresholds.keys() & self.vetoes.keys()):
            raise LotorError(f"{', '.join(both)} cannot both alarm and veto")


@dataclass(frozen=True)
class Decision:
    """What was decided on a frame, and why.

    Attributes:
        alarm: the label that alarms; None for none.
        votes: for each label that got any, how many of the last frames voted for it.
        vetoed_by: labels that are present, or were within the last frames, and forbid any alarm.
        cooling: whether the cool-down after the last alarm forbids another.
        enough: the label that has the votes on this frame, whether or not it may alarm.
    """

    alarm: str | None
    votes: dict[str, int]
    vetoed_by: tuple[str, ...]
    cooling: bool
    enough: str | None


class _Frame(NamedTuple):
    time: float
    votes: frozenset[str]
    vetoes: frozenset[str]


class Voting:
    """The memory of one camera; it has no clock, time comes in with each frame."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._recent: deque[_Frame] = deque(maxlen=rule.of)
        self._alarmed = -math.inf

    def decide(self, time: float, scores: Mapping[str, float]) -> Decision:
        """Take a frame in and decide.

        Args:
            time: in seconds, of a clock that never goes back.
            scores: of the rule's labels at least, 0..1. What is no number (nan) votes for nothing,
                and vetoes.

        Raises:
            ValueError: the time is before the last frame's, or no number.
            KeyError: a label of the rule has no score.
        """
        rule, recent = self.rule, self._recent
        before = recent[-1].time if recent else -math.inf
        if not (before <= time < math.inf):
            raise ValueError(f"time {time} is not after the last frame's, {before}")
        now = _Frame(
            time,
            frozenset(label for label, least in rule.thresholds.items() if scores[label] >= least),
            # Not `>=`: where nothing is known of a person, one is taken to be there.
            frozenset(label for label, least in rule.vetoes.items() if not scores[label] < least),
        )
        recent.append(now)
        while time - recent[0].time > rule.memory_s:
            recent.popleft()
        votes = Counter(label for frame in recent for label in sorted(frame.votes))
        ready = [label for label in now.votes if votes[label] >= rule.votes]
        enough = max(ready, key=lambda label: (votes[label], scores[label], label), default=None)
        vetoed_by = tuple(sorted(frozenset().union(*(frame.vetoes for frame in recent))))
        cooling = time - self._alarmed < rule.cooldown_s
        alarm = None if vetoed_by or cooling else enough
        if alarm is not None:
            self._alarmed = time
        return Decision(alarm, dict(votes), vetoed_by, cooling, enough)
