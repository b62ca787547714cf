"""A view that looks like a person while nothing moves must not forbid everything, nor hide one."""

import math

from lotor.sentinel.scene import Light
from lotor.sentinel.still import EVERY_S, KEPT_S, StillView

LEAST = 0.13


def view(*scores: float) -> StillView:
    made = StillView()
    for number, score in enumerate(scores):
        assert made.due(number * EVERY_S, Light.DAY)
        made.take(number * EVERY_S, score)
    return made


def test_until_something_is_known_the_threshold_holds() -> None:
    assert StillView().threshold(0.0, LEAST) == LEAST


def test_a_frame_must_show_more_than_the_still_view() -> None:
    assert abs(view(0.2, 0.3, 0.1).threshold(15.0, LEAST) - 0.4) < 1e-9
    assert view(0.01).threshold(1.0, LEAST) == LEAST


def test_likelier_than_not_is_a_person_whatever_the_view_scored() -> None:
    assert view(0.99).threshold(1.0, LEAST) == 0.5
    assert view(0.99).threshold(1.0, 0.7) == 0.7  # nor is a threshold of one's own lowered


def test_it_is_looked_at_now_and_then_and_anew_in_another_light() -> None:
    still = view(0.3)
    assert not still.due(EVERY_S - 0.1, Light.DAY) and still.due(EVERY_S, Light.DAY)
    assert still.due(1.0, Light.NIGHT)
    assert still.threshold(1.0, LEAST) == LEAST


def test_what_failed_says_nothing() -> None:
    still = view(0.3)
    still.take(1.0, math.nan)
    assert still.threshold(1.0, LEAST) == 0.4
    still = StillView()
    still.take(0.0, math.nan)
    assert still.threshold(0.0, LEAST) == LEAST


def test_what_was_long_ago_is_forgotten() -> None:
    still = view(0.3)
    assert still.threshold(KEPT_S, LEAST) == 0.4
    assert still.threshold(KEPT_S + 1, LEAST) == LEAST
