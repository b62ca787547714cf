"""Webhooks against a real HTTP server: nothing is lost, nothing goes elsewhere, nobody waits."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_receiver import Receiver
from lotor.errors import LotorError
from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config
from lotor.sentinel.config import Webhook as Options
from lotor.sentinel.webhook import webhooks
from visitors import FakeJournal, Garden, NoWaitClock, until


class Rig:
    def __init__(self, folder: Path, *hooks: Options, clock: SetClock | None = None) -> None:
        self.bus = Bus()
        self.health: list[HealthChanged] = []
        self.bus.subscribe(self._hear)
        self.clock = clock or SetClock(1_790_000_000.0)
        self.journal = FakeJournal(folder / "journal")
        self.garden = Garden(self.journal, self.bus)
        config = Config(camera=(Camera("pond", "0"),), webhook=hooks)
        self.hooks = webhooks(config, self.bus, self.journal, self.clock)
        for hook in self.hooks:
            hook.start()

    def _hear(self, message: Message) -> None:
        if isinstance(message, HealthChanged):
            self.health.append(message)

    def close(self) -> None:
        for hook in self.hooks:
            hook.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def ends(receiver: Receiver) -> list[str]:
    """Events whose ends came, each time."""
    bodies = [json.loads(request.body) for request in list(receiver.requests)]
    return [body["event"] for body in bodies if body["type"] == "end"]


def told(receiver: Receiver) -> list[tuple[str, str]]:
    bodies: list[dict[str, Any]] = [json.loads(request.body) for request in receiver.requests]
    return [(body["type"], body["label"]) for body in bodies]


def test_a_visit_is_posted_twice_with_why(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, Options(f"http://127.0.0.1:{receiver.port}/hook?id=1"))
    event = rig.garden.begin()
    rig.garden.decide(event, votes=False)
    decision = rig.garden.decide(event, actions=("bark",))
    until(lambda: len(receiver.requests) == 1, "confirmed")
    rig.garden.act(decision, "bark")
    rig.garden.end(event)
    until(lambda: len(receiver.requests) == 2, "the end")
    rig.close()
    first, second = (json.loads(request.body) for request in receiver.requests)
    assert receiver.requests[0].path == "/hook?id=1"
    assert receiver.requests[0].headers["Content-Type"] == "application/json"
    assert (first["type"], first["id"]) == ("confirmed", f"{event.id}/confirmed")
    assert (second["type"], second["id"]) == ("end", f"{event.id}/end")
    assert second["why"].startswith("4 of the last 5 frames say raccoon")
    assert [check["rule"] for check in second["checks"]] == ["votes", "cool-down"]
    assert second["acts"][0]["result"] == "done"
    assert rig.health == [HealthChanged("webhook 1", True)]


def test_only_its_labels_and_the_cursor_goes_on(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, Options(f"http://127.0.0.1:{receiver.port}/", labels=("raccoon",)))
    rig.garden.visit("unknown")
    rig.garden.visit("raccoon")
    until(lambda: ("end", "raccoon") in told(receiver), "the raccoon")
    rig.close()
    assert {label for _, label in told(receiver)} == {"raccoon"}


def test_what_fails_is_sent_again_in_order_also_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    hook = Options(f"http://127.0.0.1:{receiver.port}/")
    rig = Rig(tmp_path, hook)
    first = rig.garden.visit()
    until(lambda: ends(receiver) == [first.id], "the first")
    receiver.requests.clear()
    receiver.answers = [500] * 1000
    second, third = rig.garden.visit(), rig.garden.visit()
    until(lambda: bool(rig.health) and not rig.health[-1].well, "a warning")
    assert "500" in rig.health[-1].text
    rig.clock.advance(2)
    until(lambda: len(receiver.requests) > 1, "another attempt")
    rig.close()
    receiver.requests.clear()
    receiver.answers.clear()
    rig = Rig(tmp_path, hook)
    until(lambda: len(ends(receiver)) == 2, "both")
    rig.garden.now += 100
    fourth = rig.garden.visit()
    until(lambda: len(ends(receiver)) == 3, "the fourth")
    rig.close()
    assert ends(receiver) == [second.id, third.id, fourth.id]
    assert rig.health[-1].well


def test_back_off_grows_and_begins_anew(tmp_path: Path, receiver: Receiver) -> None:
    clock = NoWaitClock()
    rig = Rig(tmp_path, Options(f"http://127.0.0.1:{receiver.port}/"), clock=clock)
    receiver.answers = [500] * 11
    first = rig.garden.end(rig.garden.begin())
    until(lambda: bool(rig.health) and rig.health[-1].well, "taken")
    assert clock.waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    receiver.answers = [500]
    second = rig.garden.end(rig.garden.begin())
    until(lambda: len(receiver.requests) == 14, "the second")
    rig.close()
    assert clock.waits[11:] == [2]
    assert ends(receiver) == [first.id] * 12 + [second.id] * 2


def test_an_address_that_is_new_is_not_told_of_the_past(tmp_path: Path, receiver: Receiver) -> None:
    Garden(FakeJournal(tmp_path / "journal"), Bus()).visit()
    rig = Rig(tmp_path, Options(f"http://127.0.0.1:{receiver.port}/"))
    rig.garden.now += 50
    event = rig.garden.visit()
    until(lambda: event.id in ends(receiver), "the new one")
    rig.close()
    assert ends(receiver) == [event.id]


def test_a_slow_address_delays_no_other(tmp_path: Path, receiver: Receiver) -> None:
    with Receiver() as slow:
        slow.slow = 60
        rig = Rig(
            tmp_path,
            Options(f"http://127.0.0.1:{slow.port}/", timeout_s=1),
            Options(f"http://127.0.0.1:{receiver.port}/"),
        )
        events = [rig.garden.visit().id for _ in range(3)]
        until(lambda: ends(receiver) == events, "all at the other")
        assert len(slow.requests) <= 1
        until(lambda: any(not state.well for state in rig.health), "a warning")
        assert "no answer in time" in next(state for state in rig.health if not state.well).text
        rig.close()


def test_a_content_that_is_refused_is_left_out_visibly(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, Options(f"http://127.0.0.1:{receiver.port}/"))
    receiver.answers = [422]
    first = rig.garden.end(rig.garden.begin())
    until(lambda: len(rig.health) == 1, "a warning")
    assert not rig.health[0].well and "422" in rig.health[0].text
    second = rig.garden.end(rig.garden.begin())
    until(lambda: ends(receiver) == [first.id, second.id], "the next")
    until(lambda: rig.health[-1].well, "well")
    rig.close()


@pytest.mark.parametrize("answer", [301, 302, 303, 307])
def test_a_redirect_gets_nothing(tmp_path: Path, receiver: Receiver, answer: int) -> None:
    with Receiver() as other:
        receiver.answers = [answer] * 100
        receiver.location = f"http://127.0.0.1:{other.port}/"
        rig = Rig(tmp_path, Options(f"http://me:secret@127.0.0.1:{receiver.port}/"))
        rig.garden.visit()
        until(lambda: bool(rig.health), "a warning")
        rig.close()
        assert str(answer) in rig.health[0].text and other.requests == []
    pair = receiver.requests[0].headers["Authorization"].partition(" ")[2]
    assert base64.b64decode(pair) == b"me:secret"


def test_no_secret_is_logged(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [403] * 100
    at = f"127.0.0.1:{receiver.port}"
    hooks = [f"http://me:hunter2@{at}/path-secret?key=abc", "http://hunter2@[::1]:1/path-secret"]
    rig = Rig(tmp_path, *(Options(url) for url in hooks))
    rig.garden.visit()
    until(lambda: {state.part for state in rig.health} == {"webhook 1", "webhook 2"}, "warnings")
    rig.close()
    told = caplog.text + str(rig.health)
    assert HealthChanged("webhook 1", False, f"{at}: it answers 403; trying again") in rig.health
    assert not any(secret in told for secret in ("hunter2", "path-secret", "abc"))


def test_an_address_without_a_host_is_a_mistake() -> None:
    config = Config(camera=(Camera("pond", "0"),), webhook=(Options("http:///hunter2"),))
    with pytest.raises(LotorError, match="webhook 1: its 'url' names no host") as error:
        webhooks(config, Bus(), FakeJournal(Path(":memory:")), SetClock(0))
    assert "hunter2" not in str(error.value)
