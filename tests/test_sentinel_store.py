"""What the sentinel remembers: on record when it says so, found again, and nothing half-written."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from full_disk import full_disk
from lotor.files import locked
from lotor.sentinel import database as database_module
from lotor.sentinel import store as store_module
from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import SetClock, SystemClock
from lotor.sentinel.database import DAMAGED, DATABASE, LOCK, Database
from lotor.sentinel.event import Act, Check, Decision, Event, Receipt, Start, new_id
from lotor.sentinel.scene import Light
from lotor.sentinel.store import DAY, LOST, Store, StoreError

NOON = 1_790_000_000.0


def decision(time: float, event: str | None = None, **more: object) -> Decision:
    made = Decision(
        new_id(time), event, "gate", 7, time, time, 10, 10, 1, "raccoon", "raccoon",
        {"raccoon": 0.9, "other": 0.1}, (1, 2, 3, 4), Light.NIGHT,
        (Check("votes", True, "3 of 5"), Check("person", True, "nobody is there")), ("siren",),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def visit(begin: float, end: float | None = None, **more: object) -> Event:
    made = Event(new_id(begin), "gate", 7, "raccoon", 0.9, begin, end, Light.NIGHT, ("lawn",), 5)
    return replace(made, **more)  # type: ignore[arg-type]


def recorded(store: Store, made: Decision) -> Decision:
    """Put a decision that acts on record."""
    receipt = store.record(made)
    assert receipt is not None
    return receipt.decision


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOON)


@pytest.fixture
def store(tmp_path: Path, clock: SetClock) -> Iterator[Store]:
    made = Store(tmp_path / "log", clock)
    yield made
    made.close()


def test_what_was_written_is_read_again(store: Store, clock: SetClock) -> None:
    one = visit(NOON)
    first = decision(NOON, one.id)
    receipt = store.record(first)
    assert isinstance(receipt, Receipt) and receipt.decision == first
    store.save_event(one)
    assert store.record(decision(NOON + 1, label=None, actions=())) is None  # it does not act
    done = Act(first.id, "siren", NOON, None, "running")
    store.note(done)
    store.note(replace(done, end=NOON + 5, result="done"))
    trial = Act(None, "siren", NOON + 9, NOON + 9, "dry run", "would play")
    store.note(trial)
    store.set_setting("armed", "yes")
    store.set_cursor("mqtt", one.id)
    store.close()
    again = Store(store.folder, clock)
    try:
        assert again.decision(first.id) == first
        assert again.decisions(one.id) == [first]
        assert again.acts_of(first.id) == [replace(done, end=NOON + 5, result="done")]
        assert again.acts(NOON + 9) == [trial] and again.last_act() == trial
        assert (again.setting("armed"), again.setting("else")) == ("yes", None)
        assert (again.cursor("mqtt"), again.cursor("else")) == (one.id, None)
        assert again.event("none") is None and again.decision("none") is None
        assert again.event(one.id) == replace(one, end=NOON)  # it had no end
    finally:
        again.close()


def test_only_its_owner_reads_it(store: Store) -> None:
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_an_event_grows_and_ends_once(store: Store) -> None:
    one = visit(NOON)
    store.save_event(one)
    assert store.open_events() == [one]
    assert store.set_picture(one.id, "media/a.jpg", 10) and store.set_clip(
        one.id, "media/a.webm", 5
    )
    assert not store.set_picture("none", "media/b.jpg", 10)
    store.save_event(replace(one, label="cat", frames=9, end=NOON + 4, actions=("siren",)))
    store.save_event(replace(one, label="cat", frames=9, end=NOON + 4, actions=("siren",)))
    found = replace(
        one, label="cat", frames=9, end=NOON + 4, actions=("siren",),
        picture="media/a.jpg", clip="media/a.webm",
    )  # fmt: skip
    assert store.events(9) == [found] == store.events_after("", 9)
    assert store.open_events() == []
    assert store.media_bytes() == 15


def test_an_act_is_known_by_decision_action_and_time(store: Store) -> None:
    of_both = [Act("d", name, NOON, None, "running") for name in ("siren", "lamp")]
    tries = [Act(None, "siren", NOON + n, None, "running") for n in range(2)]
    for act in (*of_both, *tries):
        store.note(act)
    for act in (of_both[1], tries[0]):
        store.note(replace(act, end=NOON + 3, result="done"))
    assert [act.end for act in store.acts(0)] == [None, NOON + 3, NOON + 3, None]
    assert len(store.acts_of("d")) == 2


def test_what_held_or_went_on_at_a_time_is_found(store: Store) -> None:
    event = visit(NOON, NOON + 5)
    store.save_event(event)
    store.record(decision(NOON, event.id, until=NOON + 5))
    for begin, end, there in ((-9, 0, 0), (-9, 1, 1), (2, 3, 1), (5, 9, 1), (5.1, 9, 0)):
        assert len(store.events_between(NOON + begin, NOON + end)) == there
        assert len(store.decisions_between(NOON + begin, NOON + end)) == there


def test_what_was_forgotten_is_not_saved_again(store: Store, clock: SetClock) -> None:
    event = visit(NOON, NOON + 5)
    store.save_event(event)
    assert store.forget(NOON, NOON + 1) == {event.id: ()}
    store.save_event(event)  # who forgets is another process than who saves
    assert store.events(9) == []
    store.close()
    again = Store(store.folder, clock)
    assert again._database.read("SELECT * FROM forgotten") == []
    again.close()


def test_an_event_that_ended_stays_ended_and_where_it_was(store: Store) -> None:
    first, second = visit(NOON, NOON + 5), visit(NOON + 1, NOON + 6)
    store.save_event(first)
    store.save_event(second)
    store.save_event(replace(first, end=None, frames=9))
    assert store.event(first.id) == replace(first, frames=9)
    store.save_event(first)
    assert store.events_after(None, 9) == [first, second]


def test_events_by_page_label_and_camera(store: Store) -> None:
    made = [
        visit(NOON + n, NOON + n, label=("raccoon", "cat")[n % 2], camera=("gate", "bin")[n // 3])
        for n in range(6)
    ]
    for one in made:
        store.save_event(one)
    newest = made[::-1]
    assert store.events(2) == newest[:2]
    assert store.events(2, before=newest[1].id) == newest[2:4]
    assert store.events(9, before=made[0].id) == []
    assert store.events(9, label="cat") == newest[0::2]
    assert store.events(9, label="cat", camera="gate") == [made[1]]
    assert store.counts(NOON + 1, NOON + 4) == {"cat": 2, "raccoon": 1}
    assert store.counts(NOON - 9, NOON) == {}
    gone = new_id(NOON + 3.5)
    assert store.events(1, before=gone) == [made[3]]


def test_who_reads_along_misses_nothing_when_the_clock_goes_back(store: Store) -> None:
    late, early, open_one = visit(NOON, NOON), visit(NOON - 9999, NOON - 9990), visit(NOON - 5)
    store.save_event(open_one)
    store.save_event(late)
    store.save_event(early)  # the clock was set back: its id sorts first
    assert store.events_after("", 9) == [late, early]
    assert store.events_after(late.id, 9) == [early]
    ended = replace(open_one, end=NOON + 1)
    store.save_event(ended)  # began first, ended last
    assert store.events_after("", 2) == [late, early]
    assert store.events_after(early.id, 2) == [ended]
    assert store.events_after(ended.id, 2) == []


def test_a_cursor_outlives_the_event_that_it_stands_at(store: Store) -> None:
    made = [visit(NOON + n, NOON + n) for n in range(4)]
    for one in made:
        store.save_event(one)
    store.set_cursor("mqtt", made[1].id)
    store.set_cursor("page", made[0].id)
    store.forget(NOON, NOON + 1.5)
    assert [store.cursor("mqtt"), store.cursor("page")] == ["", ""]
    assert store.events_after("", 9) == made[2:]
    store.set_cursor("mqtt", made[3].id)
    store.forget(NOON + 3, NOON + 4)
    assert store.events_after(store.cursor("mqtt") or "", 9) == []
    assert store.events_after(made[3].id, 9) == []  # who holds it in memory


def test_very_many_events_are_forgotten_at_once(store: Store) -> None:
    with store._change() as db:
        db.executemany(
            "INSERT INTO event (id, camera, track, label, score, begin, end, light, zones, "
            "frames, actions, ended, age) "
            "VALUES (?, 'gate', 1, 'cat', 1, 5, 6, 'day', '[]', 1, '[]', ?, 0)",
            [(str(n), n) for n in range(1, 40_000)],
        )
    store.set_cursor("mqtt", "39999")
    assert len(store.forget(0, 9)) == 39_999
    assert store.cursor("mqtt") == ""


def test_a_decision_that_holds_on_is_written_within_ten_seconds(
    store: Store, clock: SetClock
) -> None:
    first = decision(NOON)
    store.record(first)
    grown = replace(first, until=NOON + 3, last=25, frames=16)
    store.extend(replace(grown, frames=15))
    store.extend(grown)
    assert store.decision(first.id) == first
    until = threading.Event()
    for _ in range(500):  # the thread has ten seconds of the clock that it is given, not of ours
        if store.decision(first.id) == grown:
            break
        until.wait(0.01)
        if clock.monotonic() < 10:
            clock.advance(1)
    assert store.decision(first.id) == grown
    assert store._grown == {}
    last = replace(grown, until=NOON + 20, last=90)
    store.extend(last)
    store.close()
    with sqlite3.connect(store.folder / DATABASE) as db:
        assert db.execute("SELECT last FROM decision").fetchone() == (90,)


def test_a_crash_leaves_no_event_open(tmp_path: Path, clock: SetClock) -> None:
    """The folder is copied while it is in use, which is what a power cut leaves."""
    store = Store(tmp_path / "log", clock)
    some, none = visit(NOON), visit(NOON + 50)
    store.save_event(some)
    store.record(decision(NOON, some.id, until=NOON + 30))
    store.record(decision(NOON + 2, some.id, until=NOON + 20))
    store.save_event(none)
    store.record(decision(NOON + 3, none.id, until=NOON + 20))  # the clock was set back
    clock.advance(1000)
    act = Act("d", "siren", NOON + 3, None, "running")
    store.note(act)
    shutil.copytree(store.folder, tmp_path / "cut")
    store.close()
    again = Store(tmp_path / "cut", clock)
    assert [event.end for event in again.events_after("", 9)] == [NOON + 30, NOON + 50]
    assert again.acts(0) == [
        replace(act, end=NOON + 3, result="failed", why="the sentinel was stopped meanwhile")
    ]
    assert len(again.notices) == 1 and "2 events and 1 acts" in again.notices[0]
    assert again.age() >= 1000
    again.close()


def test_a_second_sentinel_is_refused_by_name(store: Store, clock: SetClock) -> None:
    for _ in range(2):  # being refused takes nothing away
        with pytest.raises(StoreError, match=f"another sentinel \\(process {os.getpid()}\\)"):
            Store(store.folder, clock)
    program = (
        "import sys; from pathlib import Path; from lotor.sentinel.clock import SystemClock; "
        "from lotor.sentinel.store import Store; Store(Path(sys.argv[1]), SystemClock())"
    )
    other = subprocess.run([sys.executable, "-c", program, str(store.folder)],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert f"another sentinel (process {os.getpid()}) keeps its log" in other.stderr
    store.record(decision(NOON))
    store.close()
    Store(store.folder, clock).close()


def test_what_cannot_be_mended_leaves_the_folder_free(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Store) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as full, pytest.raises(StoreError, match="full"):
        full.setattr(Store, "recover", fail)
        Store(tmp_path / "log", clock)
    Store(tmp_path / "log", clock).close()


def test_many_threads(store: Store) -> None:
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for n in range(20):
                one = visit(NOON + n, NOON + n, camera=f"c{number}")
                store.save_event(one)
                made = recorded(store, decision(NOON + n, one.id))
                assert store.decisions(one.id) == [made]
                assert store.events(5)[0].id
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(store.events_after("", 999)) == 80


@pytest.mark.parametrize("how", ["middle", "head", "short"])
def test_a_damaged_log_is_moved_aside_and_told(how: str, tmp_path: Path, clock: SetClock) -> None:
    store = Store(tmp_path / "log", clock)
    for n in range(200):
        store.save_event(visit(NOON + n, NOON + n))
    store.close()
    picture = store.folder / "media/day/a.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"seen")
    path = store.folder / DATABASE
    content = path.read_bytes()
    spoilt = {
        "middle": content[:8192] + b"\xa5" * 8192 + content[16384:],
        "head": b"\0" * 100 + content[100:],
        "short": content[:5000],
    }[how]
    path.write_bytes(spoilt)
    again = Store(store.folder, clock)
    (aside,) = store.folder.glob(f"{DAMAGED}*.sqlite")
    assert aside.read_bytes() == spoilt
    assert (aside.with_suffix(".media") / "day/a.jpg").read_bytes() == b"seen"
    assert not picture.exists()
    assert any(str(aside) in notice and "damaged" in notice for notice in again.notices)
    assert again.events(9) == []
    again.record(decision(NOON))
    again.close()
    path.write_bytes(spoilt)
    Store(store.folder, clock).close()
    assert len(list(store.folder.glob(f"{DAMAGED}*.sqlite"))) == 2


def test_a_log_that_is_damaged_while_in_use(store: Store) -> None:
    for n in range(200):
        store.save_event(visit(NOON + n, NOON + n))
    with sqlite3.connect(store.folder / DATABASE) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (store.folder / DATABASE).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (store.folder / DATABASE).stat().st_size)
    store._database._db.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="cannot be used: database disk image is malformed"):
        store.counts(0, 9e9)
    store.record(decision(NOON))
    assert len(list(store.folder.glob(f"{DAMAGED}*.sqlite"))) == 1
    assert store.events(9) == []


def test_a_log_of_a_newer_lotor_is_refused(store: Store, clock: SetClock) -> None:
    store.close()
    with sqlite3.connect(store.folder / DATABASE) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Lotor"):
        Store(store.folder, clock)
    assert list(store.folder.glob(f"{DAMAGED}*")) == []
    with sqlite3.connect(store.folder / DATABASE) as db:
        db.execute(f"PRAGMA user_version = {version}")
    Store(store.folder, clock).close()


def test_a_folder_that_vanishes_gives_no_receipts(store: Store) -> None:
    store.record(decision(NOON))
    away = store.folder.with_name("away")
    store.folder.rename(away)
    for _ in range(2):
        with pytest.raises(StoreError, match="is gone"):
            store.record(decision(NOON + 1))
        with pytest.raises(StoreError, match="is gone"):
            store.events(1)
        assert not store.folder.exists()
    away.rename(store.folder)
    made = decision(NOON + 2)
    store.record(made)
    assert store.decision(made.id) == made
    assert len(store.decisions_between(0, 9e9)) == 2


def test_a_command_beside_a_running_sentinel(store: Store, clock: SetClock, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no sentinel has remembered anything"):
        Store(tmp_path / "else", clock, alone=False)
    assert not (tmp_path / "else").exists()
    one = visit(NOON)
    store.save_event(one)
    beside = Store(store.folder, clock, alone=False)
    assert beside.open_events() == [one]
    beside.close()
    store.save_event(replace(one, end=NOON + 1))


def test_a_file_that_cannot_grow(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Always runs; `test_sentinel_power_loss.py` has a disk that is really full."""
    before = decision(NOON)
    store.record(before)
    size = (store.folder / f"{DATABASE}-wal").stat().st_size
    refused = 0
    for room in (0, size, size + 100, size + 2000, size + 4096):
        made = decision(NOON + room)
        with full_disk(room), pytest.raises(StoreError, match="cannot be used: disk I/O error"):
            while True:
                store.record(made)
                made = decision(NOON + room)
        refused += 1
        assert store.decision(made.id) is None
        store.record(made)
        assert store.decision(made.id) == made
    assert refused == 5
    with sqlite3.connect(store.folder / DATABASE) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_lost_connection_is_opened_again_once_there_is_room(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the folder's lock is taken anew while there is no room."""
    store.record(decision(NOON))
    with full_disk(0):
        for _ in range(3):
            with pytest.raises(StoreError, match="disk I/O error"):
                store.record(decision(NOON))
            assert store._database._db is None
    store.record(decision(NOON))
    assert len(store.decisions_between(0, 9e12)) == 2
    with pytest.raises(StoreError, match="another sentinel"):
        Store(store.folder, SetClock(NOON))


def test_a_disk_that_is_full_for_long_does_not_fill_the_journal(
    store: Store, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    first = decision(NOON)
    store.record(first)
    store.extend(replace(first, until=NOON + 1))
    with full_disk(0):
        for _ in range(40):
            clock.advance(5.0)
            threading.Event().wait(0.02)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_database_that_is_full(store: Store) -> None:
    """SQLITE_FULL, as from a disk: all or nothing, and it goes on once there is room."""
    assert store._database._db is not None
    (pages,) = store._database._db.execute("PRAGMA page_count").fetchone()
    store._database._db.execute(f"PRAGMA max_page_count = {pages}")
    kept = list[Decision]()
    with pytest.raises(StoreError, match="the disk is full; make room"):
        while True:
            kept.append(recorded(store, decision(NOON + len(kept), "e")))
    assert store.decisions("e") == kept
    grown = replace(kept[0], until=NOON + 99, last=99)
    store.extend(grown)
    with pytest.raises(StoreError):
        store.save_event(visit(NOON, label="x" * 100_000))
    assert store.decision(kept[0].id) == kept[0]  # not half of that change
    store._database._db.execute("PRAGMA max_page_count = 1000000")
    store.record(decision(NOON, "f"))
    assert store.decision(kept[0].id) == grown  # what was gathered is not lost


def test_a_change_that_fails_halfway_leaves_nothing(store: Store) -> None:
    first = decision(NOON)
    store.record(first)
    store.extend(replace(first, until=NOON + 5))
    with pytest.raises(StoreError):
        store.save_event(visit(NOON, track=object()))
    for odd in ("\udc80", 2**70):
        with pytest.raises(StoreError):
            store.save_event(visit(NOON, label=odd, frames=odd))
    assert store.decision(first.id) == first
    with pytest.raises(StoreError, match="UNIQUE"):
        store.record(first)
    store.flush()
    assert store.decision(first.id) == replace(first, until=NOON + 5)


def test_how_long_it_was_in_use(tmp_path: Path) -> None:
    """No clock that is set makes anything old; days off count as one at most."""
    clock = SetClock(NOON)
    store = Store(tmp_path / "log", clock)
    clock.advance(100)
    clock.jump(10 * 365 * DAY)
    assert store.age() == 100
    store.close()
    for off, then in ((50, 150), (10 * DAY, 150 + DAY), (-9999, 150 + DAY)):
        clock.jump(off)
        store = Store(tmp_path / "log", clock)
        assert store.age() == pytest.approx(then)
        store.close()


def kinds(store: Store) -> list[tuple[str, bool, bool]]:
    return [(start.action, start.test, start.first) for start in store.starts(DAY)]


def test_what_was_switched_on_is_known_over_restarts_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    """Only time in use lets it grow old: neither a clock that is set, nor days without power."""
    clock = SetClock(NOON)
    store = Store(tmp_path / "log", clock)
    one, other = decision(NOON), decision(NOON + 1)
    for act in (
        Act(one.id, "siren", NOON, None, "running"),
        Act(one.id, "lamp", NOON, NOON, "refused", "it is on already"),
        Act(one.id, "hose", NOON, NOON, "dry run"),
        Act(None, "hose", NOON, None, "running"),
        Act(other.id, "hose", NOON, NOON, "failed", "it could not be put on record"),
    ):
        store.note(act)
    store.note(Act(one.id, "siren", NOON, NOON + 5, "done"))
    ago = 0.0
    for jump in (-50 * 365 * DAY, 51 * 365 * DAY, DAY / 2, 0.0):
        clock.advance(100)
        ago += 100
        store.close()
        clock.jump(jump)
        store = Store(tmp_path / "log", clock)
        assert kinds(store) == [
            ("siren", False, True), ("hose", False, False), ("hose", True, False),
        ]  # fmt: skip
        assert [start.ago for start in store.starts(DAY)] == pytest.approx([ago] * 3)
    store.forget(0, 9e12)
    assert store.acts(0) == [] and len(store.starts(DAY)) == 3  # to be forgotten is no way out
    assert store.starts(399) == []
    clock.advance(DAY)
    store.note(Act(other.id, "hose", NOON, NOON, "dry run"))
    assert len(store.starts(9e9)) == 1  # it does not grow for ever
    store.close()


def test_a_crash_makes_nothing_that_was_switched_on_older(tmp_path: Path) -> None:
    clock = SetClock(NOON)
    store = Store(tmp_path / "log", clock)
    clock.advance(500)
    store.note(Act("d", "siren", NOON, None, "running"))
    clock.advance(50)
    shutil.copytree(store.folder, tmp_path / "cut")
    store.close()
    again = Store(tmp_path / "cut", clock)
    assert again.starts(DAY) == [Start("siren", False, True, 0.0)]
    clock.advance(100)
    assert [start.ago for start in again.starts(DAY)] == pytest.approx([100])  # nor younger
    again.close()


def test_what_a_log_of_before_has_counts(store: Store, clock: SetClock) -> None:
    clock.advance(1000)
    store.note(Act("d", "siren", NOON, NOON, "dry run"))
    store.note(Act("d", "hose", NOON, NOON, "dry run"))
    store.note(Act(None, "siren", NOON, NOON, "dry run"))
    clock.advance(10)
    store.close()
    with sqlite3.connect(store.folder / DATABASE) as db:
        db.execute("DROP TABLE start")
        db.execute("UPDATE setting SET value = json_remove(value, '$[2]') WHERE name = 'age'")
        db.execute("PRAGMA user_version = 1")
    again = Store(store.folder, clock)
    assert kinds(again) == [
        ("siren", False, True), ("hose", False, False), ("siren", True, False),
    ]  # fmt: skip
    assert [start.ago for start in again.starts(DAY)] == pytest.approx([10] * 3)
    again.close()


@pytest.mark.parametrize("how", ["gone", "empty", "damaged"])
def test_a_log_in_the_place_of_one_that_was_lost_says_so(
    how: str, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.setting(LOST) is None
    store.set_setting("armed", "no")
    store.close()
    path = store.folder / DATABASE
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "empty" else b"x" * 9000)
    opened: list[str] = []

    def cut(self: Database, db: sqlite3.Connection, lost: str) -> None:
        migrate(self, db, lost)
        opened.append(lost)
        raise KeyboardInterrupt  # the power goes just after the tables are there

    migrate = Database._migrate
    with monkeypatch.context() as power:
        power.setattr(Database, "_migrate", cut)
        with pytest.raises(KeyboardInterrupt):
            Store(store.folder, clock)
    for _ in range(2):
        again = Store(store.folder, clock)
        assert again.setting("armed") is None
        assert again.setting(LOST) == opened[-1] != ""
        again.close()


def test_what_has_grown_and_cannot_be_written_is_seen(
    tmp_path: Path, clock: SetClock, capsys: pytest.CaptureFixture[str]
) -> None:
    bus, told = Bus(), list[Message]()
    bus.subscribe(told.append)
    store = Store(tmp_path / "log", clock, bus=bus)
    first = decision(NOON)
    store.record(first)
    store.extend(replace(first, until=NOON + 1))
    with full_disk(0):
        end = time.monotonic() + 20
        while not told:
            assert time.monotonic() < end
            clock.advance(5.0)
            time.sleep(0.01)
    store.close()
    (health,) = told
    assert isinstance(health, HealthChanged)
    assert (health.part, health.well, health.blocks) == ("store", False, True)
    assert health.line(None).endswith("disk I/O error; nothing acts meanwhile")


def test_who_hangs_in_the_log_does_not_hold_up_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (database_module, store_module):
        monkeypatch.setattr(module, "_CLOSE_S", 0.2)
    leave, inside = threading.Event(), threading.Event()

    def hang() -> None:
        with store._database.lock:
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    assert inside.wait(20)
    store._database.close()
    assert "is in use and cannot be closed" in caplog.text
    leave.set()
    thread.join()


def test_who_asks_for_the_lock_for_a_moment_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = ExitStack()
    held.enter_context(locked(tmp_path / LOCK, wait=False))
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        held.close()

    monkeypatch.setattr("lotor.sentinel.database.time.sleep", sleep)
    Store(tmp_path, SystemClock()).close()
    assert len(waits) == 1
