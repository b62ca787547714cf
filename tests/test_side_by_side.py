"""Float beside integers: what is scored, and how sure a difference is."""

from pathlib import Path

import numpy as np
import pytest

from garden import make_garden
from lotor.side_by_side import (
    Photographs,
    _row,
    as_text,
    compare_files,
    difference,
    find_photographs,
)
from lotor.zoo import find_model


def test_differences_are_paired() -> None:
    """Two models that err on the same photographs differ surely, however hard those are."""
    rng = np.random.default_rng(0)
    groups = [str(i // 2) for i in range(200)]
    right = rng.random(200) < 0.5
    better = right.copy()
    better[np.flatnonzero(~right)[:20]] = True

    def share(chosen: np.ndarray, of: np.ndarray) -> float:
        return float(of[chosen].mean())

    gain, low, high = difference(share, better.astype(float), right.astype(float), groups)
    assert gain == pytest.approx(0.1)
    assert 0.04 < low < gain < high < 0.16
    same = difference(share, right.astype(float), right.astype(float), groups)
    assert same == (0.0, 0.0, 0.0)


def test_a_row_by_hand() -> None:
    base = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    scores = np.array([[0.7, 0.3], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([0, 1, 1, 1])
    photographs = Photographs([Path("a")] * 4, truth, list("abcd"), 0, "photographs")
    row = _row(scores, base, photographs)
    assert row["agreement"] == 0.75
    assert row["accuracy"] == 0.75
    assert row["average_precision"] == 0.5  # the raccoon comes second
    assert row["delta"]["accuracy"][0] == 0.25
    assert row["delta"]["average_precision"][0] == -0.5
    assert "delta" not in _row(base, base, photographs)
    assert set(_row(scores, base, Photographs([], None, [], 0, ""))) == {"agreement"}


def test_val_is_scored_with_labels_and_folders_without(tmp_path: Path) -> None:
    model, folder = find_model("raccoon"), make_garden(tmp_path, each=2)
    found = find_photographs(model, folder)
    assert {path.name[:3] for path in found.paths} == {"val"}
    assert found.truth is not None
    assert model.labels
    labels = [model.labels.index(kind) for kind in ("raccoon", "cat", "person", "background")]
    assert sorted(found.truth.tolist()) == sorted(labels * 2)
    assert len(find_photographs(model, folder, 3).paths) == 3
    (folder / "manifest.csv").unlink()
    assert find_photographs(model, folder).truth is None


def test_the_shipped_model(tmp_path: Path) -> None:
    model, folder = find_model("raccoon"), make_garden(tmp_path, each=2)
    result = compare_files(model, model.path, find_photographs(model, folder, 6))
    assert set(result["where"]) == {"float", "int8"}
    assert result["where"]["int8"]["agreement"] >= 0.5
    text = as_text(result)
    assert "6 photographs of val" in text
    assert "right label" in text
