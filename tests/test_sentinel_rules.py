"""To act or not: each rule alone, and all of them against a second reading of what they say."""

import math
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lotor.sentinel.config import Action, Camera, Config, Deciding, Target, Veto
from lotor.sentinel.event import UNKNOWN, Decision
from lotor.sentinel.hours import within
from lotor.sentinel.rules import Now, Rules, night_of
from lotor.sentinel.scene import Light, Scene, Track
from lotor.sentinel.tracks import LOST_S
from sentinel_scenes import NOON, raccoon, scene

CONFIG = Config(
    camera=(Camera("garden", "0"), Camera("gate", "1")),
    target=(Target("raccoon", threshold=0.6, actions=("bark",)),),
    action=(Action("bark", "sound"),),
    deciding=Deciding(votes=3, of=5, cooldown_s=120, per_night=2),
    veto=Veto(hold_s=30),
)


def rules(config: Config = CONFIG) -> Rules:
    return Rules(config, lambda model, label, light: 0.9)


ALL_WELL = Now()


def decide(judge: Rules, seen: Scene, now: Now = ALL_WELL) -> Decision:
    (made,) = judge.decide(seen, now)
    return made


def against(made: Decision) -> set[str]:
    return {check.rule for check in made.checks if not check.passed}


def watch(judge: Rules, begin: float = 0.0, frames: int = 3, **more: object) -> Decision:
    """Let a raccoon be seen on frames a second apart; return the last decision."""
    for index in range(frames):
        made = decide(judge, scene(begin + index, raccoon(0.8), **more))  # type: ignore[arg-type]
    return made


def test_acts_on_the_third_of_three_votes_and_says_all_that_spoke_for_it() -> None:
    judge = rules()
    first, second, third = (decide(judge, scene(t, raccoon(0.8))) for t in (0.0, 1.0, 2.0))
    assert (first.acts, second.acts, third.acts) == (False, False, True)
    assert against(first) == {"votes"}
    assert third.actions == ("bark",)
    assert third.label == "raccoon" and third.event == first.event is not None
    assert "raccoon says raccoon 80 % by day; 60 % is needed" in third.why
    assert "3 of the last 5 frames say raccoon; 3 are needed" in third.why


def test_a_decision_goes_on_while_the_same_rules_stand_against_it() -> None:
    judge = rules()
    first = decide(judge, scene(0.0, raccoon(0.1)))
    second = decide(judge, scene(1.0, raccoon(0.2)))
    assert second == replace(first, until=NOON + 1, last=10, frames=2)
    third = decide(judge, scene(2.0, raccoon(0.8)))
    assert third.id != first.id and third.frames == 1
    assert first.event is None and first.label is None and third.event is not None


def test_two_that_act_are_two_decisions() -> None:
    judge = rules(replace(CONFIG, deciding=replace(CONFIG.deciding, cooldown_s=0, per_night=9)))
    third = watch(judge)
    fourth = decide(judge, scene(3.0, raccoon(0.8)))
    assert third.acts and fourth.acts and third.id != fourth.id


def test_a_weak_frame_does_not_act_though_the_votes_are_there() -> None:
    judge = rules(replace(CONFIG, deciding=replace(CONFIG.deciding, cooldown_s=0)))
    watch(judge)
    made = decide(judge, scene(3.0, raccoon(0.5)))
    assert against(made) == {"score"} and "raccoon 50 %" in made.why


@pytest.mark.parametrize("person", [0.5, 0.9, math.nan])
def test_a_person_in_view_forbids_it(person: float) -> None:
    made = watch(rules(), person=person)
    assert against(made) == {"person"}
    assert "a person is in view of garden" in made.why


def test_a_person_who_left_forbids_it_for_a_while() -> None:
    judge = rules()
    decide(judge, scene(0.0, raccoon(0.8), person=0.9))
    assert judge.person_left(0.0) == 30 and judge.person_left(29.0) == 1
    assert against(watch(judge, 27.0)) == {"person"}  # until 29
    assert "was in view of garden 29 s ago" in watch(judge, 29.0, frames=1).why
    assert watch(judge, 30.0, frames=1).acts


