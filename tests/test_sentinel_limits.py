"""What a configuration may say at most and at least, and what holds where it says nothing."""

from dataclasses import replace
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.config import (
    Action,
    Camera,
    Config,
    Deciding,
    Model,
    Mqtt,
    Notify,
    Page,
    Store,
    Target,
    Veto,
    Webhook,
    When,
    Zone,
    check,
)

TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
WHOLE = Config(
    camera=(Camera("garden", "0", zone=(Zone("pond", TRIANGLE),)),),
    target=(Target("raccoon", actions=("bark",)),),
    action=(Action("bark", "sound", for_s=0),),
    webhook=(Webhook("http://there/"),),
    mqtt=Mqtt("broker"),
    notify=Notify(("ntfy://garden",)),
)


def with_value(table: str, key: str, value: Any) -> Config:
    part: Any = getattr(WHOLE, table)
    whole: Any = replace  # what the keys are is known at run time alone
    if isinstance(part, tuple):
        changed = whole(WHOLE, **{table: (replace(part[0], **{key: value}),)})
    else:
        changed = whole(WHOLE, **{table: replace(part, **{key: value})})
    assert isinstance(changed, Config)
    return changed


@pytest.mark.parametrize(
    ("table", "key", "low", "high"),
    [
        ("camera", "rate", 0.01, 120),
        ("camera", "least_area", 0, 1),
        ("veto", "threshold", 0, 1),
        ("veto", "label_threshold", 0, 0.5),
        ("veto", "hold_s", 0, 86400),
        ("target", "threshold", 0, 1),
        ("target", "night_threshold", 0, 1),
        ("deciding", "votes", 1, Deciding().of),
        ("deciding", "of", Deciding().votes, 1000),
        ("deciding", "memory_s", 0.1, 3600),
        ("deciding", "cooldown_s", 0, 86400),
        ("deciding", "per_night", 0, 1000),
        ("action", "max_on_s", 0.1, 600),
        ("action", "for_s", 0, Action("a", "b").max_on_s),
        ("action", "per_hour", 0, 3600),
        ("webhook", "timeout_s", 0.1, 60),
        ("mqtt", "port", 1, 65535),
        ("notify", "cooldown_s", 0, 86400),
        ("notify", "per_hour", 0, 3600),
        ("store", "events_days", 1, 10**6),
        ("store", "media_days", 1, 10**6),
        ("store", "media_mb", 1, 10**6),
        ("store", "free_mb", 0, 10**6),
        ("store", "before_s", 0, 60),
        ("store", "after_s", 0, 60),
        ("store", "clip_s", 1, 600),
        ("page", "port", 0, 65535),
    ],
)
def test_a_number_has_limits(table: str, key: str, low: float, high: float) -> None:
    for good in (low, high):
        check(with_value(table, key, good), "it")
    for wrong in (low - 0.001, high + 0.001, float("nan")):
        with pytest.raises(LotorError, match=r"^it: '[^']+' is .*; it must be "):
            check(with_value(table, key, wrong), "it")


@pytest.mark.parametrize(
    ("table", "key", "good", "wrong", "message"),
    [
        ("camera", "name", "a" * 32, "a" * 33, "up to 32"),
        ("camera", "name", "a-1", "a b", "camera name 'a b'"),
        ("camera", "source", "0", "rtps://there/", "'camera garden.source'"),
        ("camera", "size", (16, 8192), (640, 480, 3), "must be width and height"),
        ("camera", "size", (640, 480), (15, 480), "16 to 8192"),
        ("camera", "size", (640, 480), (640, 8193), "16 to 8192"),
        ("camera", "masks", (TRIANGLE,), (TRIANGLE[:2],), "'camera garden.masks' must be three"),
        ("camera", "masks", (TRIANGLE,), (((0.0, 0.0, 0.0), *TRIANGLE),), "must be three"),
        ("deciding", "quiet_hours", ("23:59-00:00",), ("24:00-01:00",), "as 22:00-07:00"),
        ("deciding", "quiet_hours", ("19:30-20:00",), ("22:00-07:00h",), "as 22:00-07:00"),
        ("deciding", "quiet_hours", ("19:30-20:00",), ("22:00-07:60",), "as 22:00-07:00"),
        ("webhook", "labels", ("raccoon", "unknown"), ("cat",), "names the label 'cat'"),
        ("webhook", "url", "https://there/", "ftp://there/", "must begin with http:// or"),
        ("mqtt", "host", "h", "", "'mqtt.host' is empty"),
        ("mqtt", "prefix", "home/lotor", "", "'mqtt.prefix' is ''"),
        ("mqtt", "prefix", "home/lotor", "home/#", "no + or #"),
        ("mqtt", "discovery", "", "a b", "'mqtt.discovery' is 'a b'"),
        ("notify", "labels", ("raccoon", "unknown"), ("cat",), "names the label 'cat'"),
        ("page", "names", ("garden.example.org",), ("garden/x",), "has 'garden/x'"),
    ],
)
def test_a_word_has_a_form(table: str, key: str, good: Any, wrong: Any, message: str) -> None:
    check(with_value(table, key, good), "it")
    with pytest.raises(LotorError, match=r"^it: ") as caught:
        check(with_value(table, key, wrong), "it")
    assert message in str(caught.value)


def test_addresses_of_messages_may_be_in_a_file_alone() -> None:
    check(replace(WHOLE, notify=Notify(urls_file="urls")), "it")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": "My garden"}, "sentinel name 'My garden'"),
        ({"camera": (Camera("a", "0"), Camera("a", "1"))}, "two cameras are called 'a'"),
        ({"model": ()}, "there is no [[model]]"),
    ],
)
def test_names_and_models(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(LotorError) as caught:
        check(replace(WHOLE, **keys), "it")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (When(hours=("9-12",)), "as 22:00-07:00"),
        (When(zones=("pnd",)), "(did you mean 'pond'?)"),
        (When(cameras=("gate",)), "names the camera 'gate'"),
        (When(months=(0,)), "1 to 12"),
    ],
)
def test_conditions_of_a_model(when: When, message: str) -> None:
    good = When(hours=("09:00-12:00",), zones=("pond",), cameras=("garden",), months=(1, 12))
    check(replace(WHOLE, model=(Model("m", good), Model("m", replace(good, cameras=())))), "it")
    with pytest.raises(LotorError) as caught:
        check(replace(WHOLE, model=(Model("m", when),)), "it")
    assert message in str(caught.value)


def test_what_holds_where_nothing_is_said() -> None:
    """A careless file harms nobody and opens nothing; docs/sentinel.md promises so."""
    config = Config(camera=(Camera("garden", "0"),), action=(Action("bark", "sound"),))
    (action,) = config.action
    assert action.dry_run and action.max_on_s <= 10 and action.per_hour <= 12
    assert config.veto == Veto("person", None, 30.0)
    assert config.deciding == Deciding(3, 5, 10.0, 120.0, 20, ())
    assert config.page == Page("127.0.0.1", 8787, True, ())
    assert config.store == replace(Store(), events_days=365, media_days=30, free_mb=500)
    assert config.armed and config.mqtt is None and config.notify is None and not config.webhook
