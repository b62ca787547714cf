"""`kind = "mqtt"`: publish a message to switch on and one to switch off (Zigbee2MQTT, Tasmota…)."""

import contextlib
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.secret import read_secret


@dataclass(frozen=True)
class Options:
    """A topic and its messages.

    Attributes:
        topic: that is published to.
        on: message that switches on; `{seconds}` stands for the seconds on, rounded up.
        off: message that switches off.
        host: of the broker.
        port: of it.
        user: and `password_file`, a file whose first line is the password.
        password_file: see `user`.
        tls: speak TLS, checked against the system's authorities or `ca_file`.
        ca_file: an authority of one's own.
        timeout_s: seconds in which the broker must have confirmed a message.
    """

    topic: str
    on: str = "ON"
    off: str = "OFF"
    host: str = "localhost"
    port: int = 1883
    user: str = ""
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    timeout_s: float = 5.0


class MqttSwitch:
    """Switches by MQTT. Each message has a connection of its own, and is confirmed (QoS 1)."""

    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        self._name, self._options, self._folder = name, options, folder
        where = f"action '{name}': 'options."
        if not options.topic or "+" in options.topic or "#" in options.topic:
            raise LotorError(
                f"{where}topic' is '{options.topic}'; a topic without + and # is needed"
            )
        if not options.host:
            raise LotorError(f"{where}host' is empty")
        if not 1 <= options.port <= 65535:
            raise LotorError(f"{where}port' is {options.port}; it must be 1 to 65535")
        if not 0.1 <= options.timeout_s <= 10:
            raise LotorError(f"{where}timeout_s' is {options.timeout_s:g}; it must be 0.1 to 10")
        if options.password_file:
            read_secret(name, folder, options.password_file)  # a mistake is told at once

    def describe(self) -> str:
        """Return what it publishes where."""
        return f"publish {self._options.on} to {self._options.topic}"

    def on(self, cause: Cause, seconds: float) -> None:
        """Publish the message that switches on.

        Raises:
            LotorError: the broker did not confirm it in time.
        """
        self._publish(self._options.on.replace("{seconds}", str(-int(-seconds // 1))))

    def off(self) -> None:
        """Publish the message that switches off.

        Raises:
            LotorError: the broker did not confirm it in time.
        """
        self._publish(self._options.off)

    def close(self) -> None:
        """Nothing stays open."""

    def _publish(self, message: str) -> None:
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise LotorError(
                "MQTT needs the package paho-mqtt: `pip install 'lotor[sentinel]'`"
            ) from error
        options = self._options
        where = f"action '{self._name}': the broker {options.host}:{options.port}"
        connected, refused = threading.Event(), list[str]()

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
            if reason.is_failure:
                refused.append(str(reason))
            connected.set()

        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = on_connect
        client.connect_timeout = options.timeout_s
        if options.user or options.password_file:
            password = None
            if options.password_file:
                password = read_secret(self._name, self._folder, options.password_file)
            client.username_pw_set(options.user, password)
        try:
            if options.tls:
                ca = str(self._folder / Path(options.ca_file).expanduser())
                client.tls_set(ca if options.ca_file else None)
            client.connect(options.host, options.port)
            client.loop_start()
            if not connected.wait(options.timeout_s):
                raise LotorError(f"{where} did not answer within {options.timeout_s:g} s")
            if refused:
                raise LotorError(f"{where} refused: {refused[0]}")
            sent = client.publish(options.topic, message, qos=1)
            sent.wait_for_publish(options.timeout_s)
            if not sent.is_published():
                raise LotorError(
                    f"{where} did not confirm a message within {options.timeout_s:g} s"
                )
        except (OSError, ssl.SSLError, ValueError, RuntimeError) as error:
            raise LotorError(f"{where}: {' '.join(str(error).split())}") from error
        finally:
            with contextlib.suppress(OSError):
                client.disconnect()
            client.loop_stop()
