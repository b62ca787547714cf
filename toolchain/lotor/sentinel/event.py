"""What the sentinel remembers: decisions with their reasons, and events."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from lotor.detect import Box
from lotor.sentinel.scene import Light

VOTES = "votes"
"""The rule that makes an event: enough frames of a track voted for a label."""
UNKNOWN = "unknown"
"""The label of what is unlike everything that a model was trained on."""


def new_id(time: float) -> str:
    """Return an id that sorts by time (to a millisecond) and occurs once."""
    return f"{max(0.0, time):014.3f}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Check:
    """One rule, and whether it lets a deterrent go ahead.

    Attributes:
        rule: its name, as `rules.py` has it, e.g. "votes".
        passed: whether it does.
        why: for people, with the numbers, e.g. "4 of the last 5 frames say raccoon; 3 are needed".
    """

    rule: str
    passed: bool
    why: str


@dataclass(frozen=True)
class Decision:
    """To act or not to act about a track, and why; one stands for all frames on which it held.

    Attributes:
        id: of it.
        event: id of its event; None where nothing was there to remember.
        camera: its name.
        track: number of the track.
        time: Unix time of the first frame.
        until: Unix time of the last frame.
        first: number of the first frame.
        last: number of the last frame.
        frames: how many frames it was made on.
        label: what it is about; `UNKNOWN`, or None where nothing got a vote.
        model: that said so.
        scores: of the first frame, of every label, 0..1.
        box: of the track on the first frame.
        light: of the first frame.
        checks: every rule that was asked, in order. All passed: it acts.
        actions: names of what it sets off; empty if it does not.
    """

    id: str
    event: str | None
    camera: str
    track: int
    time: float
    until: float
    first: int
    last: int
    frames: int
    label: str | None
    model: str
    scores: Mapping[str, float]
    box: Box
    light: Light
    checks: tuple[Check, ...]
    actions: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether it sets anything off."""
        return bool(self.actions)

    @property
    def confirms(self) -> bool:
        """Whether it makes its event one to tell of: it acts, or the votes are enough."""
        return self.acts or any(check.rule == VOTES and check.passed for check in self.checks)

    @property
    def why(self) -> str:
        """The rules that stood against it, or all that spoke for it, in a line."""
        against = [check.why for check in self.checks if not check.passed]
        return "; ".join(against or [check.why for check in self.checks])


@dataclass(frozen=True)
class Event:
    """A visit: from the first frame that got a vote until its track was given up.

    Attributes:
        id: of it.
        camera: its name.
        track: number of the track.
        label: what it was taken for, by most of the frames; `UNKNOWN` is one of these.
        score: the highest of that label, 0..1.
        begin: Unix time.
        end: Unix time; None while it lasts.
        light: by which it began.
        zones: names of all zones that it was in.
        frames: how many frames of the track voted for the label.
        actions: names of what was set off in it.
        picture: file of the best picture, relative to the store's folder; None without.
        clip: file of its clip, likewise.
    """

    id: str
    camera: str
    track: int
    label: str
    score: float
    begin: float
    end: float | None
    light: Light
    zones: tuple[str, ...] = ()
    frames: int = 0
    actions: tuple[str, ...] = ()
    picture: str | None = None
    clip: str | None = None


@dataclass(frozen=True)
class Act:
    """What became of one action of a decision.

    Attributes:
        decision: id of the decision that set it off; None for a test.
        action: its name.
        time: Unix time of its start.
        end: Unix time at which it was off again; None while it lasts.
        result: "running", "done", "dry run", "refused" or "failed".
        why: why refused or failed, or what a dry run would have done.
    """

    decision: str | None
    action: str
    time: float
    end: float | None
    result: str
    why: str = ""


@dataclass(frozen=True)
class Start:
    """An action that was switched on, or would have been.

    Attributes:
        action: its name.
        test: whether somebody tried it.
        first: whether it was the first one of its decision; false of tests.
        ago: seconds in use since then: so long ago at least, whatever any clock says.
    """

    action: str
    test: bool
    first: bool
    ago: float


STORED = object()
"""What makes a receipt; for `store.py` alone, and for tests in its place."""


class Receipt:
    """Proof that a decision that acts is on record; `guard.py` switches nothing on without one.

    Args:
        decision: that is on record, safe from a power cut.
        token: `STORED`, which only the store has in hand.

    Raises:
        TypeError: somebody else made it, or the decision does not act.
    """

    __slots__ = ("_decision",)

    def __init__(self, decision: Decision, token: object) -> None:
        if token is not STORED:
            raise TypeError("only the store makes receipts")
        if not decision.acts or not all(check.passed for check in decision.checks):
            raise TypeError(f"decision {decision.id} does not act: {decision.why}")
        self._decision = decision

    @property
    def decision(self) -> Decision:
        """The decision that is on record."""
        return self._decision
