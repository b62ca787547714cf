"""MQTT against a real Mosquitto: what is told, what is asked, and what becomes of it in trouble."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import Action, Camera, Config
from lotor.sentinel.config import Mqtt as Options
from lotor.sentinel.mqtt import Mqtt
from mosquitto import Mosquitto, needs_mosquitto
from visitors import FakeControls, FakeJournal, Garden, until

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")

pytestmark = needs_mosquitto


class Listener:
    """Somebody else at the broker: remembers all messages, and sends some."""

    def __init__(self, port: int, clean: bool = True, **keys: Any) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=clean
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

    def send(self, topic: str, payload: str, retain: bool = False) -> None:
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

    def __init__(self, folder: Path, port: int, **options: Any) -> None:
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
            mqtt=Options("127.0.0.1", port=port, **options),
        )
        self.mqtt = Mqtt(
            config, self.bus, self.controls, self.journal, SystemClock(), folder, self.media
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
    (rig.media / "a.jpg").write_bytes(b"\xff\xd8 a picture")
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
    picture = [payload for topic, payload, _ in listener.messages if topic.endswith("/picture")]
    assert picture == [b"\xff\xd8 a picture"]
