"""What is kept for how long; a clock that is set deletes nothing."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from lotor.sentinel import config, retention
from lotor.sentinel.bus import Bus, HealthChanged
from lotor.sentinel.clock import SetClock
from lotor.sentinel.event import Act, Event
from lotor.sentinel.retention import Retention
from lotor.sentinel.store import DAY, Store, StoreError
from test_sentinel_store import NOON, decision, visit

MB = 10**6
SETTINGS = config.Store(free_mb=0, events_days=100, media_days=10, media_mb=50)


class Disk(NamedTuple):
    total: int
    used: int
    free: int


class House:
    """A store with events of some days."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock(NOON)
        self.store = Store(folder, self.clock)

    def day(self, size: int = MB) -> Event:
        """A day with a visit that has files, and a decision about nothing."""
        now = self.clock.now()
        event = visit(now, now + 5)
        self.store.save_event(event)
        self.store.record(decision(now, event.id))
        self.store.record(decision(now, None))
        self.store.note(Act(None, "siren", now, now, "done"))
        for suffix, keep in (("jpg", self.store.set_picture), ("webm", self.store.set_clip)):
            path = self.store.folder / f"media/{event.id}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
            assert keep(event.id, f"media/{path.name}", size // 2)
        self.clock.advance(DAY)
        return event

    def round(self, settings: config.Store = SETTINGS) -> list[HealthChanged]:
        bus, told = Bus(), list[HealthChanged]()
        bus.subscribe(lambda m: told.append(m) if isinstance(m, HealthChanged) else None)
        made = Retention(self.store, settings, self.clock, bus)
        made._closing.set()
        while made.step():
            pass
        made.round()
        return told

    def kept(self) -> list[str]:
        """Events that have their files, and their files are there."""
        found = [kept for kept in self.store.media()]
        names = {name for kept in found for name in kept.files}
        files = {f"media/{path.name}" for path in (self.store.folder / "media").glob("*")}
        assert names == files
        return [kept.event for kept in found]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "log")
    yield made
    made.store.close()


def test_the_log_outlives_its_clips(house: House) -> None:
    events = [house.day() for _ in range(30)]
    house.round()
    assert house.kept() == [event.id for event in events[20:]]
    assert len(house.store.events(99)) == 30
    assert len(house.store.decisions_between(0, 9e12)) == 30 + 10  # those about nothing go as well
    assert len(house.store.acts(0)) == 30
    house.round(replace(SETTINGS, events_days=5))
    assert [event.id for event in house.store.events(99)] == [e.id for e in events[:24:-1]]
    assert house.kept() == [event.id for event in events[25:]]
    assert len(house.store.decisions_between(0, 9e12)) == 10
    assert len(house.store.acts(0)) == 5
    assert house.round() == []


def test_by_bytes_the_oldest_first(house: House) -> None:
    events = [house.day(20 * MB) for _ in range(8)]
    house.round()
    assert house.kept() == [event.id for event in events[6:]]
    assert house.store.media_bytes() == 40 * MB
    assert len(house.store.events(99)) == 8


def test_as_many_bytes_as_are_allowed_stay(house: House) -> None:
    events = [house.day(20 * MB) for _ in range(3)]
    house.round(replace(SETTINGS, media_mb=40))
    assert house.kept() == [event.id for event in events[1:]]
    house.day(41 * MB)  # of 10^6 bytes
    house.round(replace(SETTINGS, media_mb=40))
    assert house.kept() == []


def test_what_has_a_picture_or_a_clip_alone_goes_too(house: House) -> None:
    files = []
    for suffix, keep in (("jpg", house.store.set_picture), ("webm", house.store.set_clip)):
        event = visit(house.clock.now(), house.clock.now())
        house.store.save_event(event)
        files.append(house.store.folder / f"{event.id}.{suffix}")
        files[-1].write_bytes(b"x")
        assert keep(event.id, files[-1].name, 1)
    house.clock.advance(11 * DAY)
    house.round()
    assert house.store.media() == [] and not any(file.exists() for file in files)


def test_files_that_are_gone_already_hold_up_nothing(house: House) -> None:
    events = [house.day(20 * MB) for _ in range(4)]
    (house.store.folder / f"media/{events[0].id}.jpg").unlink()
    house.round()
    assert house.kept() == [event.id for event in events[2:]]


def test_decisions_that_became_no_event_go_with_the_log(house: House) -> None:
    event = visit(NOON)  # lasts, and so do its own
    house.store.save_event(event)
    house.store.record(decision(NOON, event.id))
    house.store.record(decision(NOON, "too short to be one"))
    house.clock.advance(99 * DAY)
    house.round()
    assert len(house.store.decisions_between(0, 9e12)) == 2
    house.clock.advance(2 * DAY)
    house.round()
    assert [d.event for d in house.store.decisions_between(0, 9e12)] == [event.id]


def test_a_round_removes_all_that_is_to_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_FILES", 2)
    monkeypatch.setattr(retention, "_PAUSE_S", 0.0)  # the clock stands still
    for _ in range(15):
        house.day()
    Retention(house.store, SETTINGS, house.clock).round()
    assert len(house.kept()) == 10
    assert json.loads(house.store.setting("age") or "[]")[0] == 15 * DAY


