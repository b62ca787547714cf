"""Alarms from frames: k of n, vetoes and cool-down hold whatever the scores are."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotor.errors import LotorError
from lotor.sentinel.voting import Decision, Rule, Voting

RULE = Rule({"raccoon": 0.5}, {"person": 0.5}, votes=3, of=5, cooldown_s=10)

Frames = list[tuple[float, dict[str, float]]]


def run(rule: Rule, frames: Frames) -> list[Decision]:
    voting = Voting(rule)
    return [voting.decide(time, scores) for time, scores in frames]


def alarms(rule: Rule, frames: Frames) -> list[float]:
    pairs = zip(frames, run(rule, frames), strict=True)
    return [time for (time, _), decision in pairs if decision.alarm]


def raccoons(*scores: float, person: float = 0.0) -> Frames:
    """A frame a second with these scores."""
    return [(float(i), {"raccoon": s, "person": person}) for i, s in enumerate(scores)]


@st.composite
def frames(draw: st.DrawFn) -> Frames:
    score = st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])
    steps = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0, 30.0]), max_size=40))
    return [
        (sum(steps[: i + 1]), {label: draw(score) for label in ("raccoon", "fox", "person")})
        for i in range(len(steps))
    ]


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    of = draw(st.integers(1, 7))
    threshold = st.sampled_from([0.1, 0.5, 0.9])
    return Rule(
        {"raccoon": draw(threshold), "fox": draw(threshold)},
        {"person": draw(threshold)},
        votes=draw(st.integers(1, of)),
        of=of,
        memory_s=draw(st.sampled_from([0.0, 2.0, 10.0])),
        cooldown_s=draw(st.sampled_from([0.0, 3.0, 60.0])),
    )


def test_three_of_five() -> None:
    assert alarms(RULE, raccoons(0.9, 0.9, 0.4, 0.4, 0.5)) == [4.0]
    assert alarms(RULE, raccoons(0.9, 0.9, 0.4, 0.4, 0.4, 0.9)) == []  # the first is forgotten
    assert alarms(RULE, raccoons(0.9, 0.9)) == []


def test_only_a_frame_that_votes_itself_alarms() -> None:
    seen = raccoons(0.9, 0.9, 0.9, *[0.9] * 9, 0.9, 0.1, 0.9)
    assert alarms(RULE, seen) == [2.0, 12.0]
    seen[12] = (12.0, {"raccoon": 0.1, "person": 0.0})
    assert alarms(RULE, seen) == [2.0, 14.0]


def test_a_frame_is_forgotten_with_time() -> None:
    slow = [(time * 6, scores) for time, scores in raccoons(0.9, 0.9, 0.9)]
    assert alarms(RULE, slow) == []
    assert alarms(replace(RULE, memory_s=12), slow) == [12.0]


def test_a_decision_says_why() -> None:
    found = run(RULE, raccoons(0.9, 0.9, 0.9, 0.9))
    assert found[1] == Decision(None, {"raccoon": 2}, (), False, None)
    assert found[2] == Decision("raccoon", {"raccoon": 3}, (), False, "raccoon")
    assert found[3] == Decision(None, {"raccoon": 4}, (), True, "raccoon")
    vetoed = run(RULE, raccoons(0.9, 0.9, 0.9, person=0.6))[2]
    assert vetoed == Decision(None, {"raccoon": 3}, ("person",), False, "raccoon")


def test_a_person_vetoes_until_out_of_sight_for_n_frames() -> None:
    seen = raccoons(*[0.9] * 9)
    seen[3] = (3.0, {"raccoon": 0.9, "person": 0.5})
    assert alarms(replace(RULE, cooldown_s=0), seen) == [2.0, 8.0]


def test_what_is_no_number_vetoes_and_votes_for_nothing() -> None:
    assert alarms(RULE, raccoons(*[math.nan] * 5)) == []
    assert alarms(RULE, raccoons(*[0.9] * 5, person=math.nan)) == []


def test_the_label_with_most_votes_alarms() -> None:
    rule = Rule({"raccoon": 0.5, "fox": 0.5}, votes=2, of=5)
    both = [(0.0, {"raccoon": 0.6, "fox": 0.1}), (1.0, {"raccoon": 0.6, "fox": 0.6})]
    both.append((2.0, {"raccoon": 0.6, "fox": 0.9}))
    assert [d.alarm for d in run(replace(rule, cooldown_s=0), both)] == [None] + ["raccoon"] * 2


@given(rules(), frames())
def test_never_while_a_person_is_seen(rule: Rule, seen: Frames) -> None:
    for (_, scores), decision in zip(seen, run(rule, seen), strict=True):
        if scores["person"] >= rule.vetoes["person"]:
            assert decision.alarm is None


@given(rules(), frames())
def test_never_twice_within_the_cool_down(rule: Rule, seen: Frames) -> None:
    times = alarms(rule, seen)
    assert all(b - a >= rule.cooldown_s for a, b in pairwise(times))


@given(rules(), frames())
def test_more_votes_needed_never_alarm_more_or_sooner(rule: Rule, seen: Frames) -> None:
    fewer = alarms(rule, seen)
    if rule.votes < rule.of:
        stricter = alarms(replace(rule, votes=rule.votes + 1), seen)
        assert len(stricter) <= len(fewer)
        assert all(late >= soon for soon, late in zip(fewer, stricter, strict=False))


@given(rules(), frames(), st.sampled_from([0.2, 0.6, 1.0]))
def test_more_frames_with_a_person_never_alarm_more(
    rule: Rule, seen: Frames, person: float
) -> None:
    more = [(time, scores | {"person": max(person, scores["person"])}) for time, scores in seen]
    assert len(alarms(rule, more)) <= len(alarms(rule, seen))


@given(rules(), frames())
def test_alarms_are_those_of_the_definition(rule: Rule, seen: Frames) -> None:
    expected: list[float] = []
    for index, (time, scores) in enumerate(seen):
        window = seen[max(0, index - rule.of + 1) : index + 1]
        window = [frame for frame in window if time - frame[0] <= rule.memory_s]
        person = any(s["person"] >= rule.vetoes["person"] for _, s in window)
        cooling = bool(expected) and time - expected[-1] < rule.cooldown_s
        voted = any(
            scores[label] >= least and sum(s[label] >= least for _, s in window) >= rule.votes
            for label, least in rule.thresholds.items()
        )
        if voted and not person and not cooling:
            expected.append(time)
    assert alarms(rule, seen) == expected


@pytest.mark.parametrize("time", [4.9, -math.inf, math.inf, math.nan])
def test_time_never_goes_back(time: float) -> None:
    voting = Voting(RULE)
    voting.decide(5.0, {"raccoon": 0.0, "person": 0.0})
    with pytest.raises(ValueError, match="is not after"):
        voting.decide(time, {"raccoon": 0.0, "person": 0.0})


def test_a_label_without_a_score_is_an_error() -> None:
    with pytest.raises(KeyError, match="person"):
        Voting(RULE).decide(0.0, {"raccoon": 0.9})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"votes": 0}, "at least 1 vote"),
        ({"votes": 6}, "at most one a frame"),
        ({"thresholds": {"raccoon": 1.5}}, "the threshold 1.5 of raccoon"),
        ({"vetoes": {"person": math.nan}}, "of person must be between 0 and 1"),
        ({"vetoes": {"raccoon": 0.5}}, "raccoon cannot both alarm and veto"),
        ({"memory_s": -1.0}, "a memory of -1 s"),
        ({"cooldown_s": math.inf}, "a cool-down of inf s"),
    ],
)
def test_rules_that_make_no_sense(change: dict[str, object], says: str) -> None:
    with pytest.raises(LotorError, match=says):
        replace(RULE, **change)  # type: ignore[arg-type]
