"""The sentinel on MQTT: states, events and commands, with Home Assistant's discovery.

States are retained and sent anew on every connection, so a broker may forget all. Ends of events
come out of an outbox (`outbox.py`), one after another, each until the broker has acknowledged it.
MQTT 3.1.1, which every broker speaks. One thread does it all; what happens only marks what there is
to send, so nothing piles up while there is no broker.
"""

import contextlib
import json
import logging
import math
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotor.errors import LotorError, reason
from lotor.sentinel.bus import (
    Acted,
    Bus,
    Controls,
    HealthChanged,
    Message,
    SceneSeen,
)
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Config
from lotor.sentinel.config import Mqtt as Options
from lotor.sentinel.event import Event
from lotor.sentinel.home_assistant import Garden, discovery
from lotor.sentinel.outbox import Journal, Outbox, report_of
from lotor.sentinel.worker import Worker

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import MQTTErrorCode

log = logging.getLogger(__name__)

PART = "mqtt"
"""Its name in `HealthChanged`, and of its cursor."""

PERSON = "person"

_KEEPALIVE_S = 30
_ANSWER_S = 15.0
_BACK_OFF_S = (1.0, 60.0)
_STEADY_S = 60.0
"""A connection that lasted so long was a good one."""
_COUNT_S = 60.0
_LOOK_BACK = 20
_LARGEST_PICTURE = 4_000_000


class _Lost(Exception):
    """There is no connection (any more); the text says why."""


