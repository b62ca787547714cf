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


def scene(seed: int, bright: bool) -> np.ndarray[Any, Any]:
    blobs = np.random.default_rng(seed).integers(0, 100, (6, 8, 3), np.uint8)
    image = cv2.resize(blobs, (80, 60), interpolation=cv2.INTER_CUBIC)
    return image + np.uint8(100 * bright)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty photographs, every second a person: bright ones, of which two are as dark as no one."""
    folder = tmp_path / "people"
    folder.mkdir()
    rows = ["file,vww_label,largest_person_frac"]
    for number in range(40):
        somebody = number % 2 == 1
        cv2.imwrite(str(folder / f"{number}.png"), scene(number, somebody and number > 4))
        rows.append(f"{number}.png,{'person' if somebody else 'not-person'},0.1")
    cv2.imwrite(str(folder / "far.png"), scene(40, False))
    rows.append("far.png,ambiguous(<0.5%),0.001")
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

    recipe = {"data": {"folder": str(garden)}}
    monkeypatch.setattr(
        people, "find_model", lambda name: SimpleNamespace(name=name, recipe=recipe)
    )
    monkeypatch.setattr(people, "open_classifier", opened)
    found = people.measure("person", folder)
    assert (found["photographs"], found["people"]) == (39, 19)
    assert found["recall"] == pytest.approx(17 / 19)
    assert found["recall_95"][0] < 17 / 19 < found["recall_95"][1]
    assert "0.895" in people.as_text(found)


def test_what_is_nearly_the_same_in_test_is_kept(tmp_path: Path, folder: Path) -> None:
    garden = make_garden(tmp_path / "garden")
    cv2.imwrite(str(garden / "person/test0.png"), scene(5, True))
    photos = people.photographs(folder)
    split = read_manifest(garden).photos
    assert len(people.unseen(photos, [p for p in split if p.split != "test"])) == len(photos) == 40


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no .*labels\.csv; name the folder"):
        people.photographs(tmp_path)
