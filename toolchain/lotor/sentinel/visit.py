"""What others are told of a visit, and when: MQTT, webhooks and messages share it.

An event begins with the first frame that gets a vote; most of what a branch in the wind begins ends
there. A visit is confirmed by the first decision on which the votes are enough (`VOTES` passed), or
that acts: from then on it is worth telling of.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from lotor.sentinel.bus import Acted, Decided, EventChanged, Message
from lotor.sentinel.event import Act, Decision, Event

VOTES = "votes"
"""Name of the rule (`Check.rule`) that asks for k of n frames."""

_MOST = 256


def confirms(decision: Decision) -> bool:
    """Return whether a decision makes its event a visit to tell of."""
    return decision.acts or any(check.rule == VOTES and check.passed for check in decision.checks)


def telling(decisions: Iterable[Decision]) -> Decision | None:
    """Return the decision that says most: the first that acts, else confirms, else any."""
    ranked = sorted(decisions, key=lambda decision: (not decision.acts, not confirms(decision)))
    return ranked[0] if ranked else None


@dataclass
class Visit:
    """An event with what was decided in it, as far as it is known.

    Attributes:
        event: its last state; None while only decisions of it were told.
        decision: the one that says most (`telling`).
        acts: what became of its actions, by name.
        told: for whoever holds it: whether it was told of already.
    """

    event: Event | None = None
    decision: Decision | None = None
    acts: dict[str, Act] = field(default_factory=dict)
    told: bool = False

    @property
    def confirmed(self) -> bool:
        """Whether it is worth telling of."""
        return self.decision is not None and confirms(self.decision)


class Visits:
    """Those that last, made of the bus's messages; no thread of its own, and no lock."""

    def __init__(self) -> None:
        self.open: dict[str, Visit] = {}

    def take(self, message: Message) -> Visit | None:
        """Take a message in; return the visit that it changes, if that has an event.

        One whose event has its `end` is no longer open.
        """
        if isinstance(message, EventChanged):
            visit = self._visit(message.event.id)
            visit.event = message.event
            if message.event.end is not None:
                del self.open[message.event.id]
        elif isinstance(message, Decided) and message.decision.event is not None:
            visit = self._visit(message.decision.event)
            both = [visit.decision] if visit.decision else []
            visit.decision = telling([*both, message.decision])
        elif isinstance(message, Acted) and message.act.decision is not None:
            found = self._of(message.act.decision)
            if found is None:
                return None
            visit = found
            visit.acts[message.act.action] = message.act
        else:
            return None
        return visit if visit.event else None

    def _visit(self, event: str) -> Visit:
        if event not in self.open and len(self.open) >= _MOST:
            del self.open[next(iter(self.open))]
        return self.open.setdefault(event, Visit())

    def _of(self, decision: str) -> Visit | None:
        for visit in self.open.values():
            if visit.decision and visit.decision.id == decision:
                return visit
        return None


def local_time(time: float | None) -> str | None:
    """Return a Unix time as ISO 8601 with this machine's offset: "2026-11-30T02:14:05+01:00"."""
    if time is None:
        return None
    return datetime.fromtimestamp(math.floor(time)).astimezone().isoformat()


def report(
    kind: str, sentinel: str, event: Event, decision: Decision | None, acts: Iterable[Act] = ()
) -> dict[str, Any]:
    """Return what is told of an event, for JSON; `docs/sentinel-mqtt.md` lists the keys.

    Args:
        kind: "confirmed" or "end".
        sentinel: its name.
        event: in its last state.
        decision: that says most of it; None where none was made.
        acts: what became of its actions.
    """
    return {
        "id": f"{event.id}/{kind}",
        "type": kind,
        "sentinel": sentinel,
        "event": event.id,
        "camera": event.camera,
        "label": event.label,
        "score": round(event.score, 4),
        "begin": local_time(event.begin),
        "end": local_time(event.end),
        "seconds": None if event.end is None else round(max(0.0, event.end - event.begin), 3),
        "light": str(event.light),
        "zones": list(event.zones),
        "frames": event.frames,
        "confirmed": decision is not None and confirms(decision),
        "actions": list(event.actions),
        "acts": [
            {"action": act.action, "result": act.result, "why": act.why, "time": act.time}
            for act in acts
        ],
        "why": decision.why if decision else "no decision was made",
        "checks": [asdict(check) for check in decision.checks] if decision else [],
        "picture": event.picture,
        "clip": event.clip,
    }
