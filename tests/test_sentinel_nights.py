"""Nights in which everything goes wrong: what must hold, holds."""

from pathlib import Path

import pytest

from mosquitto import Mosquitto, needs_mosquitto
from night_garden import Who
from sentinel_nights import NIGHT_S, Span, make_plan, run


def test_a_plan_has_everything_in_it() -> None:
    plan = make_plan(1, 7, NIGHT_S)
    assert {walk.who for walk in plan.walks} == set(Who)
    assert {span.kind for span in plan.spans} == {"gone", "broken", "full", "wind"}
    assert len(plan.jumps) == 14 and len(plan.kills) == 4
    assert all(isinstance(span, Span) and span.begin < span.end for span in plan.spans)


@needs_mosquitto
def test_a_short_night(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        found = run(tmp_path, seed=2, nights=1, night_s=1500.0, quiet_s=10.0, broker=broker)
    assert found.wrong == []
    assert found.acted > 0 and found.restarts == 1 and found.seen > 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
@needs_mosquitto
def test_seven_nights(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        found = run(tmp_path, seed=1, nights=7, quiet_s=5.0, broker=broker)
    assert found.wrong == []
    assert found.acted > 20 and found.restarts == 4
    assert found.growth <= 0.05, found.rss
