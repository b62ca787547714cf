"""Figures against values worked out by hand, and the evaluation of the shipped model."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import Lotor
from garden import make_garden
from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.evaluate import (
    Scored,
    as_figure,
    average_precision,
    bootstrap,
    confusion,
    confusion_lines,
    draw_confusion,
    measure,
    operating_points,
    recall_at,
    rounded,
    threshold_at,
)

# Ranked: hit, miss, hit, miss, miss: precision 1/1 at recall 1/2 and 2/3 at recall 1.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
POSITIVE = np.array([True, False, True, False, False])


def test_average_precision() -> None:
    assert average_precision(SCORES, POSITIVE) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(SCORES, SCORES > 0.65) == 1.0
    assert average_precision(SCORES, SCORES < 0.55) == pytest.approx(1 / 5)
    assert np.isnan(average_precision(SCORES, np.zeros(5, bool)))


def test_equal_scores_count_together_in_any_order() -> None:
    scores = np.full(4, 0.5)
    for shift in range(4):
        positive = np.roll(np.array([True, False, False, False]), shift)
        assert average_precision(scores, positive) == pytest.approx(1 / 4)


def test_recall_at_false_alarms() -> None:
    # Of three negatives (0.8, 0.6, 0.5) none may alarm below a third, one from a third on.
    assert threshold_at(SCORES, POSITIVE, 0.01) > 0.8
    assert recall_at(SCORES, POSITIVE, 0.01) == 0.5
    assert recall_at(SCORES, POSITIVE, 0.34) == 1.0
    assert threshold_at(SCORES, POSITIVE, 1.0) == 0.0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 0.5])
def test_thresholds_keep_their_promise(share: float) -> None:
    rng = np.random.default_rng(3)
    scores = np.round(rng.random(400), 2)  # many equal scores
    positive = rng.random(400) < 0.1
    threshold = threshold_at(scores, positive, share)
    assert (scores[~positive] >= threshold).mean() <= share


def test_bootstrap_holds_the_value_and_resamples_whole_groups() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(200) < 40
    scores = rng.normal(positive * 1.5, 1)
    single = bootstrap(scores, positive, [str(i) for i in range(200)], 300)
    assert single[0] < average_precision(scores, positive) < single[1]
    grouped = bootstrap(scores, positive, [str(i // 10) for i in range(200)], 300)
    assert grouped[1] - grouped[0] > single[1] - single[0]
    assert single == bootstrap(scores, positive, [str(i) for i in range(200)], 300)


def test_confusion_counts_rows_by_truth(tmp_path: Path) -> None:
    table = confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 3)
    assert table == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    lines = confusion_lines(table, ["a", "b", "c"])
    assert lines[1].split() == ["a", "1", "0", "1", "50%"]
    draw_confusion(table, ["a", "b", "c"], tmp_path / "deep" / "c.png")
    assert (tmp_path / "deep" / "c.png").stat().st_size > 1000


def photo(number: int, side: int) -> Photo:
    return Photo(Path(f"{number}.png"), "raccoon", "val", f"g{number}", side)


def test_sharp_photographs_are_measured_apart() -> None:
    # The two small ones are wrong, the two large ones right.
    photos = [photo(i, side) for i, side in enumerate((64, 64, 128, 500))]
    scores = np.array([[0.2, 0.8], [0.9, 0.1], [0.7, 0.3], [0.1, 0.9]])
    found = measure(
        Scored(photos, np.array([0, 1, 0, 1]), scores), ["raccoon", "other"], 0, {"1%": 0.65}
    )
    assert found["all"]["photos"] == 4
    assert found["all"]["accuracy"] == 0.5
    assert found["sharp"]["photos"] == 2
    assert found["sharp"]["accuracy"] == 1.0
    assert found["sharp"]["average_precision"] == 1.0
    assert found["all"]["at_threshold"]["1%"] == {
        "threshold": 0.65,
        "recall": 0.5,
        "false_alarms": 0.5,
    }
    assert found["all"]["class_accuracy"] == {"raccoon": 0.5, "other": 0.5}


def test_figures_are_rounded_once() -> None:
    assert [as_figure(rounded(v)) for v in (0.96146, 0.870499)] == ["0.961", "0.870"]
    assert rounded(float("nan")) is None
    assert as_figure(None) == "-"


def test_operating_points_are_thresholds_of_the_target() -> None:
    photos = [photo(i, 200) for i in range(5)]
    scores = np.stack([SCORES, 1 - SCORES], axis=1)
    points = operating_points(Scored(photos, np.where(POSITIVE, 0, 1), scores), 0)
    assert set(points) == {"1%", "5%"}
    assert points["1%"] == threshold_at(SCORES, POSITIVE, 0.01)


def test_command(lotor: Lotor, tmp_path: Path) -> None:
    folder = make_garden(tmp_path, each=2)
    done = lotor("evaluate", "raccoon", "--data", folder, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["photos"] == 8
    assert found["all"]["positives"] == 2
    assert sum(map(sum, found["all"]["confusion"])) == 8
    assert found["sharp"]["photos"] == 5
    few = lotor("evaluate", "raccoon", "--data", folder, "--limit", 3, "--views")
    assert few.returncode == 0, few.stderr
    assert "3 photographs" in few.stdout
    assert "true \\ said" in few.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "tets"], "did you mean 'test'"),
        (["--limit", "0"], "at least 1"),
        (["--float", "--board", "netduinoplus2"], "leave out --board"),
    ],
)
def test_mistakes(lotor: Lotor, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = lotor("evaluate", "raccoon", "--data", make_garden(tmp_path, each=2), *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["file/below.png", "no-known-suffix"])
def test_a_drawing_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LotorError, match="cannot write"):
        draw_confusion([[1]], ["a"], tmp_path / name)
