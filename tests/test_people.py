"""Recall of people on photographs that a model has not seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import people
from garden import make_garden
from lotor.data.manifest import read_manifest
from lotor.errors import LotorError
from lotor.preprocess import read_image
from lotor.zoo import ModelFile


def scene(seed: int, bright: bool) -> np.ndarray[Any, Any]:
    blobs = np.random.default_rng(seed).integers(0, 100, (6, 8, 3), np.uint8)
    image = cv2.resize(blobs, (80, 60), interpolation=cv2.INTER_CUBIC)
    return image + np.uint8(100 * bright)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty photographs, every second a person: bright ones, of which two are as dark as no one."""
    folder = tmp_path / "people"
    folder.mkdir()
    rows = ["file,vww_label,largest_person_frac,source"]
    for number in range(40):
        somebody = number % 2 == 1
        cv2.imwrite(str(folder / f"{number}.png"), scene(number, somebody and number > 4))
        part = "train2017" if number < 10 else "val2017" if number < 38 else "else"
        kind = "person" if somebody else "not-person"
        rows.append(f"{number}.png,{kind},0.1,coco128:images/{part}/{number}.jpg")
    cv2.imwrite(str(folder / "far.png"), scene(40, False))
    rows.append("far.png,ambiguous(<0.5%),0.001,coco128:images/val2017/far.jpg")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


class Brightness:
    """A classifier that takes what is bright for a person."""

    labels = ("not_person", "person")
    input = SimpleNamespace(tensor=lambda image: image)

    def infer(self, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return tensor

    def probabilities(self, output: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        score = float(output.mean() > 110)
        return np.array([1 - score, score])

    def unlike(self, output: np.ndarray[Any, Any]) -> None:
        return None


def test_recall_on_what_is_left(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden = make_garden(tmp_path / "garden")
    # The first bright photograph, a little smaller, lies in the train split under another name.
    seen = cv2.resize(scene(5, True), (64, 48), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(garden / "person/train0.png"), seen)

    @contextmanager
    def opened(model: object, board: str | None) -> Iterator[Brightness]:
        yield Brightness()

    model = ModelFile("person", tmp_path / "person.tflite", None, {"data": {"folder": str(garden)}})
    monkeypatch.setattr(people, "find_model", lambda name: model)
    monkeypatch.setattr(people, "open_classifier", opened)
    monkeypatch.setattr(people, "MINIVAL", {1, 7, 8, 39})
    found = people.measure("person", folder)
    assert (found["photographs"], found["people"]) == (39, 19)
    assert found["recall"] == pytest.approx(17 / 19)
    assert found["recall_95"][0] < 17 / 19 < found["recall_95"][1]
    assert "0.895" in people.as_text(found)
    assert found["veto"] == {"threshold": 0.5, "source": "default"}
    assert (found["found"], found["vetoed"]) == (pytest.approx(17 / 19), 0.0)
    train, val, held_back = (found["parts"][name] for name in (*people.PARTS, people.HELD_BACK))
    # Of the dark people both are in the first part, of which one bright one is left out.
    assert (train["photographs"], train["people"], train["found"]) == (9, 4, 0.5)
    assert (val["photographs"], val["people"], val["found"]) == (28, 14, 1.0)
    # The last one is of no part of COCO, so its number says nothing.
    assert (held_back["photographs"], held_back["people"], held_back["found"]) == (3, 2, 0.5)

    # Brightness is what infrared takes away; what is near the train split is left out as by day.
    dark = people.measure("person", folder, night=True)
    assert (dark["photographs"], dark["people"], dark["found"]) == (39, 19, 0.0)
    assert "as by infrared" in people.as_text(dark)
    assert "infrared" not in people.as_text(found)

    (tmp_path / "metrics.json").write_text('{"decision": {"full": {"threshold": 0.0}}}')
    always = people.measure("person", folder)
    assert always["veto"] == {"threshold": 0.0, "source": "least cost"}
    assert (always["found"], always["vetoed"], always["recall"]) == (1.0, 1.0, found["recall"])


def test_infrared_is_grey_and_keeps_names(tmp_path: Path, folder: Path) -> None:
    photos = people.photographs(folder)[:3]
    shown = people.by_infrared(photos, tmp_path)
    assert [photo.kind for photo in shown] == [photo.kind for photo in photos]
    for before, after in zip(photos, shown, strict=True):
        pixels = read_image(after.path)
        assert pixels.shape == read_image(before.path).shape
        assert np.ptp(pixels, axis=2).max() == 0
    with pytest.raises(LotorError, match=r"cannot write .*; make room"):
        people.by_infrared(photos, tmp_path / "none")


def test_a_part_may_lack_people_or_others() -> None:
    scores, nobody = np.array([0.2, 0.7]), np.array([False, False])
    alone = people.figures(scores, nobody, 0.5)
    assert (alone["found"], alone["recall"], alone["vetoed"]) == (None, None, 0.5)
    crowd = people.figures(scores, ~nobody, 0.5)
    assert (crowd["found"], crowd["vetoed"], crowd["vetoed_95"]) == (0.5, None, None)


def test_what_is_nearly_the_same_in_test_is_kept(tmp_path: Path, folder: Path) -> None:
    garden = make_garden(tmp_path / "garden")
    cv2.imwrite(str(garden / "person/test0.png"), scene(5, True))
    photos = people.photographs(folder)
    split = read_manifest(garden).photos
    assert len(people.unseen(photos, [p for p in split if p.split != "test"])) == len(photos) == 40


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no .*labels\.csv; name the folder"):
        people.photographs(tmp_path)