def test_a_frame_that_may_show_a_person_forbids_it_while_it_is_remembered() -> None:
    config = replace(CONFIG, veto=replace(CONFIG.veto, threshold=0.2))
    judge, veto = rules(config), ("person", 0.2)
    decide(judge, scene(0.0, raccoon(0.8), person=0.3, veto=veto))
    made = watch(judge, 1.0, frames=4, veto=veto)
    assert against(made) == {"person"}
    assert "1 of the last 5 frames of garden may show a person" in made.why
    assert decide(judge, scene(5.0, raccoon(0.8), veto=veto)).acts  # the sixth frame
    # On a camera that looks no more, it is remembered by time.
    judge = rules(config)
    judge.decide(scene(0.0, camera="gate", person=0.3, veto=veto), ALL_WELL)
    assert against(watch(judge, 8.0, veto=veto)) == {"person"}  # until 10
    assert watch(judge, 10.1, frames=1, veto=veto).acts


def test_frames_that_may_show_a_person_are_sure_together() -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 1.0, 2.0):
        decide(judge, scene(t, raccoon(0.8), person=0.3, veto=veto))
    assert "a person was in view of garden 29 s ago" in watch(judge, 29.0, veto=veto).why
    assert watch(judge, 32.0, frames=1, veto=veto).acts


def unsure(monotonic: float, score: float = 0.8, camera: str = "garden") -> Scene:
    """A frame whose one track may be a person."""
    veto = ("person", 0.2)
    return scene(monotonic, raccoon(score), camera=camera, person=0.3, veto=veto, suspects=(1,))


@pytest.mark.parametrize("shown", [1, 3])  # remembered, and sure together
def test_a_target_that_may_have_been_a_person_at_first_was_none(shown: int) -> None:
    judge = rules()
    for t in range(shown):  # as it comes into view
        made = decide(judge, unsure(t))
        assert "person" in against(made)
    time = float(shown)
    for frame in range(3):
        made = decide(judge, scene(time + frame, raccoon(0.8), veto=("person", 0.2)))
        assert ("person" in against(made)) is (frame < 2)
    assert made.acts


@pytest.mark.parametrize(
    ("suspects", "person"),
    [
        ((None,), 0.3),  # the rest of the frame
        ((1, None), 0.3),
        ((2,), 0.3),  # another track
        ((1, 2), 0.3),
        ((), 0.3),  # nobody said who
        ((1,), 0.5),  # likelier than not
        ((1,), math.nan),
    ],
)
def test_who_else_may_be_a_person_stays_one(
    suspects: tuple[int | None, ...], person: float
) -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 1.0, 2.0):
        decide(judge, scene(t, raccoon(0.8), suspects=suspects, person=person, veto=veto))
    assert against(watch(judge, 3.0, frames=6, veto=veto)) == {"person"}
    assert against(watch(judge, 30.0, frames=2, veto=veto)) >= {"person"}
    assert watch(judge, 32.1, frames=1, veto=veto).acts


def test_a_target_that_is_not_alone_clears_nobody() -> None:
    judge, veto = rules(), ("person", 0.2)
    other = Track(2, (0, 0, 9, 9), None, 1, 0.0, 0.0)
    for t in (0.0, 1.0, 2.0):
        decide(judge, unsure(t))
    for t in (3.0, 4.0, 5.0, 6.0):
        seen = scene(t, raccoon(0.8), veto=veto)
        (made, *_) = judge.decide(replace(seen, tracks=(*seen.tracks, other)), ALL_WELL)
        assert against(made) >= {"person"}
    for t in (7.0, 8.0, 9.0, 30.0, 31.0):  # who is left may be either of them
        made = decide(judge, scene(t, raccoon(0.8), veto=veto))
        assert "person" in against(made)
    assert decide(judge, scene(32.1, raccoon(0.8), veto=veto)).acts


@pytest.mark.parametrize(("gap", "shown"), [(False, 3), (True, 3), (False, 1)])
def test_a_track_that_was_lost_may_go_on_with_somebody_else(gap: bool, shown: int) -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (2.0, 1.0, 0.0)[:shown][::-1]:
        decide(judge, unsure(t))
    if not gap:  # a frame on which it is not seen
        seen = scene(3.0, raccoon(0.8), veto=veto)
        (track,) = seen.tracks
        judge.decide(replace(seen, tracks=(replace(track, detection=None),)), ALL_WELL)
    begin = 6.0 if gap else 4.0
    for t in (0.0, 1.0, 2.0):
        made = decide(judge, scene(begin + t, raccoon(0.8), veto=veto))
        assert "person" in against(made)


