"""What the sentinel remembers: on record when it says so, found again, and nothing half-written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lotor.sentinel.clock import SetClock
from lotor.sentinel.event import Act, Check, Decision, Event, Receipt, new_id
from lotor.sentinel.scene import Light
from lotor.sentinel.store import Store

NOON = 1_790_000_000.0


def decision(time: float, event: str | None = None, **more: object) -> Decision:
    made = Decision(
        new_id(time), event, "gate", 7, time, time, 10, 10, 1, "raccoon", "raccoon",
        {"raccoon": 0.9, "other": 0.1}, (1, 2, 3, 4), Light.NIGHT,
        (Check("votes", True, "3 of 5"), Check("person", False, "somebody is there")), ("siren",),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def visit(begin: float, end: float | None = None, **more: object) -> Event:
    made = Event(new_id(begin), "gate", 7, "raccoon", 0.9, begin, end, Light.NIGHT, ("lawn",), 5)
    return replace(made, **more)  # type: ignore[arg-type]


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
    assert receipt is None or isinstance(receipt, Receipt)
    store.save_event(one)
    store.record(decision(NOON + 1, label=None, actions=()))
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
        assert again.acts(NOON + 1) == [trial] and again.last_act() == trial
        assert (again.setting("armed"), again.setting("else")) == ("yes", None)
        assert (again.cursor("mqtt"), again.cursor("else")) == (one.id, None)
        assert again.event("none") is None and again.decision("none") is None
        assert again.event(one.id) == replace(one, end=NOON)  # it had no end
    finally:
        again.close()
