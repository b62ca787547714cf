"""Uses of a test split are counted: each command that measures there, and the log of them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Lotor
from garden import make_garden
from lotor.cli import main
from lotor.data import uses
from lotor.data.manifest import Photo, read_manifest
from lotor.data.uses import Uses, count_use
from lotor.resources import resource


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uses are written down in this test."""
    monkeypatch.setenv("LOTOR_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state" / uses.FILE


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    return make_garden(tmp_path / "garden", each=2)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_uses_and_models_are_counted(
    log: Path, garden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read_manifest(garden)
    assert count_use(data, "fox", b"one") == Uses(1, 1)
    assert f"test split of {garden} has been used once, for 1 model ({log})" in (
        capsys.readouterr().err
    )
    first = log.read_bytes()
    assert count_use(data, "fox", b"one") == Uses(2, 1)  # the same release
    assert count_use(data, "other name", b"one") == Uses(3, 1)
    assert count_use(data, "fox", b"two") == Uses(4, 2)
    assert "has been used 4 times, for 2 different models" in capsys.readouterr().err
    assert log.read_bytes().startswith(first)
    use = json.loads(first)
    assert use["model"] == "fox"
    assert use["manifest_sha256"] == data.manifest_hash
    assert use["model_sha256"].startswith("7692c3ad3540bb80")  # printf one | sha256sum
    assert use["date"].endswith("+00:00")
    assert set(use) == {
        "date", "command", "model", "model_sha256", "data", "manifest_sha256", "test_sha256",
    }  # fmt: skip


def test_only_another_test_split_starts_anew(log: Path, garden: Path) -> None:
    data = read_manifest(garden)
    assert count_use(data, "fox", b"one") == Uses(1, 1)
    more = Photo(garden / "new.png", "cat", "train", "", 64)
    assert count_use(replace(data, photos=(*data.photos, more)), "fox", b"2") == Uses(2, 2)
    relabelled = tuple(replace(photo, kind="dog") for photo in data.photos)
    assert count_use(replace(data, photos=relabelled, folder=garden), "fox", b"3") == Uses(3, 3)
    tested = replace(more, split="test")
    assert count_use(replace(data, photos=(*data.photos, tested)), "fox", b"4") == Uses(1, 1)
    assert len(lines(log)) == 4


@pytest.mark.parametrize("torn", [b'{"date": "20', b"\xff\n[1]\nnull\n{}\n"])
def test_lines_that_were_torn_are_skipped(log: Path, garden: Path, torn: bytes) -> None:
    data = read_manifest(garden)
    count_use(data, "fox", b"one")
    with log.open("ab") as file:
        file.write(torn)
    before = log.read_bytes()
    assert count_use(data, "fox", b"two") == Uses(2, 2)
    assert count_use(data, "fox", b"two") == Uses(3, 2)
    assert log.read_bytes().startswith(before)


def test_a_log_that_cannot_be_written_is_a_warning(
    log: Path, garden: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, line: str) -> None:
        raise OSError(28, "No space left on device")

    data = read_manifest(garden)
    count_use(data, "fox", b"one")
    before = log.read_bytes()
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(uses, "_append", full)
        assert count_use(data, "fox", b"two") == Uses(2, 2)
    warning, told = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: this use of the test split is not written down")
    assert "No space left on device; name a folder that can be written in $LOTOR_STATE_DIR" in (
        warning
    )
    assert "used 2 times, for 2 different models" in told
    assert log.read_bytes() == before
    monkeypatch.setenv("LOTOR_STATE_DIR", str(log / "below"))
    assert count_use(data, "fox", b"two") == Uses(1, 1)
    assert "warning: " in capsys.readouterr().err


def test_evaluate_measures_val_unless_told(lotor: Lotor, log: Path, garden: Path) -> None:
    done = lotor("evaluate", "raccoon", "--data", garden, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["split"] == "val"
    assert "test split" not in done.stderr
    assert not log.exists()
    for times in ("once, for 1 model", "2 times, for 1 model"):
        done = lotor("evaluate", "raccoon", "--data", garden, "--split", "test", "--limit", 1)
        assert done.returncode == 0, done.stderr
        assert f"the test split of {garden} has been used {times}" in done.stderr
        assert "has been used" not in done.stdout
    (use, _) = lines(log)
    assert use["command"] == f"lotor evaluate raccoon --data {garden} --split test --limit 1"
    model = resource("models", "raccoon", "lineage.json").read_text()
    assert use["model_sha256"] == json.loads(model)["model_sha256"]


RECIPE = """
name = "tiny"
target = "raccoon"
labels = ["raccoon", "person", "other"]
[input]
height = 32
width = 32
[data]
folder = "nowhere"
other = "other"
[data.classes]
raccoon = "raccoon"
person = "person"
[data.share]
raccoon = 0.3
person = 0.3
other = 0.4
[network]
kind = "ds_cnn"
width = 0.25
[fit]
steps = 1
batch = 8
seed = 5
"""


@pytest.mark.train
def test_training_measures_val_unless_told(
    log: Path,
    garden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import export, fold, networks, pipeline
    from lotor.train.recipe import read_recipe

    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    content = export.to_float(fold.fold(networks.build(read_recipe(path).network, 32, 32, 3)))
    monkeypatch.setattr(pipeline, "_fit", lambda *_: (content, content, {}))
    monkeypatch.setattr(pipeline, "write_golden", lambda *_: [])
    start = ["train", str(path), "--data", str(garden), "--out", str(tmp_path / "out")]
    assert main(start) == 0
    said = capsys.readouterr()
    assert re.search(r"^val +all +average precision [01]\.\d{3}", said.out, re.M)
    assert "test" not in said.out.replace(str(tmp_path), "")
    assert set(json.loads((tmp_path / "out/metrics.json").read_text())) == {"thresholds", "val"}
    assert "test split" not in said.err
    assert not log.exists()

    assert main([*start, "--test"]) == 0
    said = capsys.readouterr()
    assert re.search(r"^test +all +average precision [01]\.\d{3}", said.out, re.M)
    assert re.search(r"^test_float +all +average precision [01]\.\d{3}", said.out, re.M)
    assert {"val", "test", "test_float"} <= set(
        json.loads((tmp_path / "out/metrics.json").read_text())
    )
    assert "has been used once, for 1 model" in said.err
    assert [use["model"] for use in lines(log)] == ["tiny"]

    rows = (garden / "manifest.csv").read_text().replace(",test,", ",,")
    (garden / "manifest.csv").write_text(rows)
    assert main([*start, "--test"]) == 2
    assert "has no photograph in split test: leave out --test" in capsys.readouterr().err
    assert main(start) == 0
    assert len(lines(log)) == 1
