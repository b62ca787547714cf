"""What a board's own watch says becomes an event, and maybe a deterrent, by every rule."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.detect import Box
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.board_alarms import BoardAlarms
from lotor.sentinel.bus import Decided, EventChanged
from lotor.sentinel.config import Camera, Config, Deciding, Target, Veto, Zone, check
from lotor.sentinel.daemon import Sentinel
from lotor.sentinel.event import UNKNOWN, Decision
from lotor.sentinel.explain import explain
from lotor.sentinel.models import rescaled
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.rules import Now, Rules
from lotor.sentinel.scene import Detection, Frame
from lotor.sentinel.sources import BoardEvent, Seen
from lotor.sentinel.store import StoreError
from lotor.zoo import find_model
from test_sentinel_daemon import Night, wait_for

HASH = hashlib.sha256(find_model("raccoon").path.read_bytes()).hexdigest()
EMPTY = np.full((120, 160, 3), 90, np.uint8)
SEEN = Seen(
    board="nano33ble-ov7670",
    model="raccoon",
    hash=HASH,
    score=0.93,
    least=0.66,
    votes=4,
    enough=True,
    held="",
    person=False,
    person_score=0.01,
    unknown=False,
    frame=12,
    box=None,
    size=(160, 120),
    monotonic=0.0,
    image=EMPTY,
    image_frame=12,
)


class Shed:
    """A sentinel with a board in the shed, and a camera of its own in the garden.

    Attributes:
        person: the veto model's score of whatever it is shown.
    """

    def __init__(self, night: Night, **changes: Any) -> None:
        self.night, self.person, self.told = night, 0.01, 0
        cameras = (Camera("shed", "board:nano33ble-ov7670"), Camera("garden", "0"))
        changed = dataclasses.replace(night.config, **{"camera": cameras} | changes)
        night.config = check(changed, "the test")

    def say(self, sentinel: Sentinel, kind: str = "alarm", **changes: Any) -> Decision | None:
        """Let the board say something; return the decision about it, if one was told."""
        clock, before = self.night.clock, len(self.night.decisions)
        sentinel.models.person = lambda image, box=None: self.person  # type: ignore[method-assign]
        seen = dataclasses.replace(SEEN, monotonic=clock.monotonic())
        seen = dataclasses.replace(seen, **changes)
        self.told += 1
        sentinel.heed(BoardEvent("shed", clock.now(), self.told, kind, "score", seen))
        made = self.night.decisions[before:]
        assert len(made) <= 1
        return made[0] if made else None

    def look(self, sentinel: Sentinel) -> None:
        """Let the camera in the garden see nothing."""
        sentinel.models.person = lambda image, box=None: self.person  # type: ignore[method-assign]
        now = self.night.clock.now(), self.night.clock.monotonic()
        sentinel.see(Frame("garden", 1, *now, EMPTY))


class Asked:
    """Models of which only that of people is there: it sees nobody."""

    veto: tuple[str, float] | None = ("person", 0.129)
    whole = 0

    def choose(self, *_: object) -> None:
        raise AssertionError("a board's word takes the place of what a model says")

    def person(self, image: Image, box: Box | None = None) -> float:
        self.whole += box is None
        return 0.01

    def person_by(self, detection: Detection) -> float | None:
        score = detection.scores.get("person")
        return None if score is None else rescaled(score, 0.5, 0.129)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(tmp_path, monkeypatch)


@pytest.fixture
def shed(night: Night) -> Shed:
    return Shed(night)


@pytest.fixture
def sentinel(shed: Shed) -> Iterator[Sentinel]:
    with shed.night.watched() as sentinel:
        shed.night.settle(sentinel)
        yield sentinel


def against(decision: Decision | None) -> set[str]:
    assert decision is not None
    return {check.rule for check in decision.checks if not check.passed}


def why(decision: Decision | None, rule: str) -> str:
    assert decision is not None
    return next(check.why for check in decision.checks if check.rule == rule)


def test_an_alarm_is_an_event_with_the_boards_frame_and_sets_the_siren_off(
    shed: Shed, sentinel: Sentinel
) -> None:
    decision = shed.say(sentinel)
    assert decision is not None and decision.actions == ("siren",) and against(decision) == set()
    assert decision.model == "raccoon on nano33ble-ov7670"
    assert why(decision, "board") == (
        "the board nano33ble-ov7670 saw raccoon by its own model raccoon in frame 12; the picture "
        "is that frame"
    )
    assert "the board's own voting: 4 of its last frames" in why(decision, "votes")
    assert why(decision, "person").startswith("person sees nobody")
    wait_for(lambda: shed.night.siren.calls == ["on raccoon 3"])
    assert shed.night.siren.reasons == [('["siren"]',)]  # on record before
    assert sentinel.media.idle(120)
    (event,) = sentinel.store.events(9)
    assert (event.camera, event.label, event.score) == ("shed", "raccoon", 0.93)
    assert event.picture and (sentinel.store.folder / event.picture).is_file()
    assert [d.id for d in sentinel.store.decisions(event.id)] == [decision.id]
    assert sentinel.counters()["board alarms"] == sentinel.counters()["events"] == 1
    latest = sentinel.latest("shed")
    assert latest is not None and latest.frame.image is EMPTY


@pytest.mark.parametrize(
    ("changes", "rule", "said"),
    [
        ({}, None, ""),
        ({"held": "it sees a person"}, "board", "holds its alarm back: it sees a person"),
        ({"monotonic": 88.0}, "board", "that was 12 s ago"),
        ({"hash": "00"}, "known", "none that is known here"),
        ({"model": "nosuch"}, "known", "none that is known here"),
        ({"unknown": True}, "known", "unlike what raccoon"),
        ({"score": 0.5}, "score", "says raccoon 50 %; 66 % is needed"),
        ({"score": 0.5, "least": 0.1}, "score", "60 % is needed"),  # the configuration's
        ({"enough": False}, "votes", "not enough there"),
        ({"image": None}, "person", "gave no frame on which person could look for a person"),
        ({"person": True}, "person", "may show a person"),
        ({"person_score": 0.8}, "person", "a person is in view of shed"),
    ],
)
def test_each_rule_holds_for_a_board_too(changes: dict[str, Any], rule: str, said: str) -> None:
    config = Config(
        camera=(Camera("shed", "board:x"),),
        target=(Target("raccoon", threshold=0.6, actions=("siren",)),),
    )
    asked = Asked()
    alarms = BoardAlarms(config, Rules(config, lambda *_: 0.5))
    seen = dataclasses.replace(SEEN, **{"monotonic": 100.0} | changes)
    event = BoardEvent("shed", 1_790_000_000.0, 1, "alarm", "", seen)
    scene = alarms.look(event, seen, Pipeline(config.camera[0], config, asked))
    # Without `others_suffice` other cameras that look are no help.
    (decision,) = alarms.decide(event, seen, scene, Now(looking=("yard",)), 100.0)
    assert asked.whole == (seen.image is not None)
    known = "hash" not in changes and "model" not in changes
    # What nothing is known of is no target either.
    assert against(decision) == {rule for rule in (rule, None if known else "actions") if rule}
    assert decision.actions == (() if rule else ("siren",))
    if rule:
        assert said in why(decision, rule)
    assert decision.label == ("raccoon" if known else UNKNOWN)


@pytest.mark.parametrize(("score", "said"), [(0.7, "a person is in view"), (math.nan, "person")])
def test_a_person_on_the_boards_frame_forbids_and_keeps_no_picture(
    score: float, said: str, shed: Shed, sentinel: Sentinel
) -> None:
    shed.person = score
    decision = shed.say(sentinel)
    assert against(decision) == {"person"} and said in why(decision, "person")
    shed.person = 0.01
    shed.night.clock.advance(1)
    later = shed.say(sentinel, frame=13, image=None, held="it alarmed just now")
    assert against(later) == {"board", "person"}  # remembered
    assert sentinel.media.idle(120)
    (event,) = sentinel.store.events(9)
    assert event.picture is None and shed.night.siren.calls == []


def test_a_person_seen_elsewhere_forbids(shed: Shed, sentinel: Sentinel) -> None:
    shed.say(sentinel)  # which lets `person` say what it sees
    shed.person = 0.9
    now = shed.night.clock.now(), shed.night.clock.monotonic()
    frame = Frame("garden", 1, *now, EMPTY)
    seen = sentinel._pipelines["garden"].look_for_people(frame, [])
    assert seen.person is not None and seen.person > 0.6  # as on a frame on which something moves
    sentinel._rules.decide(seen, Now())
    shed.person = 0.01
    decision = shed.say(sentinel, frame=13)
    assert "a person is in view of garden" in why(decision, "person")
    assert decision is not None and not decision.actions


def test_a_board_that_sees_a_person_stops_what_is_on_and_leaves_no_event(
    shed: Shed, sentinel: Sentinel
) -> None:
    shed.say(sentinel)
    wait_for(lambda: shed.night.siren.calls == ["on raccoon 3"])
    person = find_model("person")
    hash = hashlib.sha256(person.path.read_bytes()).hexdigest()
    assert shed.say(sentinel, model="person", hash=hash, image=None) is None
    wait_for(lambda: shed.night.siren.calls == ["on raccoon 3", "off"])
    assert len(sentinel.store.events(9)) == 1


def test_disarmed_and_cool_down_and_quiet_hours_hold(tmp_path: Path, shed: Shed) -> None:
    shed.night.config = dataclasses.replace(
        shed.night.config, deciding=Deciding(quiet_hours=("00:00-23:59",))
    )
    with shed.night.watched() as sentinel:
        shed.night.settle(sentinel)
        sentinel.arm(False, "the test")
        assert against(shed.say(sentinel)) == {"armed", "quiet hours"}
    shed.night.config = dataclasses.replace(shed.night.config, deciding=Deciding())
    with shed.night.watched() as sentinel:
        shed.night.settle(sentinel)
        sentinel.arm(True, "the test")
        assert against(shed.say(sentinel)) == set()
        assert against(shed.say(sentinel, frame=13)) == {"cool-down"}


def test_words_of_one_visit_are_one_event_until_the_board_is_quiet(
    shed: Shed, sentinel: Sentinel
) -> None:
    sentinel.arm(False, "the test")
    first = shed.say(sentinel, image=None)
    for number in range(13, 16):
        shed.night.clock.advance(10)
        assert shed.say(sentinel, frame=number, image=None) is None  # the same one goes on
        sentinel.tidy()
    sentinel.store.flush()
    (decision,) = sentinel.store.decisions((first and first.event) or "")
    assert (decision.frames, decision.last) == (4, 15)
    assert [change.event.end for change in shed.night.of(EventChanged)] == [None]
    assert all(state.well for state in sentinel.health()) and sentinel.latest("shed") is None
    # Its first picture may come late, and with a lower score.
    shed.say(sentinel, "held", frame=16, score=0.9, held="it alarmed just now")
    assert sentinel.media.idle(120)
    assert sentinel.store.events(9)[0].picture
    shed.night.clock.advance(30)
    sentinel.tidy()
    assert shed.night.of(EventChanged)[-1].event.end is not None
    again = shed.say(sentinel, frame=17, image=None)
    assert first and again and again.event != first.event
    for seconds, over in ((29, False), (1, True)):
        shed.night.clock.advance(seconds)
        sentinel.tidy()
        event = sentinel.store.event(again.event or "")
        assert event is not None and (event.end is not None) == over


def test_other_cameras_suffice_only_by_the_configuration_and_while_they_look(
    night: Night,
) -> None:
    shed = Shed(night, veto=Veto(threshold=0.6, others_suffice=True))
    with night.watched() as sentinel:
        night.settle(sentinel)
        decision = shed.say(sentinel, image=None)
        assert "no other camera looks now" in why(decision, "person")
        shed.look(sentinel)
        night.clock.advance(4)
        assert "person" in against(shed.say(sentinel, image=None, frame=13) or decision)
        shed.look(sentinel)
        decision = shed.say(sentinel, image=None, frame=14)
        assert against(decision) == set()
        assert "nobody is seen on garden, which suffices" in why(decision, "person")
        wait_for(lambda: night.siren.calls == ["on raccoon 3"])
        # As nobody looks, it ends, though it is on for three seconds at most anyway.
        night.clock.advance(3)
        wait_for(lambda: night.siren.calls == ["on raccoon 3", "off"])


@pytest.mark.parametrize(
    ("looking", "passes"), [((), False), (("shed",), False), (("yard",), True)]
)
def test_a_board_is_no_other_camera_of_its_own(looking: tuple[str, ...], passes: bool) -> None:
    config = Config(camera=(Camera("shed", "board:x"),), veto=Veto(others_suffice=True))
    alarms = BoardAlarms(config, Rules(config, lambda *_: 0.5))
    seen = dataclasses.replace(SEEN, monotonic=100.0, image=None)
    event = BoardEvent("shed", 1_790_000_000.0, 1, "alarm", "", seen)
    scene = alarms.look(event, seen, Pipeline(config.camera[0], config, Asked()))
    (decision,) = alarms.decide(event, seen, scene, Now(looking=looking), 100.0)
    assert ("person" not in against(decision)) == passes


def test_without_a_model_of_people_a_board_sets_nothing_off(night: Night) -> None:
    shed = Shed(night, veto=Veto(model=""))
    with night.watched() as sentinel:
        night.settle(sentinel)
        assert against(shed.say(sentinel)) == {"person"}
    with pytest.raises(LotorError, match=r"others_suffice' needs 'veto.model'"):
        check(dataclasses.replace(night.config, veto=Veto("", others_suffice=True)), "it")


def test_a_target_with_zones_needs_to_know_where(night: Night) -> None:
    zone = Zone("pond", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    cameras = (Camera("shed", "board:nano33ble-ov7670", zone=(zone,)),)
    target = Target("raccoon", zones=("pond",), actions=("siren",))
    shed = Shed(night, camera=cameras, target=(target,))
    with night.watched() as sentinel:
        night.settle(sentinel)
        assert "does not say where" in why(shed.say(sentinel), "zone")
        night.clock.advance(31)
        sentinel.tidy()  # another visit
        assert "it is in no zone" in why(shed.say(sentinel, box=(0, 0, 80, 50)), "zone")
        assert "zone" not in against(shed.say(sentinel, box=(0, 60, 80, 110)))
    assert any(
        "does not say where" in line for line in explain(night.config, night.folder).warnings
    )


def test_what_cannot_be_put_on_record_sets_nothing_off(
    shed: Shed, sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(decision: Decision) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sentinel.store, "record", full)
        assert shed.say(sentinel) is None
        assert shed.say(sentinel, frame=13) is None
    assert shed.night.siren.calls == []
    assert any(state.part == "store" and not state.well for state in sentinel.health())
    # It is made anew, and the store must be well first.
    assert against(shed.say(sentinel, frame=14)) == {"health"}
    assert against(shed.say(sentinel, frame=15)) == set()


def test_only_what_a_board_sees_is_an_event(shed: Shed, sentinel: Sentinel) -> None:
    assert shed.say(sentinel, "frame") is None
    sentinel.heed(BoardEvent("shed", 1.0, 7, "error", "no frame comes"))
    assert not shed.night.of(Decided) and sentinel.store.events(9) == []
    assert sentinel.counters()["board alarms"] == 0


def test_frames_of_alarms_are_for_boards_alone() -> None:
    with pytest.raises(LotorError, match="only a board tells of alarms"):
        check(Config(camera=(Camera("garden", "0", frames="alarms"),)), "it")
    check(Config(camera=(Camera("shed", "board:pico", frames="alarms"),)), "it")
