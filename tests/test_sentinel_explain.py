"""What `--check` says of a configuration: nothing that may do harm goes unsaid."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel import explain as module
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
)
from lotor.sentinel.explain import explain
from lotor.sentinel.models import Models
from lotor.sentinel.scene import Light

SOURCE = "rtsp://there/1"  # nothing of this machine, which may have a webcam or none
TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
REAL = Action("bark", "sound", for_s=4, max_on_s=8, per_hour=3, dry_run=False)
PLAIN = Config(
    camera=(Camera("garden", SOURCE),),
    target=(Target("raccoon", actions=("bark",)),),
    action=(REAL,),
)


@pytest.fixture(autouse=True)
def _models_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Models", opened)


@lru_cache
def _opened(model: tuple[Model, ...], veto: Veto) -> Models:
    return Models(Config(PLAIN.camera, model=model, veto=veto))


def opened(config: Config) -> Models:
    return _opened(config.model, config.veto)


def test_nothing_is_doubtful_about_a_plain_one(tmp_path: Path) -> None:
    found = explain(PLAIN, tmp_path)
    assert found.warnings == ()
    assert found.lines[0] == "sentinel garden: armed at first"
    assert "for 4 s, never longer than 8 s, 3 times an hour" in str(found)
    assert "action bark: would" not in str(found) and "dry run" not in str(found)


@pytest.mark.parametrize(
    ("keys", "warnings"),
    [
        ({"veto": Veto("")}, ["no model looks for people (veto.model is empty)"]),
        ({"target": (Target("raccoon"),)}, ["action bark is set off by no target"]),
        ({"action": (replace(REAL, dry_run=True),)}, ["action bark is a dry run"]),
        (
            {"target": (Target("raccoon"),), "action": (replace(REAL, dry_run=True),)},
            ["action bark is set off by no target"],
        ),
        ({"camera": (Camera("made", "garden:"),)}, ["bark would be set off for real by it"]),
        (
            {"camera": (Camera("film", "away/film.avi"),)},
            ["there is no file or folder 'away/film.avi' now", "bark would be set off for real"],
        ),
        ({"camera": (Camera("film", "film.avi"),)}, ["bark would be set off for real by it"]),
        (
            {"camera": (Camera("made", "garden:"),), "action": (replace(REAL, dry_run=True),)},
            ["action bark is a dry run"],
        ),
        (
            {"camera": (Camera("garden", SOURCE, zone=(Zone("pond", TRIANGLE),)),)},
            ["zone pond is named by no target and no model"],
        ),
        ({"page": Page("0.0.0.0")}, ["the page listens on 0.0.0.0 and has no login"]),
        ({"page": Page("0.0.0.0", on=False)}, []),
        ({"page": Page("::1")}, []),
        ({"mqtt": Mqtt("h", user="me")}, ["MQTT's password goes over the network in the clear"]),
        ({"mqtt": Mqtt("h", user="me", tls=True)}, []),
        ({"mqtt": Mqtt("h")}, []),
        ({"armed": False}, ["it starts disarmed: bark wait"]),
        (
            {"armed": False, "action": (replace(REAL, dry_run=True),)},
            ["action bark is a dry run"],
        ),
        (
            {"model": (Model("raccoon", When(light="day")),)},
            ["where no condition of a model is met, nothing is asked, as raccoon has one too"],
        ),
        ({"model": (Model("raccoon", When(light="day")), Model("raccoon"))}, []),
    ],
)
def test_what_is_doubtful(tmp_path: Path, keys: dict[str, Any], warnings: list[str]) -> None:
    (tmp_path / "film.avi").write_bytes(b"")
    found = explain(replace(PLAIN, **keys), tmp_path).warnings
    assert len(found) == len(warnings), found
    assert all(part in said for part, said in zip(warnings, found, strict=True)), found


def test_zones_count_where_they_are_named(tmp_path: Path) -> None:
    zoned = Camera(
        "garden", "rtsp://there/1", zone=(Zone("pond", TRIANGLE), Zone("lawn", TRIANGLE))
    )
    config = replace(
        PLAIN,
        camera=(zoned,),
        target=(Target("raccoon", zones=("pond",), actions=("bark",)),),
        model=(Model("raccoon", When(zones=("lawn",))), Model("raccoon")),
    )
    assert explain(config, tmp_path).warnings == ()


def test_a_camera_on_which_a_target_counts_nowhere_is_doubtful(tmp_path: Path) -> None:
    zoned = Camera("garden", SOURCE, zone=(Zone("pond", TRIANGLE),))
    config = replace(
        PLAIN,
        camera=(zoned, Camera("gate", "rtsp://there/2")),
        target=(Target("raccoon", zones=("pond",), actions=("bark",)),),
    )
    assert explain(config, tmp_path).warnings == (
        "a raccoon sets nothing off on camera gate: none of its zones (pond) is there",
    )


def test_all_that_it_does_is_said(tmp_path: Path) -> None:
    when = When("night", ("garden",), ("pond",), (1, 12), ("21:00-06:00",))
    config = replace(
        PLAIN,
        armed=False,
        camera=(
            replace(
                PLAIN.camera[0],
                source="rtsp://me:secret@camera/1",
                masks=(TRIANGLE, TRIANGLE),
                zone=(Zone("pond", TRIANGLE),),
            ),
        ),
        model=(Model("raccoon", when), Model("raccoon")),
        target=(Target("raccoon", 0.6, 0.7, ("pond",), ("bark",)),),
        veto=Veto(threshold=0.2, hold_s=40),
        deciding=Deciding(2, 4, 10, 90, 7, ("07:00-21:00",)),
        webhook=(Webhook("http://there/"),),
        mqtt=Mqtt("broker", user="me", tls=True),
        notify=Notify(("ntfy://garden",)),
        store=Store("kept"),
    )
    assert explain(config, tmp_path).lines == (
        "sentinel garden: disarmed at first",
        "camera garden: stream rtsp://…@camera/1, 5 frames/s at most; zones pond; 2 masks",
        "what moves is shown to raccoon, if by night, on garden, in pond, in months 1, 12, "
        "at 21:00-06:00",
        "what moves is shown to raccoon",
        "while person sees a person (from 20 %), and for 40 s after, nothing is set off",
        "what moves may be a person by the model's own label from 3 % on (veto.label_threshold)",
        "a raccoon in pond sets off bark: 2 of 4 frames from 60 % by day, 70 % by night on "
        "(as configured)",
        "at most every 90 s, and 7 times a night; never at 07:00-21:00",
        "action bark: play a dog's bark at 100 % volume for 4 s, never longer than 8 s, 3 times an "
        "hour",
        "page: http://127.0.0.1:8787/",
        "MQTT: broker:1883, found by Home Assistant",
        "webhook: 1",
        "messages: one a visit, every 300 s and 6 an hour at most",
        f"kept in {tmp_path / 'kept'}: events for 365 days, pictures and clips for 30 days and "
        "2000 MB",
    )


def test_a_threshold_of_its_own_is_said_to_be_one(tmp_path: Path) -> None:
    text = str(explain(replace(PLAIN, page=Page(on=False)), tmp_path))
    assert "(the default of raccoon)" in text and "page:" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("a raccoon"))
    by_night = opened(PLAIN).threshold_of("raccoon", "raccoon", Light.NIGHT)
    assert f"{100 * by_night:.0f} %" in line


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("raccoon"), "{0} % on (the default of raccoon-128) or {1} % on (the default of"),
        (Target("raccoon", 0.6), "from 60 % on (as configured)"),
        (
            Target("cat", night_threshold=0.7),
            "50 % by day, 70 % by night on (by day the default of raccoon-128) or 50 % by day",
        ),
    ],
)
def test_each_model_has_thresholds_of_its_own(tmp_path: Path, target: Target, said: str) -> None:
    config = Config(
        PLAIN.camera,
        model=(Model("raccoon-128", When(light="night")), Model("raccoon")),
        target=(target,),
    )
    models = opened(config)
    large, small = (
        f"{100 * models.threshold_of(name, 'raccoon', Light.DAY):.0f}"
        for name in ("raccoon-128", "raccoon")
    )
    assert large != small
    (line,) = (line for line in explain(config, tmp_path).lines if line.startswith("a "))
    assert said.format(large, small) in line
    assert line.count("as configured") == (target.threshold is not None)


def test_a_target_that_no_model_knows(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="no model of the configuration knows the target 'otter'"):
        explain(replace(PLAIN, target=(Target("otter"),)), tmp_path)


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"mqtt": Mqtt("h", tls=True, ca_file="none.pem"), "page": Page(on=False)}
    (error,) = explain(replace(PLAIN, **keys), tmp_path).errors
    assert "mqtt.ca_file" in error and "none.pem" in error
    keys = {"notify": Notify(urls_file="urls"), "page": Page(on=False)}
    (error,) = explain(replace(PLAIN, **keys), tmp_path).errors
    assert "notify.urls_file" in error and "urls" in error
