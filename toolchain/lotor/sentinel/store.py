"""What the sentinel remembers, in SQLite: decisions, events, acts, and a few settings.

    FOLDER/store.sqlite          the log, in WAL mode: a commit is on the disk when it returns
    FOLDER/store.lock            held by the sentinel that runs; says which process
    FOLDER/media/                pictures and clips (`media.py`)
    FOLDER/store-damaged-….sqlite    a log that could not be read, moved aside with its media

Rows are numbered as they come (`seq`), ended events as they ended (`ended`): ids sort by the wall
clock, which may be set back.
"""

import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lotor.sentinel.bus import Bus, HealthChanged
from lotor.sentinel.clock import Clock
from lotor.sentinel.database import LOST as LOST
from lotor.sentinel.database import Database
from lotor.sentinel.database import StoreError as StoreError
from lotor.sentinel.event import STORED, Act, Check, Decision, Event, Receipt, Start
from lotor.sentinel.scene import Light
from lotor.sentinel.worker import Worker

log = logging.getLogger(__name__)

DAY = 86400.0
PART = "store"
"""What its health is told of (`HealthChanged`)."""

_FLUSH_S = 5.0  # twice that is the longest that `extend` may wait
_CLOSE_S = 10.0

_EVENT = "id, camera, track, label, score, begin, end, light, zones, frames, actions, picture, clip"
_DECISION = (
    "id, event, camera, track, time, until, first, last, frames, label, model, scores, box, light, "
    "checks, actions"
)
_ACT = "decision, action, time, end, result, why"


@dataclass(frozen=True)
class Kept:
    """An event's files, as far as it has any.

    Attributes:
        seq: number of the event's row.
        event: its id.
        files: relative to the store's folder.
        size: of them, bytes.
        age: when it was saved first, by `Store.age`.
    """

    seq: int
    event: str
    files: tuple[str, ...]
    size: int
    age: float


