"""MQTT against a real Mosquitto: what is told, what is asked, and what becomes of it in trouble."""

import json
import math
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.sentinel import mqtt
from lotor.sentinel.bus import Bus, HealthChanged, Message, SceneSeen
from lotor.sentinel.clock import Clock, SystemClock
from lotor.sentinel.config import Action, Camera, Config, Veto
from lotor.sentinel.config import Mqtt as Options
from lotor.sentinel.mqtt import Mqtt
from lotor.sentinel.scene import Frame, Light, Scene
from mosquitto import Mosquitto, free_port, needs_mosquitto
from visitors import FakeControls, FakeJournal, Garden, NoWaitClock, until

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")

pytestmark = needs_mosquitto


class Listener:
    """Somebody else at the broker: remembers all messages, and sends some."""

    def __init__(self, port: int, clean: bool = True, name: str = "listener") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean
        )
        self._subscribed = threading.Event()
        self._client.on_message = lambda client, data, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.on_connect = lambda client, *rest: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *rest: self._subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def send(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def last(self, topic: str) -> str | None:
        found = [payload for name, payload, _ in self.messages if name == topic]
        return found[-1].decode() if found else None

    def events(self) -> list[dict[str, Any]]:
        return [
            json.loads(payload)
            for topic, payload, _ in list(self.messages)
            if topic == "lotor/garden/events"
        ]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Rig:
    """A sentinel's part for MQTT with all that it needs."""

    def __init__(
        self,
        folder: Path,
        port: int,
        host: str = "127.0.0.1",
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.bus = Bus()
        self.health: list[HealthChanged] = []
        self.bus.subscribe(self._hear)
        self.controls = FakeControls(self.bus)
        self.journal = FakeJournal(folder / "journal")
        self.garden = Garden(self.journal, self.bus)
        self.media = folder / "media"
        self.media.mkdir(exist_ok=True)
        config = Config(
            camera=(Camera("pond", "0"),),
            action=(Action("bark", "sound"),),
            veto=Veto(hold_s=1.0),
            mqtt=Options(host, port=port, **options),
        )
        self.mqtt = Mqtt(
            *(config, self.bus, self.controls, self.journal),
            *(clock or SystemClock(), folder, self.media),
        )

    def _hear(self, message: Message) -> None:
        if isinstance(message, HealthChanged) and message.part == "mqtt":
            self.health.append(message)

    @property
    def well(self) -> bool:
        return bool(self.health) and self.health[-1].well


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def listen(broker: Mosquitto) -> Iterator[Callable[[], Listener]]:
    listeners: list[Listener] = []

    def begin() -> Listener:
        listeners.append(Listener(broker.port))
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.close()


@pytest.fixture
def rig(tmp_path: Path, broker: Mosquitto) -> Iterator[Rig]:
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    yield rig
    rig.mqtt.close()


def online(listener: Listener) -> None:
    until(lambda: listener.last("lotor/garden/status") == "online", "online")


def told(listener: Listener, kind: str = "end") -> list[str]:
    return [event["event"] for event in listener.events() if event["type"] == kind]


def test_a_visit_is_told_as_it_goes(rig: Rig, listen: Callable[[], Listener]) -> None:
    listener = listen()
    until(lambda: listener.last("lotor/garden/status") == "online", "online")
    seen = "lotor/garden/seen/pond/raccoon"
    until(lambda: listener.last(seen) == "OFF", "a state")
    event = rig.garden.begin()
    rig.garden.decide(event, votes=False)
    decision = rig.garden.decide(event, actions=("bark",))
    rig.garden.act(decision, "bark")
    until(lambda: listener.last(seen) == "ON", "seen")
    (rig.media / "a.jpg").write_bytes(b"a picture")
    rig.garden.picture(event, "a.jpg")
    rig.garden.end(event)
    until(lambda: len(listener.events()) == 2, "both messages")
    until(lambda: listener.last(seen) == "OFF", "gone")
    confirmed, ended = listener.events()
    assert (confirmed["type"], ended["type"]) == ("confirmed", "end")
    assert confirmed["event"] == ended["event"] == event.id
    assert ended["why"].startswith("4 of the last 5 frames say raccoon")
    assert ended["acts"][0]["result"] == "done" and ended["seconds"] == 5
    assert json.loads(listener.last("lotor/garden/last") or "")["label"] == "raccoon"
    until(lambda: listener.last("lotor/garden/picture") == "a picture", "the picture")
    pictures = [payload for topic, payload, _ in listener.messages if topic.endswith("/picture")]
    # Where there was none, it may have been told that there is none.
    assert [picture for picture in pictures if picture] == [b"a picture"]


def test_a_picture_that_comes_after_the_end(rig: Rig, listen: Callable[[], Listener]) -> None:
    listener = listen()
    online(listener)
    event = rig.garden.visit()
    until(lambda: told(listener) == [event.id], "the end")
    (rig.media / "late.jpg").write_bytes(b"late")
    rig.garden.picture(event, "late.jpg")
    until(lambda: listener.last("lotor/garden/picture") == "late", "the picture")
    assert json.loads(listener.last("lotor/garden/last") or "")["picture"] == "late.jpg"


def test_what_is_forgotten_is_taken_back(
    tmp_path: Path,
    broker: Mosquitto,
    listen: Callable[[], Listener],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "_COUNT_S", 0.1)
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    listener = listen()
    older, newer = rig.garden.visit(), rig.garden.begin()
    rig.garden.decide(newer)
    (rig.media / "a.jpg").write_bytes(b"a picture")
    rig.garden.picture(newer, "a.jpg")
    rig.garden.end(newer)
    until(lambda: listener.last("lotor/garden/picture") == "a picture", "the picture")
    (rig.media / "a.jpg").unlink()
    until(lambda: listener.last("lotor/garden/picture") == "", "gone")
    rig.journal.forget(newer.id)
    until(lambda: older.id in (listener.last("lotor/garden/last") or ""), "the one before")
    rig.journal.forget(older.id)
    until(lambda: listener.last("lotor/garden/last") == "", "nothing")
    rig.mqtt.close()


def test_a_frame_that_deceives_is_no_visit(rig: Rig, listen: Callable[[], Listener]) -> None:
    listener = listen()
    online(listener)
    doubtful = rig.garden.begin()
    rig.garden.decide(doubtful, votes=False)
    rig.garden.end(doubtful)
    until(lambda: len(listener.events()) == 1, "its end, for those who want all")
    rig.mqtt.close()
    until(lambda: listener.last("lotor/garden/status") == "offline", "offline")
    assert listener.events()[0]["confirmed"] is False
    assert not listener.last("lotor/garden/last")
    assert {p for t, p, _ in listener.messages if t.endswith("/seen/pond/raccoon")} == {b"OFF"}


def test_a_person_is_shown_for_as_long_as_deterrents_are_held(
    rig: Rig, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    topic = "lotor/garden/seen/pond/person"
    until(lambda: listener.last(topic) == "OFF", "a state")
    frame = Frame("pond", 0, 0.0, 0.0, np.zeros((4, 4, 3), np.uint8))
    for person in (None, 0.2, math.nan):
        rig.bus.tell(SceneSeen(Scene(frame, Light.DAY, person=person, veto=("person", 0.5))))
    rig.bus.tell(HealthChanged("store", True))
    until(lambda: listener.last("lotor/garden/health/store") is not None, "all before")
    assert listener.last(topic) == "OFF"
    rig.bus.tell(SceneSeen(Scene(frame, Light.DAY, person=0.6, veto=("person", 0.5))))
    until(lambda: listener.last(topic) == "ON", "a person")
    until(lambda: listener.last(topic) == "OFF", "gone after veto.hold_s, 1 s here")


def test_health_of_a_new_part_appears(rig: Rig, listen: Callable[[], Listener]) -> None:
    listener = listen()
    online(listener)
    rig.bus.tell(HealthChanged("camera gate", False, "no frame for 9 s", blocks=True))
    topic = "lotor/garden/health/camera_gate"
    until(lambda: listener.last(topic) is not None, "its state")
    state = json.loads(listener.last(topic) or "")
    assert state == {"problem": "ON", "text": "no frame for 9 s", "blocks": True}
    config = "homeassistant/binary_sensor/lotor_garden/health_camera_gate/config"
    until(lambda: listener.last(config) is not None, "its configuration")
    rig.bus.tell(HealthChanged("camera gate", True))
    until(lambda: '"OFF"' in (listener.last(topic) or ""), "well again")


def test_commands(
    rig: Rig, listen: Callable[[], Listener], caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen()
    online(listener)
    for payload in ("off", "", "1", "OFF\n"):
        listener.send("lotor/garden/armed/set", payload)
    until(lambda: listener.last("lotor/garden/armed") == "OFF", "disarmed")
    assert rig.controls.asked == [("arm", False, "MQTT")]
    assert "'off' on lotor/garden/armed/set is ignored" in caplog.text
    listener.send("lotor/garden/armed/set", "ON")
    until(lambda: listener.last("lotor/garden/armed") == "ON", "armed")
    listener.send("lotor/garden/test", "launch")
    listener.send("lotor/garden/test", "bark")
    until(lambda: ("test", "bark", "MQTT") in rig.controls.asked, "a test")
    assert rig.controls.asked[1:] == [("arm", True, "MQTT"), ("test", "bark", "MQTT")]
    assert "'launch' is ignored" in caplog.text


def test_garbage_on_the_command_topics_does_nothing(
    rig: Rig, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    online(listener)
    for topic in ("lotor/garden/armed/set", "lotor/garden/test"):
        for payload in (b"\xff\xfe\x00", b'{"state": "ON"}', b"ON OFF", b"ON" * 500_000):
            listener.send(topic, payload)
    listener.send("lotor/garden/armed/set", "OFF")
    until(lambda: bool(rig.controls.asked), "disarmed")
    assert rig.controls.asked == [("arm", False, "MQTT")]
    assert [state.well for state in rig.health] == [True]


def test_what_was_asked_while_it_was_away_is_not_done_later(
    tmp_path: Path, rig: Rig, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    online(listener)
    rig.mqtt.close()
    listener.send("lotor/garden/armed/set", "ON")
    listener.send("lotor/garden/armed/set", "ON", retain=True)
    later = Rig(tmp_path, broker.port)
    later.mqtt.start()
    until(lambda: later.well, "a connection")
    online(listener)
    listener.send("lotor/garden/test", "bark")
    until(lambda: bool(later.controls.asked), "a test")
    later.mqtt.close()
    assert later.controls.asked == [("test", "bark", "MQTT")]


def test_off_is_heard_while_a_test_is_running(rig: Rig, listen: Callable[[], Listener]) -> None:
    listener = listen()
    online(listener)
    disarmed = threading.Event()
    rig.controls.testing = disarmed
    listener.send("lotor/garden/test", "bark")
    until(lambda: len(rig.controls.asked) == 1, "the test")
    listener.send("lotor/garden/armed/set", "OFF")
    until(lambda: len(rig.controls.asked) == 2, "disarmed")
    disarmed.set()
    assert rig.controls.asked == [("test", "bark", "MQTT"), ("arm", False, "MQTT")]


def test_a_command_that_is_retained_is_ignored(
    tmp_path: Path,
    broker: Mosquitto,
    listen: Callable[[], Listener],
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = listen()
    listener.send("lotor/garden/armed/set", "OFF", retain=True)
    listener.send("lotor/garden/test", "bark", retain=True)
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    online(listener)
    until(lambda: caplog.text.count("is ignored; clear it there") == 2, "both ignored")
    rig.mqtt.close()
    assert rig.controls.asked == []


def test_home_assistant_is_told_again_after_its_start(
    rig: Rig, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    online(listener)
    listener.messages.clear()
    listener.send("homeassistant/status", "offline")
    listener.send("homeassistant/status", "online")
    config = "homeassistant/switch/lotor_garden/armed/config"
    until(lambda: listener.last(config) is not None, "the configuration")
    online(listener)
    assert json.loads(listener.last(config) or "")["command_topic"] == "lotor/garden/armed/set"


def test_an_entity_that_is_gone_is_taken_back(
    tmp_path: Path, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    mine = "homeassistant/button/lotor_garden/test_hose/config"
    other = "homeassistant/button/lotor_attic/test_hose/config"
    for topic in (mine, other):
        listener.send(topic, "{}", retain=True)
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    until(lambda: listener.last(mine) == "", "taken back")
    rig.mqtt.close()
    later = Listener(broker.port)
    until(lambda: later.last(other) is not None, "the other's")
    until(lambda: later.last("lotor/garden/status") is not None, "all")
    assert later.last(mine) is None
    assert later.last("homeassistant/button/lotor_garden/test_bark/config")
    later.close()


def test_a_state_that_is_gone_is_taken_back(
    tmp_path: Path, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    gone = ["lotor/garden/seen/pond/fox", "lotor/garden/seen/shed/raccoon"]
    gone.append("lotor/garden/health/camera_shed")
    kept = ["lotor/attic/seen/pond/fox", "lotor/garden/note"]
    for topic in (*gone, *kept, "lotor/garden/seen/pond/raccoon"):
        listener.send(topic, "ON", retain=True)
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    until(lambda: all(listener.last(topic) == "" for topic in gone), "taken back")
    rig.mqtt.close()
    assert [listener.last(topic) for topic in kept] == ["ON", "ON"]
    assert listener.last("lotor/garden/seen/pond/raccoon") == "OFF"


def test_without_discovery_nothing_is_said_there(
    tmp_path: Path, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    rig = Rig(tmp_path, broker.port, discovery="", prefix="a/b")
    rig.mqtt.start()
    listener = listen()
    until(lambda: listener.last("a/b/garden/status") == "online", "online")
    rig.mqtt.close()
    assert all(topic.startswith("a/b/garden/") for topic, _, _ in listener.messages)


def test_it_says_that_it_goes_and_the_broker_says_it_for_one_that_broke_off(
    rig: Rig, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    online(listener)
    connection = rig.mqtt._connection
    assert connection is not None
    connection._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    until(lambda: listener.last("lotor/garden/status") == "offline", "the last will")
    online(listener)
    assert [state.well for state in rig.health] == [True, False, True]
    listener.send("lotor/garden/status", "offline", retain=True)
    until(lambda: listener.last("lotor/garden/status") == "online", "it sets that right")
    rig.mqtt.close()
    until(lambda: listener.last("lotor/garden/status") == "offline", "said by itself")
    pattern = r"Client lotor-garden .*disconnected\."
    until(lambda: bool(re.search(pattern, broker.log)), "no last will was needed")


def test_nothing_is_lost_while_the_broker_is_down_nor_by_a_restart(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistent=False) as broker:
        rig = Rig(tmp_path, broker.port)
        rig.garden.visit()
        rig.mqtt.start()
        until(lambda: rig.well, "a connection")
        listener = Listener(broker.port)
        events = [rig.garden.visit().id for _ in range(5)]
        until(lambda: told(listener) == events, "those before")
        broker.stop()
        until(lambda: not rig.well, "a warning")
        assert "trying again" in rig.health[-1].text
        events += [rig.garden.visit().id for _ in range(150)]
        lasting = rig.garden.begin()
        rig.garden.decide(lasting)
        rig.mqtt.close()
        # A sentinel that is started while the broker is still down.
        rig = Rig(tmp_path, broker.port)
        rig.garden.now += 1000
        rig.mqtt.start()
        events += [rig.garden.visit().id for _ in range(5)]
        until(lambda: bool(rig.health), "a warning")
        broker.start()
        until(lambda: len(told(listener)) >= len(events), "all")
        rig.garden.visit()
        until(lambda: len(told(listener)) > len(events), "one more")
        assert told(listener)[: len(events)] == events
        # The broker has forgotten all that was retained, and knows it again.
        later = Listener(broker.port)
        online(later)
        assert json.loads(later.last("lotor/garden/last") or "")["label"] == "raccoon"
        assert later.last("homeassistant/sensor/lotor_garden/score/config")
        for each in (later, listener):
            each.close()
        rig.mqtt.close()


def test_a_broker_that_forgets_is_told_all_again(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistent=False) as broker:
        rig = Rig(tmp_path, broker.port)
        rig.mqtt.start()
        first = Listener(broker.port)
        online(first)
        first.close()
        before = {topic for topic, _, _ in first.messages}
        broker.stop()
        until(lambda: not rig.well, "a warning")
        broker.start()
        second = Listener(broker.port)
        online(second)
        rig.mqtt.close()
        until(lambda: before <= {topic for topic, _, _ in second.messages}, "all again")
        second.close()


def test_a_broker_that_restarts_while_a_visit_lasts(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistent=False) as broker:
        rig = Rig(tmp_path, broker.port)
        rig.mqtt.start()
        listener = Listener(broker.port)
        event = rig.garden.begin()
        rig.garden.decide(event)
        until(lambda: told(listener, "confirmed") == [event.id], "confirmed")
        broker.stop()
        until(lambda: not rig.well, "a warning")
        broker.start()
        later = Listener(broker.port, name="later")
        seen = "lotor/garden/seen/pond/raccoon"
        until(lambda: later.last(seen) == "ON", "it still lasts")
        rig.garden.end(event)
        until(lambda: told(later) == [event.id], "the end")
        until(lambda: later.last(seen) == "OFF", "it is over")
        rig.mqtt.close()
        assert told(later, "confirmed") == []
        for each in (listener, later):
            each.close()


def test_two_of_one_name_and_one_goes(
    tmp_path: Path, rig: Rig, broker: Mosquitto, listen: Callable[[], Listener]
) -> None:
    listener = listen()
    online(listener)
    (tmp_path / "other").mkdir()
    other = Rig(tmp_path / "other", broker.port)
    other.mqtt.start()
    until(lambda: any(not state.well for state in rig.health), "thrown out")
    until(lambda: any(not state.well for state in other.health), "the other, too")
    rig.mqtt.close()
    event = other.garden.visit()
    until(lambda: event.id in told(listener), "the other's")
    until(lambda: other.well, "a connection")
    online(listener)
    other.mqtt.close()


def test_a_broker_that_hangs_blocks_nobody(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_ANSWER_S", 1.0)
    listener = Listener(broker.port)
    rig = Rig(tmp_path, broker.port)
    rig.mqtt.start()
    online(listener)
    with broker.hanging():
        events = [rig.garden.visit().id for _ in range(20)]
        until(lambda: not rig.well, "a warning")
        assert "not acknowledged within 1 s" in rig.health[-1].text
        events.append(rig.garden.visit().id)
    until(lambda: events[-1] in told(listener), "the last")
    rig.mqtt.close()
    # At least once: what the broker took but did not acknowledge comes twice, with the same id.
    assert list(dict.fromkeys(told(listener))) == events
    assert len(told(listener)) <= len(events) + 2
    listener.close()


def test_a_number_that_comes_again_is_no_acknowledgement(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_ANSWER_S", 1.0)
    listener, rig = Listener(broker.port), Rig(tmp_path, broker.port)
    rig.mqtt.start()
    try:
        online(listener)
        assert rig.mqtt._connection
        rig.mqtt._connection._acknowledged.update(range(1, 65536))  # of weeks of states
        with broker.hanging():
            event = rig.garden.visit().id
            until(lambda: not rig.well, "a warning")
        until(lambda: event in told(listener), "the event")
    finally:
        rig.mqtt.close()
        listener.close()


def test_one_that_accepts_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        rig = Rig(tmp_path, server.getsockname()[1])
        rig.mqtt.start()
        until(lambda: bool(rig.health), "a warning")
        assert "the broker did not answer within 0.5 s" in rig.health[0].text
        rig.garden.visit()
        rig.mqtt.close()
        assert not rig.mqtt._thread.is_alive()


def test_back_off_grows_until_a_connection_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = NoWaitClock()
    lasts = [None] * 8 + [0.5, 59.0, 60.0, 0.5, None]
    rig = Rig(tmp_path, 1883, clock=clock)

    def converse() -> None:
        if not lasts:
            return
        seconds = lasts.pop(0)
        if seconds is not None:
            rig.mqtt._since = clock.monotonic()
            clock.advance(seconds)
        raise mqtt._Lost("gone")

    monkeypatch.setattr(rig.mqtt, "_converse", converse)
    rig.mqtt._run()
    assert clock.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 1, 2, 4]


@pytest.mark.parametrize(
    ("host", "text"),
    [("127.0.0.1", "refused"), ("nobody.invalid", "there is no host of that name")],
)
def test_no_broker_there(tmp_path: Path, host: str, text: str) -> None:
    rig = Rig(tmp_path, free_port(), host=host)
    rig.mqtt.start()
    until(lambda: bool(rig.health), "a warning")
    assert text in rig.health[0].text and not rig.health[0].blocks
    rig.mqtt.close()
    assert not rig.mqtt._thread.is_alive()


def test_credentials(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    program = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    subprocess.run([program, "-c", "-b", str(passwords), "garden", "right one"], check=True)
    settings = ("allow_anonymous false", f"password_file {passwords}")
    with Mosquitto(tmp_path / "broker", settings) as broker:
        (tmp_path / "secret").write_text("wrong one\n")
        wrong = Rig(tmp_path, broker.port, user="garden", password_file="secret")
        wrong.mqtt.start()
        until(lambda: bool(wrong.health), "a warning")
        assert "the broker refuses: Not authorized" in wrong.health[0].text
        assert "wrong one" not in wrong.health[0].text
        (tmp_path / "secret").write_text("right one\nanother line\n")
        right = Rig(tmp_path, broker.port, user="garden", password_file="secret")
        right.mqtt.start()
        until(lambda: right.well, "a connection")
        wrong.mqtt.close()
        right.mqtt.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"password_file": "none"}, "'mqtt.password_file' .*none: cannot be read"),
        ({"password_file": "empty"}, "its first line is empty"),
        ({"tls": True, "ca_file": "none"}, "'mqtt.ca_file' .*none: cannot be read"),
        ({"tls": True, "ca_file": "empty"}, "'mqtt.ca_file' .*empty: cannot be read"),
        ({"ca_file": "empty"}, "'mqtt.tls' is not true"),
    ],
)
def test_a_file_that_is_wrong_is_a_mistake(
    tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(LotorError, match=text):
        Rig(tmp_path, 1883, **options)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl: apt-get install openssl")
def test_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=garden")
    for name in ("127.0.0.1", "192.0.2.1"):
        openssl(
            *("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=broker"),
            *("-addext", f"subjectAltName=IP:{name}"),
        )

    def settings(name: str) -> tuple[str, ...]:
        return (
            "allow_anonymous true",
            f"certfile {tmp_path}/{name}.pem",
            f"keyfile {tmp_path}/{name}.key",
        )

    with Mosquitto(tmp_path / "broker", settings("127.0.0.1")) as broker:
        trusts = Rig(tmp_path, broker.port, tls=True, ca_file="ca.pem")
        doubts = Rig(tmp_path, broker.port, tls=True)
        plain = Rig(tmp_path, broker.port)
        for rig in (trusts, doubts, plain):
            rig.mqtt.start()
        until(lambda: trusts.well, "a connection")
        (tmp_path / "media" / "large.jpg").write_bytes(bytes(1_000_000))
        event = trusts.garden.begin()
        trusts.garden.decide(event)
        trusts.garden.picture(event, "large.jpg")
        trusts.garden.end(event)
        until(lambda: trusts.journal.cursor("mqtt") == event.id, "acknowledged")
        until(lambda: bool(doubts.health and plain.health), "warnings")
        assert "certificate is not trusted" in doubts.health[0].text
        for rig in (trusts, doubts, plain):
            rig.mqtt.close()
        assert trusts.health == [HealthChanged("mqtt", True)]
    with Mosquitto(tmp_path / "other", settings("192.0.2.1")) as broker:
        rig = Rig(tmp_path, broker.port, tls=True, ca_file="ca.pem")
        rig.mqtt.start()
        until(lambda: bool(rig.health), "a warning")
        assert "certificate is not valid for '127.0.0.1'" in rig.health[0].text
        rig.mqtt.close()


def test_a_record_that_fails_is_told_and_tried_again(
    rig: Rig, listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen()
    online(listener)
    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "decisions", lambda event: 1 / 0)
        event = rig.garden.visit()
        until(lambda: not rig.well, "a warning")
        assert "ZeroDivisionError" in rig.health[-1].text
    until(lambda: told(listener) == [event.id], "its end")
