"""A thread of the sentinel that fails is seen, and begins anew."""

import threading
import time
from collections.abc import Callable

import pytest

from lotor.sentinel import worker
from lotor.sentinel.bus import HealthChanged
from lotor.sentinel.worker import Worker


class Rude(BaseException):
    """Not even its text can be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("error", "text"),
    [(ZeroDivisionError("by\nnothing"), "ZeroDivisionError: by nothing"), (Rude(), "Rude")],
)
def test_what_fails_is_told_and_begins_anew(
    error: BaseException, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAUSES_S", (0.01, 0.02))
    told: list[HealthChanged] = []
    seen: list[BaseException] = []
    goes, done = threading.Event(), threading.Event()
    rounds: list[int] = []

    def work() -> None:
        rounds.append(len(rounds))
        if len(rounds) < 4:
            raise error
        goes.wait(20)
        made.turn()
        made.turn()
        done.wait(20)

    made = Worker("test", work, told.append, failed=seen.append, blocks=True)
    made.start()
    wait(lambda: len(rounds) == 4)
    assert told == [
        HealthChanged(
            "test thread", False, f"it failed: {text}; it begins anew within {pause:g} s", True
        )
        for pause in (0.01, 0.02, 0.02)
    ]
    assert seen == [error] * 3
    goes.set()
    wait(lambda: len(told) == 4)
    assert told[3] == HealthChanged("test thread", True)
    assert not made.end(0.05) and made.is_alive()  # hangs, and is left
    done.set()
    assert made.end(20) and not made.is_alive()


def test_what_ends_well_after_it_failed_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a film whose last picture could not be looked at: other cameras go on."""
    monkeypatch.setattr(worker, "PAUSES_S", (0.01,))
    told: list[HealthChanged] = []
    errors = [ZeroDivisionError()]

    def work() -> None:
        if errors:
            raise errors.pop()

    made = Worker("test", work, told.append, blocks=True)
    made.start()
    wait(lambda: not made.is_alive())
    assert [health.well for health in told] == [False, True]


def test_at_the_end_nothing_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSES_S", (60.0,))
    rounds: list[int] = []

    def work() -> None:
        rounds.append(1)
        raise OSError

    def deaf(health: HealthChanged) -> None:
        raise RuntimeError("whoever is told must not stop it")

    made = Worker("test", work, deaf, failed=lambda error: [][1])
    made.start()
    wait(lambda: len(rounds) >= 1)
    time.sleep(0.1)  # its pause is a minute
    assert made.end(20) and rounds == [1]
    assert Worker("never", work, deaf).end(0.01)