def test_a_track_that_is_given_up_was_what_it_seemed() -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 1.0, 2.0):
        decide(judge, unsure(t))
    judge.decide(scene(3.0, ended=(1,), veto=veto), ALL_WELL)
    assert judge.person_left(3.0) == 29.0
    assert set(judge._sure) == {("garden", None)}  # so that none is kept for each track


def test_only_frames_that_vote_and_show_nobody_say_that_nobody_was_there() -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 0.5):
        decide(judge, unsure(t))
    for t, score in ((1.0, 0.1), (1.5, 0.1), (2.0, 0.8)):  # with the two before that is enough
        made = decide(judge, scene(t, raccoon(score), veto=veto))
    assert against(made) == {"person"}
    for t in (2.5, 3.0, 3.5):
        made = decide(judge, scene(t, raccoon(0.8), person=0.3, veto=veto, suspects=(None,)))
        assert against(made) == {"person"}  # somebody else may be there


def test_who_likely_was_a_person_is_not_taken_back() -> None:
    config = replace(CONFIG, veto=replace(CONFIG.veto, hold_s=0.0))
    judge, veto = rules(config), ("person", 0.2)
    decide(judge, scene(0.0, raccoon(0.8), person=0.9, veto=veto, suspects=(1,)))
    for t in (1.0, 2.0, 3.0, 4.0):
        assert against(decide(judge, scene(t, raccoon(0.8), veto=veto))) >= {"person"}
    assert decide(judge, scene(5.0, raccoon(0.8), veto=veto)).acts


def test_an_older_word_of_the_same_camera_shortens_nothing() -> None:
    judge = rules()
    judge.decide(scene(20.0, person=0.9), ALL_WELL)
    judge.decide(scene(12.0, person=0.9), ALL_WELL)  # a board's, whose picture took so long
    assert judge.person_left(20.0) == 30.0


def test_only_a_target_with_the_votes_was_no_person() -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 1.0, 2.0):
        decide(judge, unsure(t, 0.1))
    for t in (3.0, 4.0, 5.0, 6.0):
        made = decide(judge, scene(t, raccoon(0.1), veto=veto))
        assert "person" in against(made)
    for t, person in ((7.0, 0.0), (8.0, 0.0), (9.0, None), (10.0, 0.0), (11.0, 0.0)):
        made = decide(judge, scene(t, raccoon(0.8), person=person, veto=veto))
    assert "person" in against(made)  # in between it was not asked
    assert decide(judge, scene(12.0, raccoon(0.8), veto=veto)).acts


@pytest.mark.parametrize("label", ["person", "unknown"])
def test_a_person_or_the_unknown_as_a_target_clears_nobody(label: str) -> None:
    target = replace(CONFIG.target[0], label=label)
    judge, veto = rules(replace(CONFIG, target=(target,))), ("person", 0.2)
    for t in (0.0, 1.0, 2.0):
        decide(judge, replace(unsure(t), tracks=scene(t, {label: 0.9}).tracks))
    for t in (3.0, 4.0, 5.0, 6.0):
        made = decide(judge, scene(t, {label: 0.9}, veto=veto, unknown=label == "unknown"))
        assert "person" in against(made)


def test_who_was_there_for_sure_is_not_forgotten_for_what_turned_out_a_target() -> None:
    judge, veto = rules(), ("person", 0.2)
    decide(judge, scene(0.0, raccoon(0.8), camera="gate", person=0.9, veto=veto))
    for t in (24.0, 25.0, 26.0):
        decide(judge, unsure(t))
    for t in (27.0, 28.0, 29.0):
        made = decide(judge, scene(t, raccoon(0.8), veto=veto))
    assert against(made) == {"person"}
    assert decide(judge, scene(30.0, raccoon(0.8), veto=veto)).acts


def test_what_one_camera_sees_clears_nobody_on_another() -> None:
    judge, veto = rules(), ("person", 0.2)
    for t in (0.0, 0.1, 0.2):
        judge.decide(unsure(t, camera="gate"), ALL_WELL)
    assert against(watch(judge, 1.0, frames=6, veto=veto)) == {"person"}