class Store:
    """The log of a sentinel; any thread may call it.

    Attributes:
        folder: where it lies.

    Args:
        folder: is made, readable by its owner only.
        clock: for batches, and ages.
        alone: be the sentinel's own store: lock it, mend what a crash has left. False is for a
            command beside a running sentinel; then there must be a log already.
        bus: is told when what has grown cannot be written.

    Raises:
        StoreError: another sentinel uses the folder, or it cannot be written.
    """

    def __init__(
        self, folder: Path, clock: Clock, *, alone: bool = True, bus: Bus | None = None
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._bus = bus or Bus()
        self._alone = alone
        self._grown: dict[str, Decision] = {}
        self._age, self._used, self._age_at = 0.0, 0.0, clock.monotonic()
        self._closing = threading.Event()
        self._closed = False
        self._database = Database(folder, clock, alone, self._opened)
        if alone:
            try:
                self.recover()
            except StoreError:
                self._database.close()
                raise
        self._thread = Worker("store", self._flush_often, self._bus.tell)
        if alone:
            self._thread.start()

    @property
    def notices(self) -> list[str]:
        """What was found and mended, a line each, to be shown."""
        return self._database.notices

    @property
    def openings(self) -> int:
        """How often the log was opened: again where it was lost, damaged, or another one came."""
        return self._database.openings

    # Decisions

    def record(self, decision: Decision) -> Receipt | None:
        """Write a new decision; returns when the disk has it: a receipt for one that acts.

        Raises:
            StoreError: it is not on record.
        """
        with self._change() as db:
            values = (*_decision_row(decision), self.age())
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO decision ({_DECISION}, age) VALUES ({marks})", values)
        return Receipt(decision, STORED) if decision.acts else None

    def extend(self, decision: Decision) -> None:
        """Remember that a recorded decision held on: `until`, `last` and `frames` grew.

        It is written with the next change, ten seconds later at the latest, and at `close`.
        """
        with self._database.lock:
            self._grown[decision.id] = decision

    def decision(self, id: str) -> Decision | None:
        """Return a decision; None where there is none of that id."""
        return next(self._decisions("WHERE id = ?", (id,)), None)

    def decisions(self, event_id: str) -> list[Decision]:
        """Return the decisions of an event, the first one first."""
        return list(self._decisions("WHERE event = ? ORDER BY seq", (event_id,)))

    def decisions_between(self, begin: float, end: float) -> list[Decision]:
        """Return the decisions that held at some time in [begin, end), Unix time."""
        return list(self._decisions("WHERE time < ? AND until >= ? ORDER BY seq", (end, begin)))

    def _decisions(self, clause: str, values: tuple[Any, ...] = ()) -> Iterator[Decision]:
        for row in self._database.read(f"SELECT {_DECISION} FROM decision {clause}", values):
            yield _decision(row)

    # Events

    def save_event(self, event: Event) -> None:
        """Insert an event, or update it. Files that it has on record stay where it names none.

        One that was forgotten meanwhile stays forgotten.

        Raises:
            StoreError: it is not on record as it is now.
        """
        row = _event_row(event)
        with self._change() as db:
            if db.execute("SELECT 1 FROM forgotten WHERE id = ?", (event.id,)).fetchone():
                return
            marks = ", ".join("?" * (len(row) + 1))
            updates = ", ".join(
                f"{name} = coalesce(excluded.{name}, {name})"
                if name in ("picture", "clip", "end")
                else f"{name} = excluded.{name}"
                for name in _EVENT.split(", ")
            )
            db.execute(
                f"INSERT INTO event ({_EVENT}, age) VALUES ({marks}) "
                f"ON CONFLICT (id) DO UPDATE SET {updates}",
                (*row, self.age()),
            )
            if event.end is not None:
                _number_end(db, event.id)

    def event(self, id: str) -> Event | None:
        """Return an event; None where there is none of that id."""
        return next(self._events("WHERE id = ?", (id,)), None)

    def events(
        self,
        limit: int,
        before: str | None = None,
        label: str | None = None,
        camera: str | None = None,
    ) -> list[Event]:
        """Return events, the newest first.

        Args:
            limit: so many at most.
            before: id of an event: only those that came before it.
            label: only of this label.
            camera: only of this camera.
        """
        clause, values = ["1"], list[Any]()
        if before is not None:
            # Where that event was removed since, its id says when it was.
            clause.append("seq < coalesce((SELECT seq FROM event WHERE id = ?), "
                          "(SELECT min(seq) FROM event WHERE id > ?), 9e18)")  # fmt: skip
            values += [before, before]
        for name, value in (("label", label), ("camera", camera)):
            if value is not None:
                clause.append(f"{name} = ?")
                values.append(value)
        where = " AND ".join(clause)
        return list(self._events(f"WHERE {where} ORDER BY seq DESC LIMIT ?", (*values, limit)))

    def events_after(self, id: str | None, limit: int) -> list[Event]:
        """Return ended events in the order in which they ended, from behind one on.

        Args:
            id: of an event that ended; None for all. Of one that is gone, what ended after the last
                one whose id sorts before it.
            limit: so many at most.
        """
        after = (
            "coalesce((SELECT ended FROM event WHERE id = ?), "
            "(SELECT max(ended) FROM event WHERE id < ?), 0)"
        )
        clause = f"WHERE ended > {after} ORDER BY ended LIMIT ?"
        return list(self._events(clause, (id or "", id or "", limit)))

    def events_between(self, begin: float, end: float) -> list[Event]:
        """Return the events that went on at some time in [begin, end), Unix time."""
        clause = "WHERE begin < ? AND coalesce(end, ?) >= ? ORDER BY seq"
        return list(self._events(clause, (end, end, begin)))

    def open_events(self) -> list[Event]:
        """Return the events that have no end yet."""
        return list(self._events("WHERE ended IS NULL ORDER BY seq"))

    def counts(self, begin: float, end: float) -> dict[str, int]:
        """Return how many events of each label began in [begin, end), Unix time."""
        return dict(
            self._database.read(
                "SELECT label, count(*) FROM event WHERE begin >= ? AND begin < ? "
                "GROUP BY label ORDER BY label",
                (begin, end),
            )
        )

    def recover(self) -> None:
        """End what a crash has left open: events at their last decision's time, acts at once."""
        with self._change() as db:
            db.execute("DELETE FROM forgotten")  # nobody is left who could save them again
            ids = [id for (id,) in db.execute("SELECT id FROM event WHERE ended IS NULL")]
            for id in ids:
                db.execute(
                    "UPDATE event SET end = max(begin, coalesce(end, (SELECT max(until) FROM "
                    "decision WHERE event = event.id), begin)) WHERE id = ?",
                    (id,),
                )
                _number_end(db, id)
            acts = db.execute(
                "UPDATE act SET end = time, result = 'failed', why = 'the sentinel was stopped "
                "meanwhile' WHERE end IS NULL AND result = 'running'"
            ).rowcount
        if ids or acts:
            self.notices.append(
                f"the sentinel had not ended well: {len(ids)} events and {acts} acts were ended"
            )

    def _events(self, clause: str, values: tuple[Any, ...] = ()) -> Iterator[Event]:
        for row in self._database.read(f"SELECT {_EVENT} FROM event {clause}", values):
            yield _event(row)

    # Acts

    def note(self, act: Act, *, counts: bool = True) -> None:
        """Write an act, or what became of it: it is known by decision, action and time.

        Args:
            act: it.
            counts: whether it is one of `starts`, by which limits go.

        Raises:
            StoreError: it is not on record.
        """
        with self._change() as db:
            changed = db.execute(
                "UPDATE act SET end = ?, result = ?, why = ? "
                "WHERE decision IS ? AND action = ? AND time = ?",
                (act.end, act.result, act.why, act.decision, act.action, act.time),
            ).rowcount
            if not changed:
                db.execute(
                    f"INSERT INTO act ({_ACT}, age) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (act.decision, act.action, act.time, act.end, act.result, act.why, self.age()),
                )
                if counts and act.result in ("running", "dry run"):
                    self._remember_start(db, act)

    def _remember_start(self, db: sqlite3.Connection, act: Act) -> None:
        others = "SELECT count(*) FROM act WHERE decision = ? AND result != 'refused'"
        (count,) = db.execute(others, (act.decision,)).fetchone()
        values = (act.action, act.decision is None, count == 1, self.used())
        db.execute("INSERT INTO start VALUES (?, ?, ?, ?)", values)
        db.execute("DELETE FROM start WHERE used < ?", (self.used() - DAY,))

    def starts(self, seconds: float) -> list[Start]:
        """Return what was switched on within so many seconds of use (a day at most), in order.

        It goes by `used`, so that neither a clock that is set nor a restart, nor forgetting, takes
        anything out of it.
        """
        now = self.used()
        rows = self._database.read(
            "SELECT action, test, first, used FROM start WHERE used > ? ORDER BY used",
            (now - seconds,),
        )
        return [
            Start(action, bool(test), bool(first), max(0.0, now - used))
            for action, test, first, used in rows
        ]

    def acts(self, since: float) -> list[Act]:
        """Return the acts that began at a Unix time or later, the first one first."""
        return list(self._acts("WHERE time >= ? ORDER BY seq", (since,)))

    def acts_of(self, decision_id: str) -> list[Act]:
        """Return what became of a decision's actions."""
        return list(self._acts("WHERE decision = ? ORDER BY seq", (decision_id,)))

    def last_act(self) -> Act | None:
        """Return the newest act; None before the first."""
        return next(self._acts("ORDER BY seq DESC LIMIT 1"), None)

    def _acts(self, clause: str, values: tuple[Any, ...] = ()) -> Iterator[Act]:
        for row in self._database.read(f"SELECT {_ACT} FROM act {clause}", values):
            yield Act(*row)

    # Small things that outlast a restart

    def cursor(self, name: str) -> str | None:
        """Return up to which event somebody has come; None if they never said."""
        rows = self._database.read("SELECT id FROM cursor WHERE name = ?", (name,))
        return next((id for (id,) in rows), None)

    def set_cursor(self, name: str, id: str) -> None:
        """Remember up to which event somebody has come (`events_after`)."""
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (name, id))

    def setting(self, name: str) -> str | None:
        """Return a setting; None where it was never set."""
        rows = self._database.read("SELECT value FROM setting WHERE name = ?", (name,))
        return next((value for (value,) in rows), None)

    def set_setting(self, name: str, value: str) -> None:
        """Remember a setting."""
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    # Files of events

    def set_picture(self, event_id: str, name: str, size: int) -> bool:
        """Say which file, relative to the folder, an event's picture is; False: no such event."""
        return self._set_file("picture", event_id, name, size)

    def set_clip(self, event_id: str, name: str, size: int) -> bool:
        """Say which file, relative to the folder, an event's clip is; False: no such event."""
        return self._set_file("clip", event_id, name, size)

    def _set_file(self, kind: str, event_id: str, name: str, size: int) -> bool:
        with self._change() as db:
            return bool(
                db.execute(
                    f"UPDATE event SET {kind} = ?, {kind}_bytes = ? WHERE id = ?",
                    (name, size, event_id),
                ).rowcount
            )

    def media(self, limit: int = -1) -> list[Kept]:
        """Return the events that have files, the oldest first."""
        rows = self._database.read(
            "SELECT seq, id, picture, clip, picture_bytes + clip_bytes, age FROM event "
            "WHERE picture IS NOT NULL OR clip IS NOT NULL ORDER BY seq LIMIT ?",
            (limit,),
        )
        return [
            Kept(seq, id, tuple(name for name in (picture, clip) if name), size, age)
            for seq, id, picture, clip, size, age in rows
        ]

    def media_bytes(self) -> int:
        """Return how many bytes all pictures and clips take."""
        ((size,),) = self._database.read(
            "SELECT coalesce(sum(picture_bytes + clip_bytes), 0) FROM event "
            "WHERE picture IS NOT NULL OR clip IS NOT NULL",
            (),
        )
        return int(size)

    def drop_media(self, event_ids: Iterable[str]) -> None:
        """Let events have no files any more; the caller then removes the files."""
        with self._change() as db:
            db.executemany(
                "UPDATE event SET picture = NULL, clip = NULL, picture_bytes = 0, clip_bytes = 0 "
                "WHERE id = ?",
                [(id,) for id in event_ids],
            )

    # Growing old

    def age(self) -> float:
        """Return the store's own time, in seconds: how long it has been in use.

        It goes with the monotonic clock, so that no clock that is set makes anything old. Of the
        time between two runs, the wall clock's word counts, for a day at most.
        """
        return self._age + self._clock.monotonic() - self._age_at

    def used(self) -> float:
        """Return for how many seconds it has been in use: as `age`, but nothing between two runs.

        After a crash it may be less by as much as passed since `keep_age` and the last act.
        """
        return self._used + self._clock.monotonic() - self._age_at

    def keep_age(self) -> None:
        """Write down how old the store is."""
        value = json.dumps([self.age(), self._clock.now(), self.used()])
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES ('age', ?)", (value,))

    def expire(self, events: float, others: float, limit: int) -> int:
        """Remove what is older than an age, the oldest first.

        Args:
            events: events, their decisions and acts go if `age` was less when they were saved; the
                pictures and clips of such events must be gone already.
            others: the same of decisions that belong to no event.
            limit: rows of each kind at most.

        Returns:
            how many rows were removed.
        """
        with self._change() as db:
            gone = db.execute(
                "SELECT id FROM event WHERE age < ? AND ended IS NOT NULL AND picture IS NULL "
                "AND clip IS NULL ORDER BY age LIMIT ?",
                (events, limit),
            ).fetchall()
            removed = _remove_events(db, [id for (id,) in gone])
            for table, condition, age in (
                ("decision", "event IS NULL", others),
                ("decision", "NOT EXISTS (SELECT 1 FROM event e WHERE e.id = event)", events),
                ("act", "1", events),
            ):
                removed += db.execute(
                    f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} "
                    f"WHERE age < ? AND {condition} ORDER BY age LIMIT ?)",
                    (age, limit),
                ).rowcount
        return removed

    def forget(self, begin: float, end: float) -> dict[str, tuple[str, ...]]:
        """Remove ended events that went on in [begin, end), and decisions and acts of that time.

        Returns:
            by an event's id its files, which are the caller's to remove.
        """
        with self._change() as db:
            rows = db.execute(
                "SELECT id, picture, clip FROM event "
                "WHERE begin < ? AND end >= ? AND ended IS NOT NULL",
                (end, begin),
            ).fetchall()
            gone = {id: tuple(name for name in files if name) for id, *files in rows}
            db.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", [(id,) for id in gone])
            _remove_events(db, list(gone))
            live = "(SELECT id FROM event WHERE ended IS NULL)"
            db.execute(
                "DELETE FROM act WHERE time < ? AND coalesce(end, time) >= ? AND (decision IS NULL "
                f"OR decision NOT IN (SELECT id FROM decision WHERE event IN {live}))",
                (end, begin),
            )
            db.execute(
                "DELETE FROM decision WHERE time < ? AND until >= ? AND "
                f"(event IS NULL OR event NOT IN {live})",
                (end, begin),
            )
        return gone

    def scrub(self) -> None:
        """Leave no byte of what was removed in the database's files.

        Raises:
            StoreError: there is no room, or somebody else was using them all the time.
        """
        self._database.scrub()

    # Closing

    def close(self) -> None:
        """Write what is left and give the folder back; harmless when done before."""
        self._closing.set()
        idle = self._thread.end(_CLOSE_S)
        if self._alone and not self._closed and idle:
            self._closed = True
            try:
                self.keep_age()
            except StoreError as error:
                log.warning("%s", error)
        self._database.close()

    def flush(self) -> None:
        """Write what `extend` has gathered.

        Raises:
            StoreError: it is kept for the next try.
        """
        with self._database.lock:
            if self._grown:
                with self._change():
                    pass

    def _flush_often(self) -> None:
        failed = ""
        while not self._clock.wait(self._closing, _FLUSH_S):
            try:
                self.flush()
                failed = ""
            except StoreError as error:
                if str(error) != failed:  # a disk may be full for days
                    log.warning("%s", error)
                    self._bus.tell(unwritable(error))
                failed = str(error)
            self._thread.turn()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction, in which what has grown is written first."""
        with self._database.lock:
            with self._database.change() as db:
                db.executemany(
                    "UPDATE decision SET until = ?, last = ?, frames = ? WHERE id = ?",
                    [(one.until, one.last, one.frames, one.id) for one in self._grown.values()],
                )
                yield db
            self._grown.clear()

    def _opened(self, db: sqlite3.Connection) -> None:
        (self._age, self._used), self._age_at = self._old(db), self._clock.monotonic()

    def _old(self, db: sqlite3.Connection) -> tuple[float, float]:
        """Return age and use when it was closed, and what counts of the time since."""
        age = used = 0.0
        row = db.execute("SELECT value FROM setting WHERE name = 'age'").fetchone()
        if row:
            age, wall, *rest = json.loads(row[0])
            used = rest[0] if rest else age  # a log of before `start`
            age += min(max(0.0, self._clock.now() - wall), DAY)
        for table in ("event", "decision", "act"):
            row = db.execute(f"SELECT age FROM {table} ORDER BY seq DESC LIMIT 1").fetchone()
            age = max(age, row[0] if row else 0.0)
        (last,) = db.execute("SELECT coalesce(max(used), 0) FROM start").fetchone()
        return age, max(used, last)


def unwritable(error: StoreError) -> HealthChanged:
    """Return what the health says of a store that cannot write."""
    return HealthChanged(PART, False, str(error), blocks=True)


def _number_end(db: sqlite3.Connection, id: str) -> None:
    """Put an event behind all that ended before, once."""
    db.execute(
        "UPDATE event SET ended = (SELECT coalesce(max(ended), 0) + 1 FROM event) "
        "WHERE id = ? AND ended IS NULL",
        (id,),
    )


def _remove_events(db: sqlite3.Connection, ids: list[str]) -> int:
    """Remove events with all that belongs to them; a cursor on one goes to the one before it."""
    for name, at in db.execute("SELECT name, id FROM cursor").fetchall():
        if at in ids:
            row = db.execute(
                "SELECT id FROM event WHERE ended < (SELECT ended FROM event WHERE id = ?) "
                "AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY ended DESC LIMIT 1",
                (at, json.dumps(ids)),
            ).fetchone()
            db.execute("UPDATE cursor SET id = ? WHERE name = ?", (row[0] if row else "", name))
    removed = 0
    for id in ids:
        for statement in (
            "DELETE FROM act WHERE decision IN (SELECT id FROM decision WHERE event = ?)",
            "DELETE FROM decision WHERE event = ?",
            "DELETE FROM event WHERE id = ?",
        ):
            removed += db.execute(statement, (id,)).rowcount
    return removed


def _decision_row(one: Decision) -> tuple[Any, ...]:
    return (
        one.id,
        one.event,
        one.camera,
        one.track,
        one.time,
        one.until,
        one.first,
        one.last,
        one.frames,
        one.label,
        one.model,
        json.dumps({label: float(score) for label, score in one.scores.items()}),
        json.dumps([int(value) for value in one.box]),
        one.light.value,
        json.dumps([asdict(check) for check in one.checks]),
        json.dumps(one.actions),
    )


def _decision(row: tuple[Any, ...]) -> Decision:
    *plain, scores, box, light, checks, actions = row
    parsed: tuple[Any, ...] = (
        json.loads(scores),
        tuple(json.loads(box)),
        Light(light),
        tuple(Check(**check) for check in json.loads(checks)),
        tuple(json.loads(actions)),
    )
    return Decision(*plain, *parsed)


def _event_row(one: Event) -> tuple[Any, ...]:
    return (
        one.id,
        one.camera,
        one.track,
        one.label,
        float(one.score),
        one.begin,
        one.end,
        one.light.value,
        json.dumps(one.zones),
        one.frames,
        json.dumps(one.actions),
        one.picture,
        one.clip,
    )


def _event(row: tuple[Any, ...]) -> Event:
    id, camera, track, label, score, begin, end, light, zones, frames, actions, *files = row
    return Event(
        id,
        camera,
        track,
        label,
        score,
        begin,
        end,
        Light(light),
        tuple(json.loads(zones)),
        frames,
        tuple(json.loads(actions)),
        *files,
    )
