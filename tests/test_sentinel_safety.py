"""The sentinel as a whole on scenes that are made up: when a deterrent is off, and what is told."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lotor.sentinel import daemon
from lotor.sentinel.bus import Acted, ArmedChanged, Decided, EventChanged, HealthChanged
from lotor.sentinel.capture import Capture
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config, Deciding, Store, Veto
from lotor.sentinel.daemon import Sentinel, store_folder
from lotor.sentinel.event import Act, Decision
from lotor.sentinel.retention import Retention
from lotor.sentinel.scene import Scene, Track
from lotor.sentinel.sources import BoardEvent
from lotor.sentinel.store import StoreError
from lotor.sentinel.worker import Worker
from sentinel_scenes import raccoon, scene
from test_sentinel_daemon import Night, wait_for

HOLD_S = 30.0


class House(Night):
    """A night whose scenes are ours as well: nothing is looked at."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        self.set(action=(replace(self.config.action[0], for_s=100, max_on_s=100),))
        self.set(deciding=Deciding(cooldown_s=60), veto=Veto(hold_s=HOLD_S))

    def set(self, **keys: Any) -> None:
        self.config = replace(self.config, **keys)

    @contextmanager
    def watched(self) -> Iterator[Sentinel]:
        with super().watched() as sentinel:
            wait_for(lambda: sentinel.guard.settled)
            yield sentinel

    def see(
        self, sentinel: Sentinel, scores: Mapping[str, float] | None = None, **more: Any
    ) -> Scene:
        """Let half a second pass, and a frame come."""
        self.clock.advance(0.5)
        at = {"monotonic": self.clock.monotonic(), "wall": self.clock.now()} | more
        self.number += 1
        seen = scene(scores=scores, number=self.number, **at)
        return self.show(sentinel, seen)

    def show(self, sentinel: Sentinel, seen: Scene) -> Scene:
        looks: Any = SimpleNamespace(look=lambda frame: seen)
        sentinel._pipelines["garden"] = looks
        return sentinel.see(seen.frame)

    def howl(self, sentinel: Sentinel) -> None:
        """Let a raccoon come, and the siren be on."""
        before = len(self.siren.calls)
        for _ in range(3):
            self.see(sentinel, raccoon(0.9))
        wait_for(lambda: self.siren.calls[before:] == ["on raccoon 100"])

    def ended(self) -> Act:
        """Wait until the siren is off; return its act."""
        wait_for(lambda: self.siren.calls[-1] == "off")
        wait_for(lambda: self.acts[-1].end is not None)
        return self.acts[-1]

    @property
    def acts(self) -> list[Act]:
        return [message.act for message in self.of(Acted)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def against(decision: Decision) -> set[str]:
    return {check.rule for check in decision.checks if not check.passed}


def state(sentinel: Sentinel, part: str) -> HealthChanged:
    return next(state for state in sentinel.health() if state.part == part)


def test_who_ends_it_ends_what_is_on(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
    assert house.siren.calls[-1] == "off"
    with house.watched() as sentinel:
        (act,) = sentinel.store.acts(0)
        assert (act.result, act.why) == ("done", "the sentinel ends")  # on record, after all


def test_an_internal_error_ends_what_is_on_and_forbids_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        with monkeypatch.context() as broken:

            def fail(*arguments: Any) -> None:
                raise ZeroDivisionError("by nothing")

            broken.setattr(sentinel._rules, "decide", fail)
            house.see(sentinel, raccoon(0.9))
        assert "internal error" in house.ended().why
        told = state(sentinel, "sentinel")
        assert not told.well and "ZeroDivisionError: by nothing" in told.text
        assert sentinel.test("siren", "the test").result == "refused"
        house.clock.advance(daemon.TROUBLE_S - 10)
        for _ in range(10):
            house.see(sentinel, raccoon(0.9), track=2)
        assert len(house.siren.calls) == 2 and "health" in against(house.decisions[-1])
        house.clock.advance(10)
        house.howl(sentinel)
        assert state(sentinel, "sentinel").well


def test_nothing_stays_on_while_nobody_looks(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        house.clock.advance(2.5)
        threading.Event().wait(0.1)
        assert house.siren.calls[-1] != "off"
        house.clock.advance(1)
        assert "no frame is looked at" in house.ended().why


def test_nothing_acts_that_cannot_be_put_on_record(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        with monkeypatch.context() as full:

            def fail(decision: Decision) -> None:
                raise StoreError("the disk is full")

            full.setattr(sentinel.store, "record", fail)
            for _ in range(5):
                house.see(sentinel, raccoon(0.9))
            told = state(sentinel, "store")
            assert not told.well and told.blocks and "the disk is full" in told.text
        assert house.siren.calls == [] and house.decisions == []
        house.see(sentinel, raccoon(0.9))
        assert state(sentinel, "store").well
        house.see(sentinel, raccoon(0.9))
        wait_for(lambda: bool(house.siren.calls))
        stored = {d.id for d in house.decisions}
        assert stored and all(sentinel.store.decision(id) for id in stored)


def test_an_event_that_cannot_be_recorded_is_told_once_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        with monkeypatch.context() as full:

            def fail(event: Any) -> None:
                raise StoreError("the disk is full")

            full.setattr(sentinel.store, "save_event", fail)
            for _ in range(5):
                house.see(sentinel, raccoon(0.9))
            house.see(sentinel, ended=[1])
            assert not house.of(EventChanged) and sentinel.store.events(9) == []
        house.see(sentinel)
        (change, *_) = house.of(EventChanged)
        assert change.began and change.event.end is not None
        (event,) = sentinel.store.events(9)
        assert event.id == change.event.id


def test_disarmed_is_remembered_over_a_restart(house: House) -> None:
    with house.watched() as sentinel:
        assert sentinel.armed
        sentinel.arm(False, "the test")
        assert house.of(ArmedChanged) == [ArmedChanged(False, "the test")]
        for _ in range(5):
            house.see(sentinel, raccoon(0.9))
        assert house.siren.calls == [] and against(house.decisions[-1]) == {"armed"}
    with house.watched() as sentinel:
        assert not sentinel.armed
        sentinel.arm(True, "the test")
        house.howl(sentinel)
    with house.watched() as sentinel:
        assert sentinel.armed


def test_cool_down_is_kept_over_a_restart(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
    assert house.siren.calls[-1] == "off"
    house.clock = SetClock(house.clock.now() + 40)  # a new process: a monotonic clock of its own
    with house.watched() as sentinel:
        for _ in range(5):
            house.see(sentinel, raccoon(0.9))
        assert len(house.siren.calls) == 2 and against(house.decisions[-1]) == {"cool-down"}
        house.clock.advance(60)  # only the time counts that it ran: no wall clock is trusted
        house.howl(sentinel)


def test_a_visit_ends_when_its_camera_is_lost(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        last = house.clock.now()
        house.clock.advance(daemon.LOST_S - 1)
        sentinel.tidy()
        assert sentinel.store.open_events() and daemon.LOST_S == 30
        house.clock.advance(2)
        sentinel.tidy()
        (event,) = sentinel.store.events(9)
        assert event.end == last


def test_what_comes_after_a_visit_was_ended_leaves_it_as_it_was(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        house.clock.advance(31)
        sentinel.tidy()
        (first,) = sentinel.store.events(9)
        for _ in range(4):
            house.see(sentinel, raccoon(0.9))  # the camera is back, and so is the raccoon
        other, again = sentinel.store.events(9)
        assert (again.id, again.begin, again.end) == (first.id, first.begin, first.end)
        assert again.frames == first.frames and again.actions == first.actions == ("siren",)
        assert other.begin > first.begin and other.end is None
        sentinel.finish()
        ended = [(event.id, event.begin, event.frames) for event in sentinel.store.events(9)]
        for _ in range(2):
            house.see(sentinel, raccoon(0.9))  # frames that were under way
        assert ended == [(e.id, e.begin, e.frames) for e in sentinel.store.events(9)]


def test_a_film_may_be_looked_at_more_slowly_than_it_was_taken(house: House) -> None:
    with house.watched() as sentinel:
        for number in range(30):
            house.clock.advance(4.0)
            house.show(sentinel, scene(number * 0.5, raccoon(0.9)))
            sentinel.tidy()
        sentinel.finish()
        (event,) = sentinel.store.events(9)
        assert event.end is not None and event.end - event.begin == 14.5


def test_a_camera_whose_frames_cannot_be_looked_at_keeps_nothing_on(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        for _ in range(8):
            house.see(sentinel, raccoon(0.9), errors=["broken"])
        assert "no frame is looked at" in house.ended().why
        assert not state(sentinel, "looking at garden").well
        house.see(sentinel)
        assert state(sentinel, "looking at garden").well


def test_what_is_looked_at_stays_on(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        for _ in range(20):
            house.see(sentinel)
        assert house.siren.calls[-1] != "off"


def test_nobody_tries_it_while_a_person_may_be_there(house: House) -> None:
    with house.watched() as sentinel:
        house.see(sentinel, person=0.9)
        house.clock.advance(HOLD_S - 1)
        act = sentinel.test("siren", "the test")
        assert act.result == "refused" and "a person" in act.why
        assert sentinel.counters()["refused"] == 1 and sentinel.store.acts(0) == [act]
        house.clock.advance(2)
        assert sentinel.test("siren", "the test").result == "running"


def test_a_person_in_a_film_holds_up_the_film_alone(house: House) -> None:
    """A minute of it goes by at once."""
    with Sentinel(house.config, house.folder, house.clock, once=True) as sentinel:
        sentinel.bus.subscribe(house._hear)
        for at, scores, person in (
            (0, None, 0.9), (50, raccoon(0.9), 0), (50.5, raccoon(0.9), 0), (51, raccoon(0.9), 0),
        ):  # fmt: skip
            house.show(sentinel, scene(at, scores, person=person))
        (act,) = house.acts
        assert act.result == "dry run"


def test_a_file_that_says_disarmed_is_believed_at_first(house: House) -> None:
    house.set(armed=False)
    with house.watched() as sentinel:
        assert not sentinel.armed
        for _ in range(5):
            house.see(sentinel, raccoon(0.9))
        assert house.siren.calls == []
        sentinel.arm(True, "the test")
    with house.watched() as sentinel:
        assert sentinel.armed


def test_it_is_disarmed_before_and_armed_after_that_is_on_record(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        armed: list[bool] = []
        monkeypatch.setattr(sentinel.store, "set_setting", lambda *_: armed.append(sentinel.armed))
        sentinel.arm(False, "the test")
        sentinel.arm(True, "the test")
        assert armed == [False, False]


def test_all_that_a_target_names_is_set_off_and_on_record(house: House) -> None:
    siren, raccoons = house.config.action[0], house.config.target[0]
    house.set(
        action=(siren, replace(siren, name="lamp")),
        target=(replace(raccoons, actions=("siren", "lamp")),),
    )
    with house.watched() as sentinel:
        for _ in range(3):
            house.see(sentinel, raccoon(0.9))
        wait_for(lambda: len(house.siren.calls) == 2)
        (acting,) = (d for d in house.decisions if d.acts)
        assert {act.action for act in sentinel.store.acts_of(acting.id)} == {"siren", "lamp"}


def test_the_cap_of_a_night_holds_from_noon_to_noon(house: House) -> None:
    house.set(deciding=Deciding(cooldown_s=0, per_night=2))
    house.clock = SetClock(datetime(2026, 9, 21, 12, 30).timestamp())
    with house.watched() as sentinel:
        for _ in range(2):
            house.howl(sentinel)
            house.see(sentinel, person=0.9, ended=[1])
            house.ended()
            house.clock.advance(300)
        for hours, acts in ((13, 2), (12, 3)):
            house.clock.advance(hours * 3600)
            for _ in range(3):
                house.see(sentinel, raccoon(0.9), track=hours)
            assert [d.acts for d in house.decisions].count(True) == acts
            if acts == 2:
                assert "acted 2 times this night; 2 are allowed" in house.decisions[-1].why


def test_no_picture_is_kept_of_a_frame_that_shows_a_person(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        kept: list[int] = []
        monkeypatch.setattr(sentinel.media, "picture", lambda _, frame: kept.append(frame.number))
        for score in (0.7, 0.7, 0.7):
            house.see(sentinel, raccoon(score))
        assert kept == [3]
        house.see(sentinel, raccoon(0.99), person=0.9)  # the best by far
        house.see(sentinel, raccoon(0.8), zones=["pond"])  # news, but not the best
        assert [c.event.score for c in house.of(EventChanged)] == [0.7, 0.99, 0.99]
        assert kept == [3]


def test_frames_that_were_looked_at_are_kept_for_clips(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        kept: list[tuple[int, bool]] = []
        monkeypatch.setattr(
            sentinel.media, "see", lambda frame, moving: kept.append((frame.number, moving))
        )
        house.see(sentinel, raccoon(0.9))
        house.see(sentinel, errors=["broken"])
        still = house.see(sentinel)
        house.show(sentinel, replace(still, moving=()))
        assert kept == [(1, True), (3, True), (3, False)]


def test_a_visit_that_ends_while_nothing_can_be_recorded_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)

        def full(decision: Decision) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(sentinel.store, "record", full)
        house.see(sentinel, raccoon(0.9), track=2, ended=[1])
        assert any(change.event.end for change in house.of(EventChanged))
        assert sentinel.store.open_events() == []


def test_decisions_that_could_not_be_recorded_are_made_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.watched() as sentinel:
        seen = scene(1.0, raccoon(0.1))
        both = (seen.tracks[0], replace(seen.tracks[0], number=2))
        with monkeypatch.context() as full:

            def fail(decision: Decision) -> None:
                raise StoreError("the disk is full")

            full.setattr(sentinel.store, "record", fail)
            for t in (1, 2):  # on the second one the store is known to be ill
                house.show(sentinel, at(seen, t, both))
            assert house.decisions == []
        for t in (3, 4, 5):  # on the second of these it is known to be well
            last = house.show(sentinel, at(seen, t, both))
            if t == 3:
                found = sentinel.store.decisions_between(0, 9e9)
                assert [d.track for d in found] == [1, 2] and house.decisions == found
        sentinel.store.flush()
        found = sentinel.store.decisions_between(0, 9e9)
        assert [(d.frames, d.until) for d in found[2:]] == [(2, last.frame.time)] * 2
        assert len(house.of(Decided)) == sentinel.counters()["decisions"] == 4  # news alone


def at(seen: Scene, seconds: int, tracks: tuple[Track, ...]) -> Scene:
    time = seen.frame.time + seconds
    frame = replace(seen.frame, time=time, monotonic=float(seconds), number=seconds)
    return replace(seen, frame=frame, tracks=tracks)


class Stub:
    """A capture that gives no frame, and does what a test wants each time it is asked for one."""

    def __init__(self, turns: Sequence[Any], events: Sequence[BoardEvent] = ()) -> None:
        self.camera, self.turns, self.said = Camera("garden", "0"), list(turns), list(events)

    @property
    def ended(self) -> bool:
        return not self.turns

    def next(self, seconds: float) -> None:
        if self.turns:
            self.turns.pop(0)()

    def events(self) -> list[BoardEvent]:
        said, self.said = self.said, []
        return said


def watch(sentinel: Sentinel, capture: Any) -> None:
    sentinel._threads.append(Worker("camera", lambda: None, sentinel.bus.tell))
    sentinel._threads[-1].start()
    sentinel._watch(capture, 0)


def test_a_camera_that_is_watched_no_longer_forbids_all(house: House) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nothing")

    with house.watched() as sentinel:
        sentinel.once = True  # else it begins anew
        watch(sentinel, Stub([fail]))
        told = state(sentinel, "camera garden")
        assert not told.well and told.blocks and "by nothing" in told.text
        for _ in range(5):
            house.see(sentinel, raccoon(0.9))
        assert house.siren.calls == [] and "watched no longer" in house.decisions[-1].why
        with pytest.raises(ZeroDivisionError):
            sentinel.wait(0)


def test_while_no_frame_comes_visits_end_and_boards_are_heard(house: House) -> None:
    with house.watched() as sentinel:
        house.howl(sentinel)
        said = [BoardEvent("garden", 0.0, n, kind, "") for n, kind in enumerate(("held", "alarm"))]
        ends: list[float | None] = []

        def wait() -> None:
            house.clock.advance(daemon.LOST_S / 2)

        def look() -> None:
            ends.append(sentinel.store.events(1)[0].end)

        watch(sentinel, Stub([wait, look, wait, look, int], said))
        assert ends[0] is None and ends[1] is not None
        assert sentinel.counters()["board alarms"] == 1


def test_what_is_old_is_removed_while_it_watches(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(Retention, "round", lambda self: done.set())
    monkeypatch.setattr(Capture, "next", lambda self, seconds: None)
    monkeypatch.setattr(Capture, "ended", True)
    with house.watched() as sentinel:
        assert not done.is_set()
        sentinel.start_cameras()
        assert done.wait(20)


def test_a_part_that_cannot_end_holds_up_no_other(house: House) -> None:
    closed: list[str] = []

    def fail() -> None:
        closed.append("ill")
        raise RuntimeError("it hangs")

    with house.watched() as sentinel:
        sentinel._parts.append(SimpleNamespace(close=lambda: closed.append("well")))
        sentinel._parts.append(SimpleNamespace(close=fail))
    assert closed == ["ill", "well"]
    with house.watched():  # the folder was given back
        pass


def test_a_start_that_fails_gives_all_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError

    before = set(threading.enumerate())
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(daemon, "Rules", fail)
        Sentinel(house.config, house.folder, house.clock)
    assert set(threading.enumerate()) <= before
    with house.watched():  # the folder was given back
        pass


def test_the_home_folder_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, folder in (("~/kept", tmp_path / "kept"), ("kept", Path("/there/kept"))):
        config = Config(camera=(Camera("garden", "0"),), store=Store(folder=given))
        assert store_folder(config, Path("/there")) == folder
