"""Three questions, and a configuration in which every key is explained and makes sense."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from lotor.errors import LotorError
from lotor.schema import parse
from lotor.sentinel import config as schema
from lotor.sentinel.config import Config, check, read_config
from lotor.sentinel.init import DEEDS, Deed, ask_all, attributes, find_deed, render, write_config


def read(text: str) -> Config:
    return check(parse(Config, tomllib.loads(text), "it"), "it")


@pytest.mark.parametrize("deed", DEEDS, ids=[deed.word for deed in DEEDS])
def test_what_is_written_can_be_read(deed: Deed) -> None:
    config = read(render("/dev/video0", "raccoon", deed))
    assert config.camera == (schema.Camera("garden", "/dev/video0"),)
    (target,) = config.target
    assert target.label == "raccoon"
    assert target.actions == ((deed.word,) if deed.kind else ())
    assert [action.kind for action in config.action] == ([deed.kind] if deed.kind else [])
    assert all(action.dry_run for action in config.action)  # nothing acts before one says so


def test_every_key_may_be_uncommented() -> None:
    text = render("0", "raccoon", find_deed("light"))
    whole = re.sub(r"^#(?=\S)", "", text, flags=re.M)
    config = read(whole)
    assert config.mqtt and config.notify and config.webhook
    (camera,) = config.camera
    assert camera.zone[0].name == "pond"
    assert config.model[0].when.light == "day"
    defaults = dataclasses.replace(read(text), mqtt=None)
    assert defaults.deciding == config.deciding and defaults.store == config.store


@pytest.mark.parametrize(
    "table",
    [item for item in vars(schema).values() if dataclasses.is_dataclass(item)],
    ids=lambda table: table.__name__,
)
def test_every_key_is_explained(table: type) -> None:
    keys = {item.name for item in dataclasses.fields(table)}
    told = set(attributes(table))
    # Those of the whole are tables, which explain themselves.
    assert table is Config or keys <= told
    assert told <= keys


def test_three_questions() -> None:
    asked: list[str] = []
    answers = iter(["rtsp://camera/1", "raccoon", "sprinkler"])

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    assert ask_all(ask, ["/dev/video0"]) == ("rtsp://camera/1", "raccoon", find_deed("sprinkler"))
    assert len(asked) == 3 and "/dev/video0 found" in asked[0]


def test_defaults_only_watch() -> None:
    source, model, deed = ask_all(lambda question: "", ["/dev/video2", "/dev/video4"])
    assert (source, model, deed.word) == ("/dev/video2", "raccoon", "watch")


@pytest.mark.parametrize(
    ("answers", "mend"),
    [
        (["rtps://camera/1"], "'rtsps'"),
        (["", "racoon"], "did you mean 'raccoon'"),
        (["", "", "brk"], "'bark'"),
    ],
)
def test_a_wrong_answer_names_the_mend(answers: list[str], mend: str) -> None:
    left = iter(answers)
    with pytest.raises(LotorError, match=mend):
        ask_all(lambda question: next(left), [])


def test_a_configuration_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.toml"
    write_config(path, "0", "raccoon", DEEDS[0])
    before = path.read_bytes()
    assert read_config(path).camera[0].source == "0"
    with pytest.raises(LotorError, match="is there already"):
        write_config(path, "1", "raccoon", DEEDS[0])
    assert path.read_bytes() == before
