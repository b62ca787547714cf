"""Three questions, and a configuration in which every key is explained and makes sense."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from lotor.cli import main
from lotor.errors import LotorError
from lotor.schema import parse
from lotor.sentinel import config as schema
from lotor.sentinel.config import Config, check, read_config
from lotor.sentinel.init import (
    DEEDS,
    Deed,
    ask_all,
    attributes,
    check_new,
    find_deed,
    render,
    write_config,
)


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
    assert "(raccoon, raccoon-128)" in asked[1]  # neither what says where, nor who sees people


def test_defaults_only_watch() -> None:
    source, model, deed = ask_all(lambda question: "", ["/dev/video2", "/dev/video4"])
    assert (source, model, deed.word) == ("/dev/video2", "raccoon", "watch")


@pytest.mark.parametrize(
    ("answers", "mends", "source"),
    [
        (["rtps://a/1", "garden:dusk", "1", "", ""], ["'rtsps'", "garden:night"], "1"),
        (["board:pikko", "board:pico", "", ""], ["did you mean 'pico"], "board:pico"),
        (["flim.mp4", "film.mp4", "", ""], ["no file or folder 'flim.mp4'"], "film.mp4"),
        (
            ["", "racoon", "person", "no.tflite", "", ""],
            ["'raccoon'", "'person'", "'no.tflite'"],
            "0",
        ),
        (["", "", "brk", "watch"], ["'bark'"], "0"),
    ],
)
def test_a_wrong_answer_names_the_mend_and_is_asked_for_again(
    answers: list[str], mends: list[str], source: str, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").touch()
    asked, wrong = list[str](), list[str]()
    left = iter(answers)

    def ask(question: str) -> str:
        asked.append(question)
        return next(left)

    assert ask_all(ask, [], tmp_path, wrong.append) == (source, "raccoon", find_deed("watch"))
    assert "(no webcam found)" in asked[0]
    assert not list(left) and len(set(asked)) == 3  # the others are not asked for again
    assert len(wrong) == len(mends)
    assert all(mend in text for mend, text in zip(mends, wrong, strict=True))


def test_a_model_of_ones_own_must_know_what_is_looked_for(tmp_path: Path) -> None:
    model = tmp_path / "mine.tflite"
    model.touch()
    (tmp_path / "labels.txt").write_text("fox\nnothing\n")
    left, wrong = iter(["", str(model), str(model), ""]), list[str]()

    def tell(text: str) -> None:
        wrong.append(text)
        (tmp_path / "recipe.toml").write_text('target = "fox"\n')

    found = ask_all(lambda question: next(left), [], tmp_path, tell)
    assert found[1] == str(model) and len(wrong) == 1 and "no label 'raccoon'" in wrong[0]


class Interrupted:
    """Somebody who answers twice and then presses Ctrl-C, or Ctrl-D."""

    def __init__(self, end: BaseException | None) -> None:
        self.end, self.left = end, 2

    def readline(self) -> str:
        self.left -= 1
        if self.left >= 0:
            return "\n"
        if self.end is None:
            return ""
        raise self.end


@pytest.mark.parametrize(("end", "status"), [(KeyboardInterrupt(), 130), (None, 2)])
def test_who_breaks_off_leaves_nothing(
    end: BaseException | None,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", Interrupted(end))
    path = tmp_path / "new" / "sentinel.toml"
    assert main(["sentinel", "--init", "--config", str(path)]) == status
    assert f"{path} is not written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o777)
    (tmp_path / "link.toml").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file" / "sentinel.toml", tmp_path / "link.toml"):
        with pytest.raises(LotorError, match="give another file by --config"):
            check_new(path)
    with pytest.raises(LotorError, match=r"cannot write /proc/none/a\.toml: No such file"):
        write_config(Path("/proc/none/a.toml"), "0", "raccoon", DEEDS[0])


def test_names_in_any_script_are_read_as_they_were_answered() -> None:
    source = 'Gärten/"🦝"\\x.avi'
    text = render(source, "raccoon", DEEDS[0])
    assert read(text).camera[0].source == source and "🦝" in text


def test_a_configuration_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sentinel.toml"
    write_config(path, "0", "raccoon", DEEDS[0])
    before = path.read_bytes()
    assert read_config(path).camera[0].source == "0"
    with pytest.raises(LotorError, match="is there already"):
        write_config(path, "1", "raccoon", DEEDS[0])
    assert path.read_bytes() == before
