"""What Home Assistant is told, so that a sentinel appears there by itself: MQTT discovery.

One retained configuration an entity (`PREFIX/COMPONENT/NODE/OBJECT/config`), which every version
that has the component understands; the device-based form needs 2024.11. The entities share a
device. Keys are those of https://www.home-assistant.io/integrations/mqtt/ and its components'
pages; `image` needs 2023.7, older versions leave it out.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lotor import __version__

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def slug(text: str) -> str:
    """Return a text as a part of a topic and an id: a-z, 0-9, - and _; a space becomes _.

    Texts that lose a letter on the way are told apart by a sum of all their letters.
    """
    lower = text.replace(" ", "_")
    if re.fullmatch(r"[a-z0-9_-]+", lower):
        return lower
    plain = unicodedata.normalize("NFKD", lower.lower().translate(_GERMAN))
    plain = re.sub(r"[^a-z0-9_-]+", "", plain.encode("ascii", "ignore").decode())
    return f"{plain}_{zlib.crc32(text.encode()):08x}"


@dataclass(frozen=True)
class Topics:
    """A sentinel's.

    Attributes:
        root: what all begin with: the configuration's prefix and the sentinel's name.
    """

    root: str

    @property
    def status(self) -> str:
        """Retained: "online", or "offline", also by last will."""
        return f"{self.root}/status"

    @property
    def events(self) -> str:
        """Not retained, QoS 1: `report` of visits."""
        return f"{self.root}/events"

    @property
    def last(self) -> str:
        """Retained: `report` of the last visit that was confirmed."""
        return f"{self.root}/last"

    @property
    def picture(self) -> str:
        """Retained: its picture, a JPEG."""
        return f"{self.root}/picture"

    @property
    def armed(self) -> str:
        """Retained: ON or OFF."""
        return f"{self.root}/armed"

    @property
    def arm(self) -> str:
        """Command: ON or OFF."""
        return f"{self.root}/armed/set"

    @property
    def test(self) -> str:
        """Command: name of the action to try."""
        return f"{self.root}/test"

    @property
    def counters(self) -> str:
        """Retained: `Controls.counters` as JSON."""
        return f"{self.root}/counters"

    def seen(self, camera: str, label: str) -> str:
        """Retained: ON while a confirmed visit of that label lasts at that camera, else OFF."""
        return f"{self.root}/seen/{camera}/{slug(label)}"

    def health(self, part: str) -> str:
        """Retained: JSON with `problem` ("ON", "OFF") and `text`."""
        return f"{self.root}/health/{slug(part)}"


@dataclass(frozen=True)
class Garden:
    """What there is to show.

    Attributes:
        name: of the sentinel.
        prefix: of its topics.
        cameras: their names.
        labels: that are shown for each camera, people included.
        actions: that can be tried.
        counters: names of the counters.
        parts: of which health is known.
    """

    name: str
    prefix: str
    cameras: tuple[str, ...]
    labels: tuple[str, ...]
    actions: tuple[str, ...]
    counters: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def topics(self) -> Topics:
        """Where it is told of."""
        return Topics(f"{self.prefix}/{self.name}")

    @property
    def of_parts(self) -> tuple[str, str]:
        """Patterns of the topics that there are for each camera, label and part."""
        return f"{self.topics.root}/seen/+/+", f"{self.topics.root}/health/+"

    @property
    def states(self) -> frozenset[str]:
        """The topics of these patterns that are in use."""
        seen = (self.topics.seen(camera, label) for camera in self.cameras for label in self.labels)
        return frozenset((*seen, *(self.topics.health(part) for part in self.parts)))

    @property
    def node(self) -> str:
        """Its id in Home Assistant."""
        return f"lotor_{self.name}"


def discovery(garden: Garden, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the configuration of every entity, by topic.

    Args:
        garden: what there is.
        prefix: Home Assistant's, "homeassistant" unless it was changed there.
    """
    entities = (*_seen(garden), *_last(garden), _armed(garden), *_counters(garden),
                *_health(garden), *_tests(garden))  # fmt: skip
    common = {
        "availability_topic": garden.topics.status,
        "device": {
            "identifiers": [garden.node],
            "name": f"Lotor {garden.name}",
            "manufacturer": "Lotor",
            "model": "Garden sentinel",
            "sw_version": __version__,
        },
        "origin": {"name": "Lotor", "sw_version": __version__},
    }
    return {
        f"{prefix}/{one.component}/{garden.node}/{one.id}/config": {
            "name": one.name,
            "unique_id": f"{garden.node}_{one.id}",
            **common,
            **one.keys,
        }
        for one in entities
    }


@dataclass(frozen=True)
class _Entity:
    """What is its own of an entity."""

    component: str
    id: str
    name: str
    keys: dict[str, Any]


def _seen(garden: Garden) -> Iterator[_Entity]:
    for camera in garden.cameras:
        for label in garden.labels:
            keys = {"state_topic": garden.topics.seen(camera, label), "device_class": "occupancy"}
            name = f"{camera} {label}"
            yield _Entity("binary_sensor", f"seen_{camera}_{slug(label)}", name, keys)


def _last(garden: Garden) -> Iterator[_Entity]:
    topics = garden.topics
    picture = {"image_topic": topics.picture, "content_type": "image/jpeg"}
    yield _Entity("image", "picture", "Last visit", picture)
    # A state "unknown" means to Home Assistant that nothing was heard.
    label = "{{ value_json.label if value_json.label != 'unknown' else 'not known' }}"
    visitor = {
        "state_topic": topics.last,
        "value_template": label,
        "json_attributes_topic": topics.last,
        "icon": "mdi:paw",
    }
    yield _Entity("sensor", "last", "Last visitor", visitor)
    score = {
        "state_topic": topics.last,
        "value_template": "{{ (value_json.score * 100) | round(1) }}",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "icon": "mdi:percent",
    }
    yield _Entity("sensor", "score", "Last score", score)


def _armed(garden: Garden) -> _Entity:
    topics = garden.topics
    keys = {"state_topic": topics.armed, "command_topic": topics.arm, "icon": "mdi:shield"}
    return _Entity("switch", "armed", "Armed", keys)


def _counters(garden: Garden) -> Iterator[_Entity]:
    for name in garden.counters:
        keys = {
            "state_topic": garden.topics.counters,
            "value_template": f"{{{{ value_json['{name}'] }}}}",
            "state_class": "total_increasing",
            "entity_category": "diagnostic",
            # Grows with every frame: of no use in a history.
            "enabled_by_default": name != "frames",
        }
        yield _Entity("sensor", f"count_{slug(name)}", name.replace("_", " ").capitalize(), keys)


def _health(garden: Garden) -> Iterator[_Entity]:
    for part in garden.parts:
        keys = {
            "state_topic": garden.topics.health(part),
            "value_template": "{{ value_json.problem }}",
            "json_attributes_topic": garden.topics.health(part),
            "device_class": "problem",
            "entity_category": "diagnostic",
        }
        yield _Entity("binary_sensor", f"health_{slug(part)}", f"Problem {part}", keys)


def _tests(garden: Garden) -> Iterator[_Entity]:
    for action in garden.actions:
        keys = {
            "command_topic": garden.topics.test,
            "payload_press": action,
            "entity_category": "config",
        }
        yield _Entity("button", f"test_{action}", f"Test {action}", keys)
