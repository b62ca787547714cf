"""Tracks over frames, and zones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotor.detect import Box
from lotor.sentinel.config import Zone
from lotor.sentinel.scene import Detection
from lotor.sentinel.tracks import LOST_S, TRACKS, Tracker, iou, zones_of


def box_at(x: float, y: float = 100, half: int = 20) -> Box:
    return (round(x) - half, round(y) - half // 2, round(x) + half, round(y) + half // 2)


def step(tracker: Tracker, now: float, *boxes: Box) -> list[int]:
    """Take boxes in; return the numbers of their tracks."""
    numbers = []
    for box, followed in zip(boxes, tracker.match(boxes, now), strict=True):
        numbers.append(tracker.see(followed, box, None, now, ()).number)
    return numbers


@pytest.mark.parametrize("rate", [1.0, 5.0, 30.0])
def test_keeps_its_number(rate: float) -> None:
    tracker = Tracker()
    for frame in range(round(8 * rate)):
        now = frame / rate
        assert step(tracker, now, box_at(20 + 35 * now)) == [1]
    (track,) = tracker.tracks
    assert (track.frames, track.began) == (round(8 * rate), 0.0)


def test_two_that_meet_go_on_as_they_came() -> None:
    tracker = Tracker()
    for frame in range(41):
        now = frame / 10
        # They pass each other with a little room, faster than a box is wide in a second.
        boxes = (box_at(20 + 60 * now, 100), box_at(260 - 60 * now, 112))
        assert step(tracker, now, *boxes) == [1, 2], frame


def test_speed_carries_over_a_gap() -> None:
    tracker = Tracker()
    for frame in range(10):
        step(tracker, frame / 10, box_at(20 + 100 * frame / 10))
    # Another one stands where it was seen last, and it itself is where it must be by now.
    later = 0.9 + 0.8
    assert step(tracker, later, box_at(20 + 100 * later), box_at(60)) == [1, 2]


def test_the_better_fit_goes_first_whatever_the_order() -> None:
    tracker = Tracker()
    step(tracker, 0.0, box_at(100))
    assert step(tracker, 0.1, box_at(125), box_at(102)) == [2, 1]


def test_far_away_is_another() -> None:
    tracker = Tracker()
    step(tracker, 0.0, box_at(20))
    assert step(tracker, 0.1, box_at(300)) == [2]


def test_is_given_up_and_numbers_are_never_used_again() -> None:
    tracker = Tracker()
    step(tracker, 0.0, box_at(20))
    assert tracker.give_up(LOST_S) == ()
    (gone,) = tracker.give_up(LOST_S + 0.1)
    assert (gone.number, gone.seen) == (1, 0.0)
    assert tracker.tracks == ()
    assert step(tracker, LOST_S + 0.2, box_at(20)) == [2]


def test_of_a_slow_camera_it_may_be_missed_once() -> None:
    tracker = Tracker()
    step(tracker, 0.0, box_at(20))
    assert tracker.give_up(5.0, apart=5.0) == ()
    assert [track.number for track in tracker.give_up(10.0, apart=5.0)] == [1]


def test_so_many_at_most() -> None:
    tracker = Tracker()
    for number in range(TRACKS + 3):
        step(tracker, number / 100, box_at(30, 1000 * number))
    assert [track.number for track in tracker.give_up(1.0)] == [1, 2, 3]
    assert len(tracker.tracks) == TRACKS


def test_what_was_not_seen_has_no_detection_and_what_rests_stays() -> None:
    tracker, cat = Tracker(), Detection((0, 0, 9, 9), "m", {"cat": 0.9, "dog": 0.1})
    tracker.see(None, box_at(20), cat, 0.0, ("yard",))
    (followed,) = tracker.living
    assert followed.label == "cat"
    tracker.miss(followed)
    assert tracker.tracks[0].detection is None
    assert tracker.tracks[0].zones == ("yard",)
    tracker.see(followed, box_at(20), cat, 2.0, ("yard",), moving=False)
    assert (followed.track.seen, followed.moved) == (2.0, 0.0)
    assert followed.labels["cat"] == 1  # only where it moved


def test_unknown_has_no_label() -> None:
    tracker = Tracker()
    odd = Detection((0, 0, 9, 9), "m", {"cat": 0.9}, 5.0, unknown=True)
    tracker.see(None, box_at(20), odd, 0.0, ())
    assert tracker.living[0].label is None


def test_zones_by_the_middle_of_the_lower_edge() -> None:
    lower = Zone("lower", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    corner = Zone("corner", ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)))
    assert zones_of((10, 0, 30, 49), 100, 100, (lower, corner)) == ("corner",) * 0
    assert zones_of((0, 0, 20, 30), 100, 100, (lower, corner)) == ("corner",)
    assert zones_of((40, 0, 60, 51), 100, 100, (lower, corner)) == ("lower",)
    assert zones_of((40, 80, 60, 100), 100, 100, (lower, corner)) == ("lower",)  # on the edge
    assert zones_of((40, 80, 60, 200), 200, 200, (corner, lower)) == ("lower",)


boxes = st.tuples(
    st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.integers(1, 50)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@given(boxes, boxes)
def test_iou(a: Box, b: Box) -> None:
    pixels = [{(x, y) for x in range(x0, x1) for y in range(y0, y1)} for x0, y0, x1, y1 in (a, b)]
    expected = len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])
    assert iou(a, b) == pytest.approx(expected)
    assert iou(b, a) == iou(a, b)