def test_a_picture_that_shows_a_person_is_known() -> None:
    def shown(person: float | None, likely: bool | None = None, threshold: float = 0.2) -> bool:
        seen = scene(0.0, person=person, veto=("person", threshold))
        return replace(seen, likely=likely).shows_person

    assert [shown(person) for person in (None, 0.1, 0.4, 0.5)] == [False, False, False, True]
    assert shown(math.nan) and not shown(0.6, threshold=0.7)
    assert shown(0.3, True) and not shown(0.6, False)  # who was asked knows best
    assert not replace(scene(0.0, person=0.9, veto=None)).shows_person


def test_what_is_unlikely_on_its_own_scale_is_not_sure() -> None:
    """A threshold that is high says nothing of another witness, whose scale is another."""
    judge, veto = rules(), ("person", 0.6)
    seen = scene(0.0, raccoon(0.8), person=0.65, veto=veto, suspects=(1,))
    decide(judge, replace(seen, likely=False))
    for t in (1.0, 2.0, 3.0):
        made = decide(judge, scene(t, raccoon(0.8), veto=veto))
    assert made.acts


def test_a_person_on_another_camera_forbids_it() -> None:
    judge = rules()
    assert judge.decide(scene(0.0, camera="gate", person=0.9), ALL_WELL) == []
    made = watch(judge, 1.0)
    assert against(made) == {"person"} and "gate" in made.why


def test_a_person_on_an_older_frame_of_another_camera_shortens_nothing() -> None:
    judge = rules()
    judge.decide(scene(20.0, camera="gate", person=0.9), ALL_WELL)
    judge.decide(scene(8.0, person=0.9), ALL_WELL)  # looking took so long
    assert against(watch(judge, 40.0)) == {"person"}
    assert watch(judge, 50.0, frames=1).acts


def test_a_veto_that_was_not_asked_forbids_it() -> None:
    made = watch(rules(), person=None)
    assert against(made) == {"person"} and "was not asked" in made.why


def test_without_a_veto_model_the_record_says_so() -> None:
    made = watch(rules(), person=None, veto=None)
    assert made.acts and "no model looks for people" in made.why


def test_what_is_unlike_all_that_is_known_is_unknown_and_never_a_raccoon() -> None:
    judge = rules()
    for t in range(9):
        made = decide(judge, scene(float(t), raccoon(1.0), unknown=True))
    assert made.label == UNKNOWN and not made.acts
    assert {"known", "actions"} & against(made)


def test_zones() -> None:
    target = Target("raccoon", threshold=0.6, actions=("bark",), zones=("pond",))
    config = replace(CONFIG, target=(target,))
    assert against(watch(rules(config), zones=("lawn",))) == {"zone"}
    assert against(watch(rules(config))) == {"zone"}
    assert watch(rules(config), zones=("lawn", "pond")).acts


def test_thresholds_by_night() -> None:
    target = Target("raccoon", threshold=0.6, night_threshold=0.85, actions=("bark",))
    judge = rules(replace(CONFIG, target=(target,)))
    assert {"score", "votes"} <= against(watch(judge, light=Light.NIGHT))
    assert watch(rules(replace(CONFIG, target=(target,)))).acts
    # Without one of its own, the model's.
    judge = rules(replace(CONFIG, target=(replace(target, threshold=None),)))
    assert "90 % is needed" in watch(judge).why


def test_disarmed_and_not_well() -> None:
    judge = rules()
    for t in (0.0, 1.0):
        decide(judge, scene(t, raccoon(0.8)))
    made = decide(judge, scene(2.0, raccoon(0.8)), Now(armed=False))
    assert against(made) == {"armed"}
    made = decide(judge, scene(3.0, raccoon(0.8)), Now(blocked=("store: the disk is full",)))
    assert against(made) == {"health"} and made.why == "store: the disk is full"
    made = decide(judge, scene(4.0, raccoon(0.8), errors=("model raccoon: broken",)))
    assert against(made) == {"health"}
    assert decide(judge, scene(5.0, raccoon(0.8))).acts


def test_cool_down_is_of_the_whole_garden() -> None:
    judge = rules()
    assert watch(judge).acts
    assert against(watch(judge, 3.0, camera="gate")) == {"cool-down"}
    assert against(watch(judge, 119.0)) == {"cool-down"}  # acted at 2
    assert watch(judge, 122.0, frames=1).acts


