"""What a receiver was not told yet, and what is told of an event."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel import mqtt, notify
from lotor.sentinel.bus import Bus, EventChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config, Mqtt, Notify, Webhook, check
from lotor.sentinel.outbox import Outbox
from lotor.sentinel.store import StoreError
from lotor.sentinel.visit import Visits, local_time, telling
from visitors import FakeControls, FakeJournal, Garden


@pytest.fixture
def garden(tmp_path: Path) -> Garden:
    return Garden(FakeJournal(tmp_path / "journal"), Bus())


def outbox(garden: Garden, *labels: str) -> Outbox:
    box = Outbox(garden.journal, "somebody", "garden", labels)
    box.begin()

    def take(message: Message) -> None:
        box.take(message)

    garden.bus.subscribe(take)
    return box


def told(box: Outbox) -> list[str]:
    """Everything that there is to tell, acknowledged at once."""
    found = []
    while what := box.next():
        found.append(what["id"])
        box.done()
        assert len(found) < 100, "it never ends"
    return found


def test_ends_come_in_the_order_in_which_they_came(garden: Garden) -> None:
    box = outbox(garden)
    first, second = garden.begin(), garden.begin()
    garden.end(second)
    garden.end(first)
    assert told(box) == [f"{second.id}/end", f"{first.id}/end"]


def test_what_was_delivered_is_not_told_again_for_want_of_room(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full all night must not make the same event come every few minutes."""
    box = outbox(garden)
    first, second = garden.end(garden.begin()), garden.end(garden.begin())

    def full(*arguments: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(garden.journal, "set_cursor", full)
        assert (box.next() or {})["id"] == f"{first.id}/end"
        with pytest.raises(StoreError):
            box.done()
        for _ in range(3):
            with pytest.raises(StoreError):
                box.next()
    assert told(box) == [f"{second.id}/end"]
    assert told(outbox(garden)) == []


def test_what_was_not_acknowledged_comes_again(garden: Garden) -> None:
    box = outbox(garden)
    event = garden.end(garden.begin())
    assert [box.next(), box.next()] == [box.next()] * 2
    assert told(outbox(garden)) == [f"{event.id}/end"]
    assert told(outbox(garden)) == []


def test_one_that_is_new_begins_now_also_before_the_first_event(garden: Garden) -> None:
    outbox(garden)
    event = garden.end(garden.begin())
    assert told(outbox(garden)) == [f"{event.id}/end"]
    later = Outbox(garden.journal, "somebody else", "garden")
    later.begin()
    assert told(later) == []


def test_a_visit_is_confirmed_once(garden: Garden) -> None:
    box = outbox(garden)
    event, other = garden.begin(), garden.begin()
    garden.decide(event, votes=False)
    assert told(box) == []
    garden.decide(event)
    garden.decide(event)
    garden.decide(other, actions=("bark",))
    assert told(box) == [f"{event.id}/confirmed", f"{other.id}/confirmed"]
    garden.decide(event)
    garden.end(event)
    assert told(box) == [f"{event.id}/end"]


def test_a_decision_may_come_before_its_event_and_most_never_have_one(garden: Garden) -> None:
    messages: list[Message] = []
    garden.bus.subscribe(messages.append)
    event = garden.begin()
    garden.decide(event)
    visits = Visits()
    for message in reversed(messages):
        visits.take(message)
    assert visits.open[event.id].confirmed
    for number in range(1000):
        stray = garden.begin()
        garden.decide(stray, votes=number % 2 == 0)
        visits.take(messages[-1])
    assert list(visits.open) == [event.id] and visits.open[event.id].confirmed
    assert len(visits._early) <= 256


def test_an_end_that_is_on_record_before_it_is_told_comes_once(garden: Garden) -> None:
    box = outbox(garden)
    event = garden.begin()
    assert told(box) == []
    garden.decide(event)
    ended = replace(event, end=garden.now)
    garden.journal.save(ended)
    assert told(box) == []
    garden.bus.tell(EventChanged(ended))
    assert told(box) == [f"{event.id}/end"]


def test_other_labels_are_passed_over_for_good(garden: Garden) -> None:
    box = outbox(garden, "cat")
    garden.visit("raccoon")
    cat = garden.visit("cat")
    garden.visit("raccoon")
    assert told(box) == [f"{cat.id}/end"]
    assert told(outbox(garden)) == []


def test_the_decision_that_acts_says_most(garden: Garden) -> None:
    event = garden.begin()
    doubtful = garden.decide(event, votes=False)
    assert telling([]) is None and telling([doubtful]) is doubtful
    enough = garden.decide(event)
    acts = garden.decide(event, actions=("bark",))
    assert telling([doubtful, enough]) is enough
    assert telling([doubtful, enough, acts, enough]) is acts


def test_times_have_their_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_time(None) is None
    text = local_time(1_790_000_000.9) or ""
    assert text.startswith("2026-09-2") and text[-6] in "+-"


def test_packages_that_are_optional_are_not_imported_before_they_are_needed() -> None:
    modules = "lotor.sentinel.mqtt, lotor.sentinel.webhook, lotor.sentinel.notify"
    code = f"import sys, {modules}; print(sorted({{'paho', 'apprise'}} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("part", "package"), [("mqtt", "paho-mqtt"), ("notify", "Apprise")], ids=["mqtt", "notify"]
)
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, package: str
) -> None:
    config = Config(
        camera=(Camera("pond", "0"),), mqtt=Mqtt("localhost"), notify=Notify(("json://localhost",))
    )
    bus, journal, clock = Bus(), FakeJournal(tmp_path / "journal"), SetClock(0)
    monkeypatch.setattr(f"lotor.sentinel.{part}.find_spec", lambda name: None)
    with pytest.raises(LotorError, match=rf"needs {package}: pip install 'lotor\[sentinel\]'"):
        if part == "mqtt":
            mqtt.Mqtt(config, bus, FakeControls(bus), journal, clock, tmp_path, tmp_path)
        else:
            notify.Notifier(config, bus, journal, clock, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mqtt": Mqtt("")}, "'mqtt.host' is empty"),
        ({"mqtt": Mqtt("here", prefix="")}, "'mqtt.prefix' is ''"),
        ({"mqtt": Mqtt("here", prefix="lotor/#")}, "'mqtt.prefix' is 'lotor/#'"),
        ({"mqtt": Mqtt("here", discovery="/home")}, "'mqtt.discovery' is '/home'"),
        ({"notify": Notify(("ntfy://a",), labels=("racoon",))}, r"did you mean 'raccoon'\?"),
        ({"webhook": (Webhook("http://a", labels=("racoon",)),)}, r"did you mean 'raccoon'\?"),
    ],
)
def test_a_topic_or_label_that_would_hear_nothing_is_a_mistake(
    changes: dict[str, Any], text: str
) -> None:
    config = Config(camera=(Camera("pond", "0"),))
    check(config, "here")
    with pytest.raises(LotorError, match=text):
        check(replace(config, **changes), "here")


def test_topics_and_labels_that_will_do() -> None:
    config = Config(
        camera=(Camera("pond", "0"),),
        mqtt=Mqtt("here", prefix="home/lotor", discovery=""),
        notify=Notify(("ntfy://a",), labels=("unknown", "raccoon")),
    )
    assert check(config, "here") is config
