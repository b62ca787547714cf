"""Which events others are told of, and what: MQTT, webhooks and messages share it.

A visit is confirmed by the first decision on which the votes are enough, or that acts
(`Decision.confirms`): from then on it is worth telling of.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from lotor.sentinel.bus import Decided, EventChanged, Message
from lotor.sentinel.event import Act, Decision, Event

_MOST = 256


def telling(decisions: Iterable[Decision]) -> Decision | None:
    """Return the decision that says most: the first that acts, else confirms, else any."""
    ranked = sorted(decisions, key=lambda decision: (not decision.acts, not decision.confirms))
    return ranked[0] if ranked else None


@dataclass
class Visit:
    """An event that lasts.

    Attributes:
        event: its last state.
        confirmed: whether it is worth telling of.
        told: for whoever holds it: whether it was told of already.
    """

    event: Event
    confirmed: bool = False
    told: bool = False


class Visits:
    """Those that last, made of the bus's messages; no thread of its own, and no lock."""

    def __init__(self) -> None:
        self.open: dict[str, Visit] = {}
        # Confirmed before its event was told; most decisions of frames never become one.
        self._early: dict[str, None] = {}

    def take(self, message: Message) -> Visit | None:
        """Take a message in; return the visit that it changes.

        One whose event has its `end` is no longer open. What changes after that (a picture that
        was written later) is a visit that is not confirmed.
        """
        if isinstance(message, EventChanged):
            event = message.event
            visit = self.open.get(event.id)
            if visit is None:
                visit = Visit(event, event.id in self._early)
                self._early.pop(event.id, None)
                _make_room(self.open)
                self.open[event.id] = visit
            visit.event = event
            if event.end is not None:
                del self.open[event.id]
            return visit
        if isinstance(message, Decided) and message.decision.event and message.decision.confirms:
            id = message.decision.event
            if id in self.open:
                self.open[id].confirmed = True
                return self.open[id]
            _make_room(self._early)
            self._early[id] = None
        return None


def _make_room(entries: dict[str, Any]) -> None:
    while len(entries) >= _MOST:
        del entries[next(iter(entries))]


def local_time(time: float | None) -> str | None:
    """Return a Unix time as ISO 8601 with this machine's offset: "2026-11-30T02:14:05+01:00"."""
    if time is None:
        return None
    return datetime.fromtimestamp(math.floor(time)).astimezone().isoformat()


def report(
    sentinel: str, event: Event, decision: Decision | None, acts: Iterable[Act] = ()
) -> dict[str, Any]:
    """Return what is told of an event, for JSON; `docs/sentinel-mqtt.md` lists the keys.

    Args:
        sentinel: its name.
        event: in its last state.
        decision: that says most of it; None where none was made.
        acts: what became of its actions.
    """
    kind = "confirmed" if event.end is None else "end"
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
        "confirmed": decision is not None and decision.confirms,
        "actions": list(event.actions),
        "acts": [
            {
                "action": act.action,
                "result": act.result,
                "why": act.why,
                "time": local_time(act.time),
            }
            for act in acts
        ],
        "why": decision.why if decision else "no decision was made",
        "checks": [asdict(check) for check in decision.checks] if decision else [],
        "picture": event.picture,
        "clip": event.clip,
    }
