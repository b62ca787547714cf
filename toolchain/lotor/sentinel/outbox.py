"""What was promised is told: ends of events, in their order, across restarts.

The store has every event, so all that is kept is how far each receiver has got (its cursor).
Whoever dies between being told and saying so is told twice; `report`'s `id` shows that.
"""

from typing import Any, Protocol

from lotor.sentinel.bus import EventChanged, Message
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.visit import report, telling

_PAGE = 100


class Journal(Protocol):
    """What the store answers, from any thread."""

    def events_after(self, id: str | None, limit: int, /) -> list[Event]:
        """Return events that have ended, in the order in which they were first saved as ended.

        Args:
            id: only those after this one; None, or one that is no longer kept: from the oldest.
            limit: how many at most.
        """
        ...

    def events(self, limit: int, /) -> list[Event]:
        """Return the newest events, the newest first, open ones too."""
        ...

    def decisions(self, event: str, /) -> list[Decision]:
        """Return an event's decisions, in order."""
        ...

    def acts_of(self, decision: str, /) -> list[Act]:
        """Return what became of a decision's actions, in their last state."""
        ...

    def cursor(self, name: str, /) -> str | None:
        """Return the id that `set_cursor` was given last; None if it never was."""
        ...

    def set_cursor(self, name: str, id: str, /) -> None:
        """Remember, durably, how far somebody has got; "" is before the first event."""
        ...


class Outbox:
    """Ended events that one receiver has not acknowledged.

    A receiver that is new is not told of what was before it.

    Args:
        journal: that has the events.
        name: of the cursor, e.g. "mqtt".
    """

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._name = name
        self._pending: list[Event] = []
        self._more = True

    def take(self, message: Message) -> None:
        """Take a message of the bus in: after an event's end there is something to look for."""
        if isinstance(message, EventChanged) and message.event.end is not None:
            self._more = True

    def begin(self) -> None:
        """Skip, for a receiver that is new, what has ended before; call it before events come."""
        if self._journal.cursor(self._name) is not None:
            return
        last = ""
        while page := self._journal.events_after(last or None, _PAGE):
            last = page[-1].id
        self._journal.set_cursor(self._name, last)

    def next(self) -> Event | None:
        """Return the oldest event that was not acknowledged; None: there is none."""
        if not self._pending and self._more:
            self._more = False
            cursor = self._journal.cursor(self._name)
            self._pending = self._journal.events_after(cursor or None, _PAGE)
            self._more |= bool(self._pending)
        return self._pending[0] if self._pending else None

    def done(self, event: Event) -> None:
        """Acknowledge what `next` returned."""
        self._journal.set_cursor(self._name, event.id)
        del self._pending[:1]


def end_report(journal: Journal, sentinel: str, event: Event) -> dict[str, Any]:
    """Return what is told of an event at its end, with why, from the journal."""
    decision = telling(journal.decisions(event.id))
    return report(
        "end", sentinel, event, decision, journal.acts_of(decision.id) if decision else ()
    )