def test_two_on_one_frame_set_off_one_deterrent() -> None:
    """The cool-down is the garden's, and begins with the first of them."""
    config = replace(
        CONFIG, target=(*CONFIG.target, Target("cat", threshold=0.6, actions=("hose",)))
    )
    judge = rules(config)
    scores = {"raccoon": raccoon(0.8), "cat": {"cat": 0.8, "background": 0.2}}
    for t in (0.0, 1.0, 2.0):
        both = [scene(t, given, track=n) for n, given in enumerate(scores.values())]
        seen = replace(both[0], tracks=tuple(one.tracks[0] for one in both))
        first, second = judge.decide(seen, ALL_WELL)
    assert first.acts and against(second) == {"cool-down"}
    judge.unmade(first)  # the disk was full: nothing acted
    third = decide(judge, scene(3.0, scores["cat"], track=1))
    assert third.acts


def test_the_nightly_cap_survives_clocks_that_are_set() -> None:
    judge = rules()
    assert watch(judge, 0.0).acts
    assert watch(judge, 200.0).acts
    assert against(watch(judge, 400.0)) == {"night cap"}
    # A day ahead, and back, by the wall clock alone.
    for wall in (NOON + 86400 * 2, NOON - 86400 * 2):
        made = decide(judge, scene(403.0 + abs(wall - NOON) / 1e6, raccoon(0.8), wall=wall))
        assert "night cap" in against(made)


def test_what_acted_before_a_restart_counts() -> None:
    judge = rules()
    judge.acted_before(0.0, [500.0, 10.0])
    made = watch(judge)
    assert against(made) == {"cool-down", "night cap"}
    assert "acted 12 s of use ago" in made.why
    made = decide(judge, scene(86400.0, raccoon(0.8)))
    assert not {"cool-down", "night cap"} & against(made)


@pytest.mark.parametrize("wall", [0.0, NOON - 86400 * 9, NOON + 86400 * 9])
def test_no_clock_loosens_what_acted_before_a_restart(wall: float) -> None:
    """A clock that begins in 1970, was set back, or leaps ahead: hours that were lived count."""
    judge = rules()
    judge.acted_before(0.0, [9 * 3600.0, 5.0])
    for t in (0.0, 1.0, 2.0):
        made = decide(judge, scene(t, raccoon(0.8), wall=wall + t))
    assert against(made) == {"cool-down", "night cap"}
    # The clock is put right in the middle of the night: still the same night.
    assert "night cap" in against(decide(judge, scene(3600.0, raccoon(0.8), wall=NOON)))


def test_a_night_is_longer_than_twelve_hours() -> None:
    for hour, capped in ((3, True), (13, False)):
        judge = rules()
        judge.acted_before(0.0, [13 * 3600.0, 12.5 * 3600.0])
        made = watch(judge, wall=datetime(2026, 9, 2, hour, 30).timestamp())
        assert against(made) == ({"night cap"} if capped else set())


def test_quiet_hours_of_a_clock_that_was_never_set() -> None:
    config = replace(CONFIG, deciding=replace(CONFIG.deciding, quiet_hours=("12:00-12:01",)))
    made = watch(rules(config), wall=30 * 86400.0)
    assert against(made) == {"quiet hours"} and "the clock was not set" in made.why
    assert not against(watch(rules(), wall=30 * 86400.0))


def test_quiet_hours() -> None:
    config = replace(CONFIG, deciding=replace(CONFIG.deciding, quiet_hours=("00:00-23:59",)))
    assert against(watch(rules(config), wall=datetime(2026, 9, 1, 12).timestamp())) == {
        "quiet hours"
    }


@pytest.mark.parametrize(
    ("span", "at", "inside"),
    [
        ("22:30-07:15", "23:00", True),
        ("22:30-07:15", "07:14", True),
        ("22:30-07:15", "07:15", False),
        ("22:30-07:15", "22:29", False),
        ("22:30-07:15", "22:30", True),
        ("22:30-07:15", "12:00", False),
        ("12:00-14:00", "12:00", True),
        ("12:00-14:00", "13:59", True),
        ("12:00-14:00", "14:00", False),
        ("12:00-14:00", "11:59", False),
        ("12:00-14:00", "00:30", False),
        ("00:00-00:00", "00:00", True),
        ("09:00-09:00", "08:59", True),
    ],
)
def test_hours_over_midnight(span: str, at: str, inside: bool) -> None:
    assert within(span, datetime.fromisoformat(f"2026-09-01T{at}")) is inside


