"""Discovery as Home Assistant documents it: https://www.home-assistant.io/integrations/mqtt/."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from lotor.sentinel.home_assistant import Garden, discovery, slug

GARDEN = Garden(
    name="garden",
    prefix="lotor",
    cameras=("pond", "gate"),
    labels=("raccoon", "Waschbär", "unknown", "person"),
    actions=("bark", "hose"),
    counters=("frames", "events"),
    parts=("camera pond", "store"),
)

COMMON = {
    *("availability_topic", "device", "enabled_by_default", "entity_category", "icon"),
    *("json_attributes_topic", "name", "origin", "unique_id"),
}
# Of each component: what it must have, what it may have besides the common keys.
KEYS: dict[str, tuple[set[str], set[str]]] = {
    "binary_sensor": ({"state_topic"}, {"device_class", "value_template"}),
    "button": ({"command_topic"}, {"payload_press"}),
    "image": ({"image_topic"}, {"content_type"}),
    "sensor": ({"state_topic"}, {"state_class", "unit_of_measurement", "value_template"}),
    "switch": ({"command_topic"}, {"state_topic"}),
}
VALUES = {
    "device_class": {"occupancy", "problem"},
    "entity_category": {"config", "diagnostic"},
    "state_class": {"measurement", "total_increasing"},
}


@pytest.mark.parametrize(("topic", "keys"), discovery(GARDEN, "homeassistant").items())
def test_every_configuration_has_known_keys(topic: str, keys: dict[str, Any]) -> None:
    match = re.fullmatch(r"homeassistant/(\w+)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config", topic)
    assert match and match[2] == "lotor_garden"
    must, may = KEYS[match[1]]
    assert must <= keys.keys() <= must | may | COMMON
    assert keys["unique_id"] == f"lotor_garden_{match[3]}"
    assert keys["availability_topic"] == "lotor/garden/status"
    assert keys["device"].keys() == {"identifiers", "manufacturer", "model", "name", "sw_version"}
    for key, values in VALUES.items():
        assert keys.get(key) in {None, *values}
    for key in keys:
        if key.endswith("_topic"):
            assert re.fullmatch(r"lotor/garden(/[a-z0-9_-]+)+", keys[key])
    assert json.loads(json.dumps(keys)) == keys


def test_there_is_an_entity_for_everything() -> None:
    found = [topic.split("/") for topic in discovery(GARDEN, "homeassistant")]
    assert sorted(f"{component} {id}" for _, component, _, id, _ in found) == [
        "binary_sensor health_camera_pond",
        "binary_sensor health_store",
        "binary_sensor seen_gate_person",
        "binary_sensor seen_gate_raccoon",
        "binary_sensor seen_gate_unknown",
        "binary_sensor seen_gate_waschbaer_607f6d96",
        "binary_sensor seen_pond_person",
        "binary_sensor seen_pond_raccoon",
        "binary_sensor seen_pond_unknown",
        "binary_sensor seen_pond_waschbaer_607f6d96",
        "button test_bark",
        "button test_hose",
        "image picture",
        "sensor count_events",
        "sensor count_frames",
        "sensor last",
        "sensor score",
        "switch armed",
    ]


def test_what_an_entity_shows_and_asks() -> None:
    found = discovery(GARDEN, "homeassistant")
    hose = found["homeassistant/button/lotor_garden/test_hose/config"]
    assert (hose["command_topic"], hose["payload_press"]) == ("lotor/garden/test", "hose")
    health = found["homeassistant/binary_sensor/lotor_garden/health_store/config"]
    assert health["state_topic"] == "lotor/garden/health/store"
    assert health["value_template"] == "{{ value_json.problem }}"
    armed = found["homeassistant/switch/lotor_garden/armed/config"]
    assert armed["state_topic"] == "lotor/garden/armed"
    assert armed["command_topic"] == "lotor/garden/armed/set"
    score = found["homeassistant/sensor/lotor_garden/score/config"]
    assert "value_json.score * 100" in score["value_template"]
    frames, events = (
        found[f"homeassistant/sensor/lotor_garden/count_{name}/config"]
        for name in ("frames", "events")
    )
    assert not frames["enabled_by_default"] and events["enabled_by_default"]
    assert frames["state_class"] == "total_increasing"
    last = found["homeassistant/sensor/lotor_garden/last/config"]
    assert "!= 'unknown'" in last["value_template"]


def test_two_sentinels_share_nothing() -> None:
    one, other = (discovery(g, "ha") for g in (GARDEN, replace(GARDEN, name="attic")))
    assert not one.keys() & other.keys()
    assert not {k["unique_id"] for k in one.values()} & {k["unique_id"] for k in other.values()}


def test_names_become_parts_of_topics_and_stay_apart() -> None:
    texts = ["a b", "raccoon", "Waschbär", "waschbär", "Waschbar", "a/b", "a+b", "#", "浣熊", "熊"]
    slugs = [slug(text) for text in texts]
    assert slugs[:2] == ["a_b", "raccoon"]
    assert all(re.fullmatch(r"[a-z0-9_-]+", each) for each in slugs)
    assert len(set(slugs)) == len(texts)