class _Connection:
    """One connection to a broker, driven by the thread that made it; none outlives its loss.

    Raises:
        _Lost: from every method, also the constructor.
    """

    def __init__(
        self,
        options: Options,
        id: str,
        secret: str | None,
        tls: ssl.SSLContext | None,
        will: str,
        stop: threading.Event,
    ) -> None:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        self.received: deque[tuple[str, bytes, bool]] = deque(maxlen=64)
        self._acknowledged: set[int] = set()
        self._stop = stop
        # "" is yes.
        self._answers: list[str] = []
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        client = Client(CallbackAPIVersion.VERSION2, client_id=id, protocol=MQTTv311)
        client.will_set(will, "offline", qos=1, retain=True)
        if options.user:
            client.username_pw_set(options.user, secret)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._client: Client = client
        try:
            client.connect(options.host, options.port, keepalive=_KEEPALIVE_S)
            self._wait(lambda: bool(self._answers), "the broker did not answer", _ANSWER_S)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise _Lost(f"its certificate is not trusted: {error.verify_message}") from error
        except socket.gaierror as error:
            self.close()
            raise _Lost("there is no host of that name") from error
        except (OSError, ValueError) as error:
            self.close()
            raise _Lost(reason(error) or type(error).__name__) from error
        except _Lost:
            # A broker that refuses says so and hangs up.
            if not any(self._answers):
                self.close()
                raise
        if self._answers[0]:
            self.close()
            raise _Lost(f"the broker refuses: {self._answers[0]}")

    def wake(self) -> None:
        """End `serve`'s wait, from any thread."""
        # Full: it wakes anyway; closed: nobody waits.
        with contextlib.suppress(OSError):
            self._wake.send(b"!")

    def serve(self, seconds: float) -> None:
        """Send and receive until something was received, it is woken, or seconds have passed."""
        sock: Any = self._client.socket()
        if sock is None:
            raise _Lost("the connection was lost")
        # TLS may hold bytes that the socket no longer has.
        ready = sock.pending() > 0 if hasattr(sock, "pending") else False
        readable, writable, _ = select.select(
            [sock, self._woken],
            [sock] if self._client.want_write() else [],
            [],
            0 if ready else seconds,
        )
        if self._woken in readable:
            self._woken.recv(4096)
        if ready or sock in readable:
            self._check(self._client.loop_read())
        if writable:
            self._check(self._client.loop_write())
        self._check(self._client.loop_misc())

    @property
    def busy(self) -> bool:
        """Whether what was published waits for the network."""
        return bool(self._client.want_write())

    def subscribe(self, *topics: str) -> None:
        """Receive what comes there."""
        self._check(self._client.subscribe([(topic, 1) for topic in topics])[0])

    def publish(self, topic: str, payload: str | bytes) -> None:
        """Publish a state: retained, and not acknowledged."""
        self._check(self._client.publish(topic, payload, qos=0, retain=True).rc)

    def send(self, topic: str, payload: str, retain: bool = False) -> int:
        """Publish what must arrive; returns what `arrived` asks for."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        self._check(info.rc)
        # Numbers come again after 65535: an earlier message's must not pass for this one's.
        self._acknowledged.discard(info.mid)
        return info.mid

    def arrived(self, number: int) -> bool:
        """Return, once, whether the broker has acknowledged what was sent."""
        if number not in self._acknowledged:
            return False
        self._acknowledged.discard(number)
        return True

    def close(self, last: tuple[str, str] | None = None) -> None:
        """Say a last thing (topic, retained payload), if it can be said, and hang up."""
        try:
            if last:
                number = self.send(*last, retain=True)
                self._wait(lambda: self.arrived(number), "not acknowledged", 2.0)
                self._client.disconnect()
                self._client.loop_write()
        except (_Lost, OSError, ValueError) as error:
            log.warning("MQTT: not told that it goes offline: %s", error)
        if sock := self._client.socket():
            sock.close()
        self._wake.close()
        self._woken.close()

    def _wait(self, met: Callable[[], bool], text: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not met():
            if time.monotonic() > until:
                raise _Lost(f"{text} within {seconds:g} s")
            if self._stop.is_set() and not self._answers:
                raise _Lost("stopped")
            self.serve(0.2)

    def _check(self, code: "MQTTErrorCode") -> None:
        from paho.mqtt.client import error_string

        if code:
            raise _Lost(error_string(code))

    def _on_connect(self, client: "Client", data: Any, flags: Any, code: Any, more: Any) -> None:
        self._answers.append(str(code) if code.is_failure else "")

    def _on_message(self, client: "Client", data: Any, message: "MQTTMessage") -> None:
        self.received.append((message.topic, bytes(message.payload), message.retain))

    def _on_publish(self, client: "Client", data: Any, mid: int, code: Any, more: Any) -> None:
        self._acknowledged.add(mid)


class Mqtt:
    """Tells a broker what happens, and does what it is asked.

    Args:
        config: with its `mqtt`.
        bus: whose messages are told; hears of the connection's health.
        controls: for commands, and what there is.
        journal: has the events.
        clock: of the back-off and of how long a person is remembered.
        folder: that `password_file` and `ca_file` are relative to.
        media: that an event's picture is relative to.

    Raises:
        LotorError: a file cannot be read, or paho-mqtt is missing.
    """

    def __init__(
        self,
        config: Config,
        bus: Bus,
        controls: Controls,
        journal: Journal,
        clock: Clock,
        folder: Path,
        media: Path,
    ) -> None:
        if config.mqtt is None:
            raise LotorError("the configuration has no [mqtt]")
        if find_spec("paho") is None:
            raise LotorError("[mqtt] needs paho-mqtt: pip install 'lotor[sentinel]'")
        self._config, self._options = config, config.mqtt
        self._bus, self._controls, self._journal, self._clock = bus, controls, journal, clock
        self._media = media
        self._secret = _password(self._options, folder)
        self._tls = _tls(self._options, folder)
        self._outbox = Outbox(journal, PART, config.name)
        labels = tuple(controls.labels)
        if config.veto.model and PERSON not in labels:
            labels = (*labels, PERSON)
        self._labels = labels
        self._lock = threading.Lock()
        self._persons: dict[str, float] = {}
        self._parts = {state.part: state for state in controls.health() if state.part != PART}
        self._last: Event | None = None
        self._last_changed = True
        self._last_report: dict[str, Any] | None = None
        self._health: HealthChanged | None = None
        self._published: dict[str, object] = {}
        self._discovered: tuple[Garden, dict[str, str]] | None = None
        self._counted, self._counters_text = -math.inf, "{}"
        self._testing: threading.Thread | None = None
        self._connection: _Connection | None = None
        self._since = math.inf
        self._stop = threading.Event()
        self._leave: Callable[[], None] = lambda: None
        self._thread = Worker(PART, self._run, bus.tell)

    @property
    def _garden(self) -> Garden:
        with self._lock:
            parts = tuple(sorted(self._parts))
        return Garden(
            self._config.name,
            self._options.prefix,
            self._controls.cameras,
            self._labels,
            tuple(action.name for action in self._config.action),
            tuple(self._controls.counters()),
            parts,
        )

    def start(self) -> None:
        """Begin; call it before the first event."""
        self._outbox.begin()
        self._leave = self._bus.subscribe(self._take)
        self._thread.start()

    def close(self) -> None:
        """Say that it is offline, and end."""
        self._leave()
        self._stop.set()
        self._wake()
        self._thread.end(10)

    def _take(self, message: Message) -> None:
        """Mark what there is to tell; in the thread that tells, so quick."""
        if isinstance(message, SceneSeen):
            scene = message.scene
            if scene.person is None or math.isnan(scene.person) or not scene.shows_person:
                return
            before = self._persons.get(scene.frame.camera, -math.inf)
            self._persons[scene.frame.camera] = self._clock.monotonic()
            if self._clock.monotonic() - before < 1:
                return
        else:
            visit = self._outbox.take(message)
            with self._lock:
                if visit and visit.confirmed:
                    self._last = visit.event
                # Also a picture that comes after the end, and what became of an action.
                self._last_changed |= visit is not None or isinstance(message, Acted)
                if isinstance(message, HealthChanged) and message.part != PART:
                    self._parts[message.part] = message
        self._wake()

    def _wake(self) -> None:
        if connection := self._connection:
            connection.wake()

    def _run(self) -> None:
        delay = _BACK_OFF_S[0]
        while not self._stop.is_set():
            try:
                self._converse()
            except _Lost as error:
                text = str(error)
            except Exception as error:  # whatever it is, the sentinel goes on without MQTT
                log.exception("MQTT")
                text = f"{type(error).__name__}: {error}"
            else:
                return
            # Two of one name throw each other out again and again: that gets slower, too.
            if self._clock.monotonic() - self._since >= _STEADY_S:
                delay = _BACK_OFF_S[0]
            self._since = math.inf
            place = f"{self._options.host}:{self._options.port}"
            self._tell_health(False, f"no MQTT at {place}: {text}; trying again")
            self._clock.wait(self._stop, delay)
            delay = min(2 * delay, _BACK_OFF_S[1])

    def _tell_health(self, well: bool, text: str = "") -> None:
        state = HealthChanged(PART, well, text)
        if state == self._health:
            return
        self._health = state
        self._bus.tell(state)

    def _converse(self) -> None:
        """Connect and talk until told to stop.

        Raises:
            _Lost: the connection is.
        """
        garden = self._garden
        topics = garden.topics
        id = f"lotor-{garden.name}"
        connection = _Connection(
            self._options, id, self._secret, self._tls, topics.status, self._stop
        )
        self._connection = connection
        last: tuple[str, str] | None = None
        try:
            connection.subscribe(topics.arm, topics.test, topics.status, *garden.of_parts)
            if home := self._options.discovery:
                connection.subscribe(f"{home}/status", f"{home}/+/{garden.node}/+/config")
            self._published.clear()
            self._since = self._clock.monotonic()
            self._tell_health(True)
            while not self._stop.is_set():
                self._send_states(connection)
                self._thread.turn()
                if not self._send_events(connection):
                    self._serve(connection, 1.0)
            last = (topics.status, "offline")
        finally:
            self._connection = None
            connection.close(last)

    def _serve(self, connection: _Connection, seconds: float) -> None:
        connection.serve(seconds)
        while connection.received:
            self._command(connection, *connection.received.popleft())

    def _send_states(self, connection: _Connection) -> None:
        garden = self._garden
        states: dict[str, object] = {}
        if self._options.discovery:
            states.update(self._discovery(garden))
        states.update(self._states(garden))
        # Last: whoever sees it has seen all the rest.
        states[garden.topics.status] = "online"
        for topic, state in states.items():
            if self._published.get(topic) == state:
                continue
            if connection.busy:
                return
            if isinstance(state, tuple):
                payload = self._picture(state[0])
                if payload is not None:
                    connection.publish(topic, payload)
            else:
                connection.publish(topic, str(state))
            self._published[topic] = state

    def _discovery(self, garden: Garden) -> dict[str, str]:
        if self._discovered is None or self._discovered[0] != garden:
            found = discovery(garden, self._options.discovery)
            self._discovered = garden, {topic: json.dumps(keys) for topic, keys in found.items()}
        return self._discovered[1]

    def _states(self, garden: Garden) -> dict[str, object]:
        """Return what each topic should have: text, or a picture's file, time and size."""
        topics = garden.topics
        now = self._clock.monotonic()
        seen = {(event.camera, event.label) for event in self._outbox.confirmed()}
        with self._lock:
            parts = dict(self._parts)
        counters = self._counters(now)
        last = self._report_of_last()
        for camera, at in list(self._persons.items()):
            if now - at < max(1.0, self._config.veto.hold_s):
                seen.add((camera, PERSON))
        states: dict[str, object] = {
            topics.seen(camera, label): "ON" if (camera, label) in seen else "OFF"
            for camera in garden.cameras
            for label in garden.labels
        }
        states[topics.armed] = "ON" if self._controls.armed else "OFF"
        for part, state in parts.items():
            states[topics.health(part)] = json.dumps(
                {
                    "problem": "OFF" if state.well else "ON",
                    "text": state.text,
                    "blocks": state.blocks and not state.well,
                }
            )
        states[topics.counters] = counters
        # What is no longer kept is taken back from the broker, too: an empty payload does that.
        states[topics.last] = json.dumps(last) if last else ""
        if last is None:
            states[topics.picture] = ""
        elif last["picture"]:
            path = self._media / last["picture"]
            try:
                facts = path.stat()
                states[topics.picture] = (path, facts.st_mtime_ns, facts.st_size)
            except OSError:
                states[topics.picture] = ""
        return states

    def _counters(self, now: float) -> str:
        """Return the counters, at most once a minute with new values."""
        if now - self._counted >= _COUNT_S:
            self._counted = now
            self._counters_text = json.dumps(self._controls.counters())
            with self._lock:
                self._last_changed = True  # it may have been forgotten
        return self._counters_text

    def _picture(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
        except OSError as error:
            log.warning("MQTT: the picture %s cannot be read: %s", path.name, error)
            return None
        return content if len(content) <= _LARGEST_PICTURE else None

    def _send_events(self, connection: _Connection) -> bool:
        """Send the oldest thing that was not told; return whether there was one."""
        events = self._garden.topics.events
        what = self._outbox.next()
        if what is None:
            return False
        if self._send(connection, events, what):
            self._outbox.done()
        return True

    def _send(self, connection: _Connection, topic: str, what: dict[str, Any]) -> bool:
        """Send; return whether it was acknowledged, which it is unless told to stop."""
        number = connection.send(topic, json.dumps(what))
        until = time.monotonic() + _ANSWER_S
        while not connection.arrived(number):
            if time.monotonic() > until:
                raise _Lost(f"an event was not acknowledged within {_ANSWER_S:g} s")
            if self._stop.is_set():
                return False
            self._serve(connection, 1.0)
        return True

    def _report_of_last(self) -> dict[str, Any] | None:
        """Return the report of the last visit that was confirmed and is kept."""
        with self._lock:
            event, changed, self._last_changed = self._last, self._last_changed, False
        if changed:
            if event is not None and self._journal.event(event.id):
                self._last_report = report_of(self._journal, self._config.name, event)
            else:
                self._last_report = self._last_on_record()
        return self._last_report

    def _last_on_record(self) -> dict[str, Any] | None:
        for event in self._journal.events(_LOOK_BACK):
            found = report_of(self._journal, self._config.name, event)
            if found["confirmed"] and found["end"]:
                return found
        return None

    def _command(self, connection: _Connection, topic: str, payload: bytes, retain: bool) -> None:
        garden = self._garden
        topics = garden.topics
        text = payload.decode("utf-8", "replace").strip()
        if topic == topics.status:
            # A connection of ours that the broker held for alive was given up: its last will.
            if text != "online":
                self._published.pop(topic, None)
        elif topic == f"{self._options.discovery}/status":
            # Home Assistant has started: it may have lost everything that it was told.
            if text == "online" and not retain:
                self._published.clear()
        elif topic.endswith("/config"):
            if retain and text and topic not in self._discovery(garden):
                # An entity of an earlier configuration.
                connection.publish(topic, "")
        elif topic.startswith((f"{topics.root}/seen/", f"{topics.root}/health/")):
            if retain and text and topic not in garden.states:
                # Of a camera, a label or a part of an earlier configuration: it would stay ON.
                connection.publish(topic, "")
        elif retain:
            log.warning("MQTT: a command retained on %s is ignored; clear it there", topic)
        elif topic == topics.arm:
            if text in ("ON", "OFF"):
                self._controls.arm(text == "ON", "MQTT")
                # Whatever came of it is told.
                self._published.pop(topics.armed, None)
            else:
                log.warning("MQTT: %r on %s is ignored; ON or OFF", text[:40], topic)
        elif topic == topics.test:
            self._test(text)

    def _test(self, action: str) -> None:
        """Try an action in a thread of its own, so that OFF is heard meanwhile."""
        if action not in self._garden.actions:
            log.warning("MQTT: a test of %r is ignored; there is no such action", action[:40])
            return
        if self._testing and self._testing.is_alive():
            log.warning("MQTT: a test of '%s' is ignored; another one is running", action)
            return

        def run() -> None:
            try:
                self._controls.test(action, "MQTT")
            except Exception as error:
                log.warning("MQTT: the test of '%s' failed: %s", action, error)

        self._testing = threading.Thread(target=run, name="mqtt test", daemon=True)
        self._testing.start()


def check_files(options: Options, folder: Path) -> None:
    """See that all is there that a start needs; connects to nobody.

    Raises:
        LotorError: as `Mqtt`.
    """
    if find_spec("paho") is None:
        raise LotorError("[mqtt] needs paho-mqtt: pip install 'lotor[sentinel]'")
    _password(options, folder)
    _tls(options, folder)


def _password(options: Options, folder: Path) -> str | None:
    if not options.password_file:
        return None
    path = folder / Path(options.password_file).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"'mqtt.password_file' {path}: cannot be read: {reason(error)}") from error
    if not lines or not lines[0]:
        raise LotorError(f"'mqtt.password_file' {path}: its first line is empty")
    return lines[0]


def _tls(options: Options, folder: Path) -> ssl.SSLContext | None:
    if not options.tls:
        if options.ca_file:
            raise LotorError("'mqtt.ca_file' is given, but 'mqtt.tls' is not true")
        return None
    path = folder / Path(options.ca_file).expanduser() if options.ca_file else None
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise LotorError(f"'mqtt.ca_file' {path}: cannot be read: {reason(error)}") from error
