"""Visits made up for tests of those who tell of them: journal, controls, decisions, events."""

import pickle
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.sentinel.bus import Acted, ArmedChanged, Bus, Decided, EventChanged, HealthChanged
from lotor.sentinel.clock import SetClock
from lotor.sentinel.event import UNKNOWN, Act, Check, Decision, Event, new_id
from lotor.sentinel.scene import Light, Scene


class FakeJournal:
    """What the store does of `Journal`, in a file of SQLite, so that a restart finds it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")
        for table in (
            "event (id TEXT PRIMARY KEY, ended INTEGER, value BLOB)",
            "decision (id TEXT PRIMARY KEY, event TEXT, value BLOB)",
            "act (decision TEXT, action TEXT, value BLOB, UNIQUE (decision, action))",
            "cursor (name TEXT PRIMARY KEY, id TEXT)",
        ):
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self._db.commit()

    def _all(self, question: str, *values: object) -> list[Any]:
        with self._lock:
            rows = self._db.execute(question, values).fetchall()
            self._db.commit()
        return rows

    def save(self, thing: Event | Decision | Act) -> None:
        value = pickle.dumps(thing)
        if isinstance(thing, Event):
            ended = self._all("SELECT ended FROM event WHERE id = ?", thing.id)
            number = ended[0][0] if ended else None
            if number is None and thing.end is not None:
                number = self._all("SELECT COALESCE(MAX(ended), 0) + 1 FROM event")[0][0]
            self._all("REPLACE INTO event VALUES (?, ?, ?)", thing.id, number, value)
        elif isinstance(thing, Decision):
            self._all("REPLACE INTO decision VALUES (?, ?, ?)", thing.id, thing.event, value)
        else:
            self._all("REPLACE INTO act VALUES (?, ?, ?)", thing.decision, thing.action, value)

    def forget(self, id: str) -> None:
        self._all("DELETE FROM event WHERE id = ?", id)

    def event(self, id: str) -> Event | None:
        rows = self._all("SELECT value FROM event WHERE id = ?", id)
        return pickle.loads(rows[0][0]) if rows else None

    def events_after(self, id: str, limit: int) -> list[Event]:
        rows = self._all("SELECT ended FROM event WHERE id = ?", id)
        after = rows[0][0] if rows else 0
        question = "SELECT value FROM event WHERE ended > ? ORDER BY ended LIMIT ?"
        return [pickle.loads(row[0]) for row in self._all(question, after, limit)]

    def events(self, limit: int) -> list[Event]:
        rows = self._all("SELECT value FROM event ORDER BY rowid DESC LIMIT ?", limit)
        return [pickle.loads(row[0]) for row in rows]

    def decisions(self, event: str) -> list[Decision]:
        rows = self._all("SELECT value FROM decision WHERE event = ? ORDER BY rowid", event)
        return [pickle.loads(row[0]) for row in rows]

    def acts_of(self, decision: str) -> list[Act]:
        rows = self._all("SELECT value FROM act WHERE decision = ? ORDER BY rowid", decision)
        return [pickle.loads(row[0]) for row in rows]

    def cursor(self, name: str) -> str | None:
        rows = self._all("SELECT id FROM cursor WHERE name = ?", name)
        return rows[0][0] if rows else None

    def set_cursor(self, name: str, id: str) -> None:
        self._all("REPLACE INTO cursor VALUES (?, ?)", name, id)


class FakeControls:
    """A sentinel that does as it is told and remembers by whom."""

    def __init__(self, bus: Bus, cameras: tuple[str, ...] = ("pond",)) -> None:
        self.bus = bus
        self.name = "garden"
        self.armed = True
        self.cameras = cameras
        self.labels: tuple[str, ...] = ("raccoon", UNKNOWN)
        self.asked: list[tuple[object, ...]] = []
        self.testing: threading.Event | None = None
        self.states: tuple[HealthChanged, ...] = (HealthChanged("camera pond", True),)

    def arm(self, armed: bool, by: str) -> None:
        self.asked.append(("arm", armed, by))
        self.armed = armed
        self.bus.tell(ArmedChanged(armed, by))

    def test(self, action: str, by: str) -> Act:
        self.asked.append(("test", action, by))
        if self.testing:
            self.testing.wait(60)
        if action != "bark":
            raise LotorError(f"no action '{action}'")
        return Act(None, action, 0.0, 1.0, "done")

    def latest(self, camera: str) -> Scene | None:
        return None

    def health(self) -> tuple[HealthChanged, ...]:
        return self.states

    def counters(self) -> dict[str, int]:
        return {"frames": 10, "decisions": 2, "events": 1, "acts": 0, "dropouts": 3}


class Garden:
    """A journal and a bus in which raccoons come and go, saved before they are told."""

    def __init__(self, journal: FakeJournal, bus: Bus, now: float = 1_790_000_000.0) -> None:
        self.journal, self.bus, self.now = journal, bus, now
        self._number = 0

    def begin(self, label: str = "raccoon", camera: str = "pond", **more: Any) -> Event:
        self._number += 1
        self.now += 1
        event = Event(
            new_id(self.now), camera, self._number, label, 0.9, self.now, None, Light.NIGHT, **more
        )
        self.journal.save(event)
        self.bus.tell(EventChanged(event, began=True))
        return event

    def decide(
        self, event: Event, votes: bool = True, actions: tuple[str, ...] = (), cooling: bool = False
    ) -> Decision:
        checks = (
            Check("votes", votes, f"{4 if votes else 1} of the last 5 frames say {event.label}"),
            Check("cool-down", not cooling, "the last deterrent was 5 s ago; 120 s are needed"),
        )
        decision = Decision(
            new_id(self.now),
            event.id,
            event.camera,
            event.track,
            self.now,
            self.now,
            1,
            1,
            1,
            event.label,
            "raccoon",
            {event.label: event.score},
            (0, 0, 10, 10),
            event.light,
            checks,
            actions,
        )
        self.journal.save(decision)
        self.bus.tell(Decided(decision))
        return decision

    def act(self, decision: Decision, action: str, result: str = "done", why: str = "") -> None:
        act = Act(decision.id, action, self.now, self.now + 1, result, why)
        self.journal.save(act)
        self.bus.tell(Acted(act))

    def picture(self, event: Event, name: str) -> None:
        """A picture is written, later than what else is known of an event."""
        now = self.journal.event(event.id) or event
        now = replace(now, picture=name)
        self.journal.save(now)
        self.bus.tell(EventChanged(now))

    def end(self, event: Event, **more: Any) -> Event:
        event = self.journal.event(event.id) or event
        ended = replace(event, end=self.now + 5, **more)
        self.journal.save(ended)
        # As the store has it, it keeps its picture; who tells of the end need not know of one.
        self.bus.tell(EventChanged(replace(ended, picture=None)))
        return ended

    def visit(self, label: str = "raccoon", camera: str = "pond", **more: Any) -> Event:
        event = self.begin(label, camera, **more)
        self.decide(event)
        return self.end(event)


class NoWaitClock(SetClock):
    """One on which every wait is over at once, and written down."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.waits: list[float] = []

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.advance(seconds)
        return event.is_set()


def until(met: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for something that happens in another thread; generous, for slow machines."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
