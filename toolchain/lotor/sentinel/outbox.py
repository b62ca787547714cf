"""What was promised is told: ends of events, in their order, across restarts.

The store has every event, so all that is kept is how far each receiver has got (its cursor).
Whoever dies between being told and saying so is told twice; `report`'s `id` shows that.
"""

import threading
from collections.abc import Collection
from typing import Any, Protocol

from lotor.sentinel.bus import Message
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.visit import Visit, Visits, report, telling

_PAGE = 100


class Journal(Protocol):
    """What the store answers, from any thread."""

    def event(self, id: str, /) -> Event | None:
        """Return an event in its last state; None if it is not kept."""
        ...

    def events(self, limit: int, /) -> list[Event]:
        """Return the newest events, the newest first, open ones too."""
        ...

    def events_after(self, id: str, limit: int, /) -> list[Event]:
        """Return events that have ended, in the order in which they were first saved as ended.

        Args:
            id: only those after this one; "" for all.
            limit: how many at most.
        """
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
    """What one receiver was not told yet: ends of events, then which of those that last are visits.

    A receiver that is new is not told of what was before it. `take` may be called from any thread,
    the rest from one.

    Args:
        journal: that has the events.
        name: of the cursor, e.g. "mqtt".
        sentinel: name of the sentinel.
        labels: only of these is told; of all when empty.
    """

    def __init__(
        self, journal: Journal, name: str, sentinel: str, labels: Collection[str] = ()
    ) -> None:
        self._journal, self._name, self._sentinel = journal, name, sentinel
        self._labels = labels
        self._lock = threading.Lock()
        self._visits = Visits()
        self._ended: list[Event] = []
        self._more = True
        self._offered: Event | Visit | None = None
        self._delivered = False  # what is offered, though that could not be remembered

    def begin(self) -> None:
        """Skip, for a receiver that is new, what has ended before; call it before events come."""
        if self._journal.cursor(self._name) is not None:
            return
        last = ""
        while page := self._journal.events_after(last, _PAGE):
            last = page[-1].id
        self._journal.set_cursor(self._name, last)

    def take(self, message: Message) -> Visit | None:
        """Take a message of the bus in; return the visit that it changes (`Visits.take`)."""
        with self._lock:
            visit = self._visits.take(message)
            # Set after the event is on record, so `next` finds it.
            self._more |= visit is not None and visit.event.end is not None
        return visit

    def next(self) -> dict[str, Any] | None:
        """Return the report of what is to be told next; None: all is told.

        What was delivered is not told again because the store could not remember that.
        """
        if self._delivered:
            self.done()
        while event := self._next_end():
            self._offered = event
            if self._wanted(event):
                return report_of(self._journal, self._sentinel, event)
            self.done()
        with self._lock:
            visits = [v for v in self._visits.open.values() if v.confirmed and not v.told]
        for visit in visits:
            if self._wanted(visit.event):
                self._offered = visit
                found = report_of(self._journal, self._sentinel, visit.event)
                if found["type"] != "end":
                    return found
                # It has ended meanwhile: that is told next.
                self.done()
                return self.next()
        return None

    def done(self) -> None:
        """Acknowledge what `next` returned."""
        self._delivered = True
        if isinstance(self._offered, Event):
            self._journal.set_cursor(self._name, self._offered.id)
            del self._ended[:1]
        elif self._offered is not None:
            self._offered.told = True
        self._offered, self._delivered = None, False

    def confirmed(self) -> list[Event]:
        """Return the visits that last and are confirmed."""
        with self._lock:
            return [visit.event for visit in self._visits.open.values() if visit.confirmed]

    def _next_end(self) -> Event | None:
        if not self._ended and self._more:
            self._more = False
            cursor = self._journal.cursor(self._name) or ""
            self._ended = self._journal.events_after(cursor, _PAGE)
            self._more |= bool(self._ended)
        return self._ended[0] if self._ended else None

    def _wanted(self, event: Event) -> bool:
        return not self._labels or event.label in self._labels


def report_of(journal: Journal, sentinel: str, event: Event) -> dict[str, Any]:
    """Return what is told of an event, with why, from the journal."""
    event = journal.event(event.id) or event
    decision = telling(journal.decisions(event.id))
    return report(sentinel, event, decision, journal.acts_of(decision.id) if decision else ())