def test_a_night_changes_at_noon() -> None:
    evening, morning, noon = (
        datetime(2026, 9, day, hour).timestamp() for day, hour in ((1, 22), (2, 5), (2, 12))
    )
    assert night_of(evening) == night_of(morning) == "2026-09-01"
    assert night_of(noon) == "2026-09-02"


def test_a_target_without_actions_is_only_watched() -> None:
    made = watch(rules(replace(CONFIG, target=(Target("raccoon", threshold=0.6),))))
    assert against(made) == {"actions"} and "only watched" in made.why


def test_tracks_vote_for_themselves() -> None:
    judge = rules()
    for t in (0.0, 1.0, 2.0, 3.0):
        made = decide(judge, scene(t, raccoon(0.8), track=int(t)))
        assert against(made) == {"votes"}
    judge.decide(scene(4.0, None, ended=[3]), Now())
    assert "1 of the last 5" in decide(judge, scene(5.0, raccoon(0.8), track=3)).why


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0.3, 1.0, 40.0]),  # seconds since the last one
        st.sampled_from([0.1, 0.7]),  # raccoon
        st.sampled_from([0.0] * 24 + [0.4] * 4 + [None, 0.6, math.nan]),  # person
        st.booleans(),  # armed
        st.sampled_from(["garden", "gate"]),
        st.sampled_from([False, False, True]),  # unknown
        st.sampled_from([(1,), (1,), (None,), (1, None), (2,)]),  # who may be a person
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(FRAMES)
def test_what_acts_had_every_reason(
    frames: list[tuple[float, float, float | None, bool, str, bool, tuple[int | None, ...]]],
) -> None:
    """Read the rules a second time, from the frames alone."""
    config = replace(CONFIG, deciding=replace(CONFIG.deciding, cooldown_s=3, per_night=4))
    judge, time = rules(config), 0.0
    votes: dict[str, list[tuple[float, bool]]] = {"garden": [], "gate": []}
    sure, acted = -math.inf, [-math.inf]
    perhaps = {"garden": -math.inf, "gate": -math.inf}  # sure, but of the track alone
    clear, seen = {"garden": 0, "gate": 0}, {"garden": -math.inf, "gate": -math.inf}
    people: dict[str, list[tuple[float, set[int | None]]]] = {"garden": [], "gate": []}
    for gap, score, person, armed, camera, unknown, suspects in frames:
        time += gap
        who = set() if person is None or person < 0.3 else set(suspects)
        if person is not None:
            likely = not person < 0.5
            people[camera] = [*people[camera][-4:], (time, who | {None} if likely else who)]
            recent = [v for t, v in people[camera] if v and time - t <= 10]
            if not person < 0.5:
                sure = time
            elif who and len(recent) >= 3:
                if all(v == {1} for v in recent):
                    perhaps[camera] = time
                else:
                    sure = time
        if seen[camera] > 0 and time - seen[camera] > LOST_S:  # the track may be another one
            perhaps[camera], sure = -math.inf, max(sure, perhaps[camera])
            people[camera] = [(t, v and {None}) for t, v in people[camera]]
            clear[camera] = 0
        seen[camera] = time
        vote = score >= 0.6 and not unknown
        kept = [(t, v) for t, v in votes[camera] if time - t <= 10]
        votes[camera] = [*kept[-4:], (time, vote)]
        clear[camera] = clear[camera] + 1 if vote and person is not None and not who else 0
        if vote and sum(v for _, v in votes[camera]) >= 3 and clear[camera] >= 3:
            perhaps[camera] = -math.inf
            people[camera] = [(t, v - {1}) for t, v in people[camera]]
        doubt = any(v and time - t <= 10 for each in people.values() for t, v in each)
        expected = (
            vote
            and sum(v for _, v in votes[camera]) >= 3
            and person is not None
            and time - max(sure, *perhaps.values()) >= 30
            and not doubt
            and armed
            and time - acted[-1] >= 3
            and sum(time - t < 43200 for t in acted) < 4
        )
        veto = ("person", 0.3)
        frame = scene(
            *(time, raccoon(score)),
            camera=camera, person=person, unknown=unknown, veto=veto, suspects=suspects,
        )  # fmt: skip
        made = decide(judge, frame, Now(armed=armed))
        assert made.acts == expected, made.why
        if expected:
            acted.append(time)