def test_a_disk_that_was_full_or_away_is_well_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, told, free = Bus(), list[object](), [499 * MB]
    bus.subscribe(told.append)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(0, 0, free[0]))
    made = Retention(house.store, replace(SETTINGS, free_mb=500), house.clock, bus)
    made.round()
    made.round()
    free[0] = 500 * MB
    made.round()
    assert [(t.well, t.blocks) for t in told if isinstance(t, HealthChanged)] == [
        (False, False), (True, False),
    ]  # fmt: skip

    def away(folder: Path) -> Disk:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", away)
    with pytest.raises(StoreError, match="Input/output error"):
        made.round()


def test_a_clock_that_is_set_deletes_nothing(house: House) -> None:
    events = [house.day() for _ in range(5)]
    for jump in (400 * DAY, 10_000 * DAY, -20_000 * DAY):
        house.clock.jump(jump)
        house.round()
        events.append(house.day())
        house.round()
        assert house.kept() == [event.id for event in events]
    house.clock.advance(4 * DAY)  # from now on it goes right: those of the jumps grow old, too
    house.round()
    assert house.kept() == [event.id for event in events[2:]]


def test_a_machine_that_boots_with_a_wrong_clock(house: House) -> None:
    """No battery: every start is in 1970 at first, or in a far future."""
    house.day()
    for now in (0.0, NOON + 9000 * DAY, 100.0, NOON):
        house.store.close()
        house.clock.jump(now - house.clock.now())
        house.store = Store(house.store.folder, house.clock)
        house.round()
        assert len(house.kept()) == 1


def test_the_disk_stays_free_and_the_last_day_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [house.day(5 * MB) for _ in range(8)]
    used = 5 * MB * 8

    def usage(folder: Path) -> Disk:
        taken = house.store.media_bytes()
        return Disk(0, 0, 93 * MB - taken)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert house.round(replace(SETTINGS, free_mb=53)) == []
    assert house.store.media_bytes() == used
    assert house.round(replace(SETTINGS, free_mb=70)) == []
    assert house.kept() == [event.id for event in events[4:]]
    (ill,) = house.round(replace(SETTINGS, free_mb=500))
    assert not ill.well and not ill.blocks and "store.free_mb (500 MB)" in ill.text
    assert house.kept() == [events[-1].id]
    assert len(house.store.events(99)) == 8


def test_an_event_that_lasts_is_not_removed(house: House) -> None:
    event = visit(NOON)
    house.store.save_event(event)
    house.clock.advance(500 * DAY)
    house.round()
    assert house.store.open_events() == [event]


def test_in_small_steps(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(12):
        house.day()
    monkeypatch.setattr(retention, "_FILES", 2)
    monkeypatch.setattr(retention, "_ROWS", 3)
    house.clock.advance(200 * DAY)
    made = Retention(house.store, SETTINGS, house.clock)
    assert made.step()
    assert len(house.kept()) == 10
    monkeypatch.setattr(retention, "_FILES", 99)
    left = [len(house.store.events(99))]
    while made.step():
        left.append(len(house.store.events(99)))
    assert all(0 <= before - after <= 3 for before, after in pairwise(left))
    assert left[-1] == 0 and house.kept() == []


def test_a_cursor_is_not_sent_back_by_what_grew_old(house: House) -> None:
    events = [house.day() for _ in range(6)]
    house.store.set_cursor("mqtt", events[3].id)
    house.round(replace(SETTINGS, events_days=1))
    cursor = house.store.cursor("mqtt")
    assert cursor == ""
    assert house.store.events_after(cursor, 9) == [house.store.event(events[5].id)]


def test_it_works_by_itself_at_once_and_then_every_ten_minutes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, told = Bus(), list[object]()
    bus.subscribe(told.append)
    rounds, made = threading.Semaphore(0), Retention(house.store, SETTINGS, house.clock, bus)

    errors = [StoreError("the disk is away"), ZeroDivisionError(), StoreError("the disk is away")]

    def counted() -> None:
        rounds.release()
        raise errors.pop()  # ends nothing

    monkeypatch.setattr(made, "round", counted)
    made.start()
    try:
        for _ in range(3):
            assert rounds.acquire(timeout=10)
            assert not rounds.acquire(timeout=0.05)
            house.clock.advance(599)
            assert not rounds.acquire(timeout=0.05)
            house.clock.advance(1)
    finally:
        made.close()
    assert told[:2] == [
        HealthChanged("disk", False, "the disk is away"),
        HealthChanged(
            "retention thread", False, "it failed: ZeroDivisionError; it begins anew within 1 s"
        ),
    ]
    assert told[2:] in ([], [HealthChanged("retention thread", True)])


def test_no_byte_is_left_of_what_grew_old(house: House) -> None:
    mark = "A-MARK-THAT-OCCURS-NOWHERE-ELSE"
    for n in range(30):
        event = visit(NOON, NOON + n, zones=(mark, "x" * 40 * n))
        house.store.save_event(event)
        house.store.record(decision(NOON, event.id, model=mark + "y" * 50 * n))
        house.store.record(decision(NOON, None, model=mark))
    house.clock.advance(90 * DAY)
    kept = house.day()
    house.clock.advance(11 * DAY)
    house.round()
    house.store.close()
    content = (house.store.folder / "store.sqlite").read_bytes()
    assert kept.id.encode() in content
    assert mark.encode() not in content
    assert not (house.store.folder / "store.sqlite-wal").exists()
