"""Messages through Apprise to a real HTTP server: enough, never too many, and the counts add up."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_receiver import Receiver
from lotor.errors import LotorError
from lotor.sentinel import worker
from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config, Notify, Target
from lotor.sentinel.notify import Notifier
from mosquitto import free_port
from visitors import FakeJournal, Garden, NoWaitClock, until

pytest.importorskip("apprise", reason="Apprise is not installed")


class Rig:
    def __init__(
        self, folder: Path, *urls: str, clock: SetClock | None = None, **options: Any
    ) -> None:
        self.bus = Bus()
        self.health: list[HealthChanged] = []
        self.bus.subscribe(self._hear)
        self.clock = clock or SetClock(1_790_000_000.0)
        self.garden = Garden(FakeJournal(folder / "journal"), self.bus)
        self.media = folder
        config = Config(
            camera=(Camera("pond", "0"),),
            target=(Target("raccoon"), Target("cat")),
            notify=Notify(urls, **{"picture": False, **options}),
        )
        self.notifier = Notifier(config, self.bus, self.garden.journal, self.clock, folder, folder)
        self.notifier.start()

    def _hear(self, message: Message) -> None:
        if isinstance(message, HealthChanged):
            self.health.append(message)

    def close(self) -> None:
        self.notifier.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def messages(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in list(receiver.requests)]


def counted(receiver: Receiver) -> int:
    """Visits that all messages together speak of."""
    texts = [message["message"] for message in messages(receiver)]
    more = [re.search(r"(\d+) more visit", text) for text in texts]
    return len(texts) + sum(int(found[1]) for found in more if found)


def test_a_message_says_what_and_why_with_the_picture(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", picture=True)
    event = rig.garden.begin()
    decision = rig.garden.decide(event, actions=("bark", "hose"))
    rig.garden.act(decision, "bark")
    rig.garden.act(decision, "hose", "dry run", "would open the valve")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 a picture")
    rig.garden.picture(event, "a.jpg")
    until(lambda: len(receiver.requests) == 1, "a message")
    rig.garden.end(event)
    rig.close()
    (message,) = messages(receiver)
    assert message["title"] == "raccoon at pond"
    lines = message["message"].splitlines()
    assert re.fullmatch(r"2026-09-2\d \d\d:\d\d:21, night, score 0.90\.", lines[0])
    assert lines[1:] == ["bark: done.", "hose: dry run: would open the valve."]
    assert message["attachments"][0]["filename"] == "a.jpg"
    assert rig.health == [HealthChanged("notify", True)]


def test_it_says_why_nothing_was_done(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/")
    event = rig.garden.begin()
    rig.garden.decide(event, cooling=True)
    rig.garden.end(event)
    until(lambda: len(receiver.requests) == 1, "a message")
    rig.close()
    assert "Nothing was done: the last deterrent was 5 s ago" in messages(receiver)[0]["message"]


def test_it_waits_for_a_picture_but_not_for_ever(tmp_path: Path, receiver: Receiver) -> None:
    clock = NoWaitClock()
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", clock=clock, picture=True)
    until(lambda: clock.waits == [20], "the wait before Apprise is loaded")
    rig.garden.decide(rig.garden.begin())
    until(lambda: len(receiver.requests) == 1, "a message without")
    rig.close()
    assert messages(receiver)[0]["attachments"] == []
    assert clock.waits == [20, 5]


def test_only_what_was_asked_for_and_confirmed(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", cooldown_s=0.0)
    rig.garden.visit("unknown")
    rig.garden.visit("dog")
    doubtful = rig.garden.begin("raccoon")
    rig.garden.decide(doubtful, votes=False)
    rig.garden.end(doubtful)
    rig.garden.visit("cat")
    until(lambda: len(receiver.requests) == 1, "the cat")
    rig.close()
    assert [message["title"] for message in messages(receiver)] == ["cat at pond"]
    with Receiver() as other:
        (tmp_path / "other").mkdir()
        rig = Rig(tmp_path / "other", f"json://127.0.0.1:{other.port}/", labels=("unknown",))
        rig.garden.visit("cat")
        rig.garden.visit("unknown")
        until(lambda: len(other.requests) == 1, "the unknown")
        rig.close()
        assert [message["title"] for message in messages(other)] == ["unknown at pond"]


@pytest.mark.parametrize(
    ("cooldown_s", "per_hour", "messages"),
    [(0.0, 6, 6), (300.0, 6, 6), (300.0, 1000, 12), (0.0, 0, 0)],
)
def test_a_thousand_visits_in_an_hour(
    tmp_path: Path, receiver: Receiver, cooldown_s: float, per_hour: int, messages: int
) -> None:
    url = f"json://127.0.0.1:{receiver.port}/"
    rig = Rig(tmp_path, url, cooldown_s=cooldown_s, per_hour=per_hour)
    for _ in range(1000):
        rig.garden.visit()
        rig.clock.advance(3.59)
    until(lambda: len(receiver.requests) == messages, "the messages")
    assert rig.notifier.waiting + counted(receiver) == 1000
    # An hour later: the next one tells of all the rest.
    rig.clock.advance(3600)
    rig.garden.visit()
    if messages:
        until(lambda: len(receiver.requests) == messages + 1, "one more")
        assert rig.notifier.waiting == 0 and counted(receiver) == 1001
    rig.close()
    assert len(receiver.requests) == messages + bool(messages)


def test_one_message_a_visit_however_often_it_is_decided(
    tmp_path: Path, receiver: Receiver
) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", cooldown_s=0.0, per_hour=100)
    event = rig.garden.begin()
    for _ in range(20):
        rig.garden.decide(event)
    rig.garden.end(event)
    rig.garden.visit("cat")
    until(lambda: any(each["title"] == "cat at pond" for each in messages(receiver)), "the cat")
    rig.close()
    assert [each["title"] for each in messages(receiver)] == ["raccoon at pond", "cat at pond"]


def test_who_did_not_take_it_is_asked_again(tmp_path: Path, receiver: Receiver) -> None:
    with Receiver() as good:
        urls = [f"json://127.0.0.1:{each.port}/" for each in (receiver, good)]
        clock = NoWaitClock()
        rig = Rig(tmp_path, *urls, clock=clock)
        receiver.answers = [500, 500]
        rig.garden.visit()
        until(lambda: rig.health == [HealthChanged("notify", True)], "well")
        rig.close()
        assert (len(receiver.requests), len(good.requests)) == (3, 1)
        assert [wait for wait in clock.waits if wait != 20] == [2, 10]


def test_what_nobody_takes_is_told_and_counted(tmp_path: Path, receiver: Receiver) -> None:
    clock = NoWaitClock()
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", clock=clock, cooldown_s=0.0)
    receiver.answers = [500] * 4
    rig.garden.visit()
    until(lambda: bool(rig.health), "a warning")
    text = "a message was not taken by address 1 (json)"
    assert rig.health == [HealthChanged("notify", False, text)]
    assert [wait for wait in clock.waits if wait != 20] == [2, 10, 30]
    until(lambda: rig.notifier.waiting == 1, "it is counted")
    rig.garden.visit()
    until(lambda: rig.health[-1].well, "well again")
    rig.close()
    assert "1 more visit since the last message: 1 raccoon." in messages(receiver)[-1]["message"]


def test_the_last_attempt_goes_without_the_picture(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", clock=NoWaitClock(), picture=True)
    receiver.answers = [500] * 3
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 a picture")
    event = rig.garden.begin()
    rig.garden.picture(event, "a.jpg")
    rig.garden.decide(event)
    until(lambda: rig.health == [HealthChanged("notify", True)], "well")
    rig.close()
    assert [len(message["attachments"]) for message in messages(receiver)] == [1, 1, 1, 0]


def test_addresses_of_a_file_and_none_is_ever_logged(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    at = f"127.0.0.1:{receiver.port}"
    (tmp_path / "urls").write_text(
        f"# mine\n\njson://me:hunter2@{at}/hidden\nnosuch://hunter2/hidden\n"
        f"json://me:hunter2@127.0.0.1:{free_port()}/hidden\n"
    )
    rig = Rig(tmp_path, urls_file="urls")
    with pytest.raises(LotorError, match=r"not taken by address 3 \(json\), address 2 \(nosuch\)"):
        rig.notifier.test()
    assert "arrive" in messages(receiver)[0]["message"]
    rig.close()
    told = caplog.text + str(rig.health)
    assert "Apprise cannot use address 2 (nosuch)" in told
    assert "hunter2" not in told and "hidden" not in told


def test_a_test_arrives_whatever_the_cooldown(tmp_path: Path, receiver: Receiver) -> None:
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", per_hour=0)
    rig.notifier.test()
    rig.notifier.test()
    rig.close()
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("content", [None, "# nothing\n"])
def test_a_file_without_addresses_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "urls").write_text(content)
    config = Config(camera=(Camera("pond", "0"),), notify=Notify(urls_file="urls"))
    with pytest.raises(LotorError, match="urls_file"):
        Notifier(config, Bus(), FakeJournal(tmp_path / "journal"), SetClock(0), tmp_path, tmp_path)


def test_what_goes_wrong_sends_nothing_twice_and_ends_nothing(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAUSES_S", (0.01,))
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", cooldown_s=0.0)
    tell, failing = rig.notifier._tell, True

    def fail(title: str, body: str, picture: str | None) -> bool:
        taken = tell(title, body, picture)
        if failing:
            raise ZeroDivisionError("after it was sent")
        return taken

    monkeypatch.setattr(rig.notifier, "_tell", fail)
    rig.garden.visit()
    until(lambda: any("after it was sent" in state.text for state in rig.health), "a warning")
    failing = False
    rig.garden.visit()
    until(lambda: len(receiver.requests) == 2, "the next one")
    until(lambda: rig.health[-1].well, "that it is well again")
    rig.close()
    assert counted(receiver) == 3  # the first one again, as nobody knows
    assert [state.part for state in rig.health if not state.well] == ["notify thread"]


def test_messages_stay_few_when_it_restarts_again_and_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    url, now = f"json://127.0.0.1:{receiver.port}/", 1_790_000_000.0
    for number, jump in enumerate((0.0, 5.0, -9e6)):
        rig = Rig(tmp_path, url, clock=SetClock(now + jump))
        rig.garden.visit()
        if number == 0:
            until(lambda: len(receiver.requests) == 1, "a message")
        else:
            assert rig.notifier.waiting == 1
        rig.close()
    assert len(receiver.requests) == 1
    rig = Rig(tmp_path, url, clock=SetClock(now + 400))
    rig.garden.visit()
    until(lambda: len(receiver.requests) == 2, "one after the cool-down")
    rig.close()


def waiting(rig: Rig) -> list[Any]:
    kept: list[Any] = json.loads(rig.garden.journal.cursor("notify") or "{}").get("waiting", [])
    return kept


def test_what_waited_for_its_picture_is_sent_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    url = f"json://127.0.0.1:{receiver.port}/"
    rig = Rig(tmp_path, url, picture=True, cooldown_s=300.0)
    rig.garden.visit()
    rig.garden.visit("cat")
    until(lambda: len(waiting(rig)) == 1, "that it is on record")
    rig.close()
    assert not receiver.requests
    again = Rig(tmp_path, url, cooldown_s=300.0)
    until(lambda: len(receiver.requests) == 1, "the message")
    until(lambda: not waiting(again), "that it is on record")
    again.garden.visit()  # in the cool-down, as before
    assert again.notifier.waiting == 2  # with the cat's
    again.close()
    (message,) = messages(receiver)
    assert message["title"] == "raccoon at pond"


def test_what_no_one_took_before_the_end_is_sent_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    url = f"json://127.0.0.1:{free_port()}/"  # nobody answers
    rig = Rig(tmp_path, url)
    rig.garden.visit()
    until(lambda: [tries for _, tries in waiting(rig)] == [1], "that it is being sent")
    rig.close()
    assert [tries for _, tries in waiting(rig)] == [1]
    again = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/")
    until(lambda: len(receiver.requests) == 1, "the message")
    until(lambda: not waiting(again), "that it is on record")
    again.close()
    assert counted(receiver) == 1


@pytest.mark.parametrize(
    ("tries", "age", "forgotten", "messages", "more"),
    [
        (0, 3500.0, False, 1, 0),
        (1, 10.0, False, 1, 0),
        (2, 10.0, False, 0, 1),  # two runs ended as they sent it
        (0, 3700.0, False, 0, 1),  # no news any more
        (0, 10.0, True, 0, 0),
    ],
)
def test_what_waits_on_record(
    tmp_path: Path,
    receiver: Receiver,
    tries: int,
    age: float,
    forgotten: bool,
    messages: int,
    more: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = Garden(FakeJournal(tmp_path / "journal"), Bus())
    event = before.begin()
    before.end(event)
    kept = {"sent": [], "waiting": [[event.id, tries]], "more": {"cat": 2}}
    before.journal.set_cursor("notify", json.dumps(kept))
    if forgotten:
        before.journal.forget(event.id)
    clock = SetClock(event.begin + age)
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", clock=clock)
    until(lambda: not waiting(rig) or not messages, "that it is on record")
    assert rig.notifier.waiting == 2 + more
    assert caplog.text.count(f"{event.id} is too old or was begun too often") == more
    rig.close()
    assert len(receiver.requests) == messages


@pytest.mark.parametrize("kept", ["[1790000000.0]", "{}", "7", '{"waiting": [7]}', "{"])
def test_a_record_of_another_version_or_a_broken_one_ends_nothing(
    tmp_path: Path, receiver: Receiver, kept: str
) -> None:
    FakeJournal(tmp_path / "journal").set_cursor("notify", kept)
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/", clock=SetClock(1_790_009_000.0))
    rig.garden.visit()
    until(lambda: len(receiver.requests) == 1, "the message")
    rig.close()


def test_what_an_earlier_version_sent_counts_for_the_cool_down(
    tmp_path: Path, receiver: Receiver
) -> None:
    FakeJournal(tmp_path / "journal").set_cursor("notify", "[1789999990.0]")
    rig = Rig(tmp_path, f"json://127.0.0.1:{receiver.port}/")
    rig.garden.visit()
    assert rig.notifier.waiting == 1
    rig.close()


def test_an_address_that_breaks_apprise_is_named_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import apprise

    def fail(self: Any, url: str) -> bool:
        raise ValueError(url)

    monkeypatch.setattr(apprise.Apprise, "add", fail)
    rig = Rig(tmp_path, "json://secret@127.0.0.1:9/", clock=NoWaitClock())
    until(lambda: bool(rig.health), "a warning")
    rig.close()
    assert rig.health == [HealthChanged("notify", False, "Apprise cannot use address 1 (json)")]
    assert "secret" not in caplog.text
