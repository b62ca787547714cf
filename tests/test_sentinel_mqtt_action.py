"""MQTT switches, against Mosquitto."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.mqtt import MqttSwitch, Options

paho = pytest.importorskip("paho.mqtt.client", reason="needs the sentinel extra")

CAUSE = Cause("raccoon", "garden", 1.0)
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Broker:
    """Mosquitto on a port of its own, and what was published there."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        passwords = folder / "passwords"
        passwords.touch(0o700)
        tool = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
        subprocess.run([tool, "-b", passwords, "garden", "s3cret"], check=True)
        passwords.chmod(0o644)
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            "user root\n"
        )
        assert BROKER is not None
        self.process = subprocess.Popen(
            [BROKER, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL
        )
        self.got: list[tuple[str, str]] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("garden", "s3cret")
        self.client.on_message = lambda _c, _d, m: self.got.append((m.topic, m.payload.decode()))
        ready: list[int] = []
        self.client.on_subscribe = lambda *_: ready.append(1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        end = time.monotonic() + 20
        while True:
            try:
                self.client.connect("127.0.0.1", self.port)
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        self.client.loop_start()
        while not ready:
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if not BROKER:
        pytest.skip("needs mosquitto")
    made = Broker(tmp_path)
    yield made
    made.close()


def options(broker: Any, folder: Path, **more: Any) -> Options:
    (folder / "password").write_text("s3cret\n")
    given = {"host": "127.0.0.1", "port": broker.port, "user": "garden"}
    return Options(**{"topic": "tap/set", "password_file": "password", **given, **more})


def test_on_and_off(broker: Broker, tmp_path: Path) -> None:
    device = MqttSwitch("tap", options(broker, tmp_path, on='{"on": {seconds}}'), tmp_path)
    device.on(CAUSE, 4.5)
    device.off()
    device.off()
    end = time.monotonic() + 10
    while len(broker.got) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert broker.got == [("tap/set", '{"on": 5}'), ("tap/set", "OFF"), ("tap/set", "OFF")]


def test_a_wrong_password_is_told(broker: Broker, tmp_path: Path) -> None:
    given = options(broker, tmp_path)
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(LotorError, match=r"action 'tap': the broker 127.0.0.1:\d+ refused") as e:
        MqttSwitch("tap", given, tmp_path).on(CAUSE, 1)
    assert "wrong" not in str(e.value) and broker.got == []


def test_no_broker_is_told(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"the broker 127.0.0.1:1: .*refused"):
        MqttSwitch("tap", Options("tap", host="127.0.0.1", port=1), tmp_path).off()


def test_a_broker_that_says_nothing_is_told(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        device = MqttSwitch(
            "tap", Options("tap", host="127.0.0.1", port=port, timeout_s=0.3), tmp_path
        )
        with pytest.raises(LotorError, match=r"did not answer within 0.3 s"):
            device.on(CAUSE, 1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"topic": "tap/#"}, "a topic without"),
        ({"topic": ""}, "a topic without"),
        ({"host": ""}, "'options.host' is empty"),
        ({"port": 0}, "'options.port' is 0"),
        ({"timeout_s": 60}, "'options.timeout_s' is 60"),
        ({"password_file": "none"}, "cannot be read"),
    ],
)
def test_mistakes(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(LotorError, match=said):
        MqttSwitch("tap", Options(**{"topic": "tap", **more}), tmp_path)
