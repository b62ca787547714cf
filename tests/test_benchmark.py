"""The benchmark's figures against values worked out by hand, and the command on made-up data."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from conftest import Lotor
from full_disk import contents, refused
from garden import make_garden, write_manifest
from lotor.benchmark import baselines, gallery, page, run
from lotor.benchmark.compare import (
    BETTER,
    UNCLEAR,
    WORSE,
    Difference,
    differences,
    regressions,
)
from lotor.benchmark.frozen import (
    Hard,
    Small,
    find_file,
    hash_photos,
    open_data,
    photos_hash,
    read_benchmark,
)
from lotor.benchmark.metrics import (
    METRICS,
    Interval,
    calibration_bins,
    calibration_error,
    lacking,
    measure,
    precision_at,
    precision_curve,
    roc_auc,
)
from lotor.benchmark.pictures import FIGURES
from lotor.benchmark.results import keep, previous, read_results
from lotor.benchmark.subsets import look, says, subsets, target_share
from lotor.benchmark.text import as_text
from lotor.classifier import BoardClassifier, HostClassifier
from lotor.data.manifest import Box, Photo, read_manifest
from lotor.errors import LotorError
from lotor.evaluate import Flags, Scores, average_precision, resamples
from lotor.resources import resource
from lotor.zoo import ModelFile, find_model

# Ranked: hit, miss, hit, miss, miss.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
POSITIVE = np.array([True, False, True, False, False])


def random_case(seed: int) -> tuple[Scores, Flags]:
    rng = np.random.default_rng(seed)
    positive = rng.random(120) < 0.2
    scores = np.clip(rng.normal(0.4 + positive * 0.2, 0.2), 0, 1)
    return np.asarray(np.round(scores, 1), np.float64), positive


def test_roc_auc_by_hand() -> None:
    # Of six pairs, 0.9 wins three and 0.7 two.
    assert roc_auc(SCORES, POSITIVE) == pytest.approx(5 / 6)
    assert roc_auc(np.full(5, 0.3), POSITIVE) == 0.5
    assert np.isnan(roc_auc(SCORES, np.ones(5, bool)))


@pytest.mark.parametrize("seed", range(5))
def test_areas_equal_their_definitions(seed: int) -> None:
    scores, positive = random_case(seed)  # with many equal scores
    pairs = np.sign(scores[positive][:, None] - scores[~positive][None, :])
    assert roc_auc(scores, positive) == pytest.approx((pairs + 1).mean() / 2)
    # Average precision: the mean over the hits of the precision at each one's own score.
    at_hits = [positive[scores >= score].mean() for score in scores[positive]]
    assert average_precision(scores, positive) == pytest.approx(np.mean(at_hits))


def test_precision_at_a_recall() -> None:
    assert precision_at(SCORES, POSITIVE, 0.5) == 1.0
    assert precision_at(SCORES, POSITIVE, 0.51) == pytest.approx(2 / 3)
    assert precision_at(SCORES, POSITIVE) == pytest.approx(2 / 3)
    assert np.isnan(precision_at(SCORES, np.zeros(5, bool)))
    tied = precision_curve(np.full(4, 0.5), np.array([True, False, False, False]), np.ones(1))
    assert tied[0] == 0.25
    five = np.arange(5, 0, -1.0)
    assert precision_at(five, np.ones(5, bool), 0.8) == 1.0


def test_calibration_error_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.7, 0.9])
    truth = np.array([False, True, True, True])
    bins = calibration_bins(scores, truth, 2)
    assert bins.said.tolist() == pytest.approx([0.15, 0.8])
    assert bins.true.tolist() == [0.5, 1.0]
    assert bins.count.tolist() == [2, 2]
    # With more bins than photographs each is alone: the mean distance to the truth.
    assert calibration_error(scores, truth) == pytest.approx((0.1 + 0.8 + 0.3 + 0.1) / 4)
    assert calibration_error(np.full(10, 0.3), np.arange(10) < 3) == pytest.approx(0)


def test_equal_scores_share_their_outcomes_in_any_order() -> None:
    truth = np.array([True, False, False, False, False, False, True, True])
    for shift in range(8):
        found = calibration_error(np.full(8, 0.25), np.roll(truth, shift))
        assert found == pytest.approx(0.375 - 0.25)


def test_samples_hold_whole_groups() -> None:
    groups = ["a", "b", "b", "c", "c", "c"]
    for rows in resamples(groups, 50):
        counts = np.bincount(rows, minlength=6)
        assert counts[1] == counts[2]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[1] + counts[3] == 3
    assert {tuple(rows) for rows in resamples(groups, 9, 1)} != {
        tuple(rows) for rows in resamples(groups, 9, 2)
    }


def test_figures_that_would_mean_nothing_are_left_out() -> None:
    scores, positive = random_case(1)
    draws = resamples([str(i) for i in range(120)], 30)
    whole = measure(scores, positive, draws)
    assert (~positive).sum() < 100  # 1 % of them is less than one
    assert set(METRICS) - set(whole.values) == {"recall_1"}
    chosen = measure(scores, positive, draws, whole=False)
    assert set(whole.values) - set(chosen.values) == {"calibration_error"}
    for name in whole.values:
        found = whole.interval(name)
        assert found.low <= found.high
        assert found.value == METRICS[name].of(scores, positive)


def test_too_few_are_told() -> None:
    positive = np.arange(40) < 12
    groups = [str(index // 2) for index in range(40)]
    assert lacking(positive, groups, "cat") == ""
    assert "12 cat in 1 groups" in lacking(positive, ["a"] * 12 + groups[12:], "cat")
    assert "9 cat" in lacking(np.arange(40) < 9, groups, "cat")
    assert "9 not cat" in lacking(np.arange(40) >= 9, groups, "cat")


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(300) < 60
    noise = rng.normal(size=300)
    worse, better = noise + positive, noise + 1.3 * positive
    draws = resamples([str(i) for i in range(300)], 200)
    now, before = measure(worse, positive, draws), measure(better, positive, draws)
    one = differences(now, before)["average_precision"]
    assert one.verdict == WORSE
    assert one.change.value == pytest.approx(one.now - one.before)
    # Unpaired, the two intervals overlap: the pairing is what tells them apart.
    assert now.interval("average_precision").high > before.interval("average_precision").low
    assert differences(before, now)["average_precision"].verdict == BETTER
    assert {d.verdict for d in differences(now, now).values()} == {UNCLEAR}


def test_less_calibration_error_is_better() -> None:
    positive = np.arange(300) < 100  # five of fifteen bins
    draws = resamples([str(i) for i in range(300)], 50)
    good = measure(np.where(positive, 0.9, 0.1), positive, draws)
    bad = measure(np.where(positive, 0.6, 0.4), positive, draws)
    assert differences(good, bad)["calibration_error"].verdict == BETTER
    table = {"int8": {"all": differences(bad, good)}}
    assert [r.metric for r in regressions(table, ["calibration_error"])] == ["calibration_error"]
    assert regressions(table, ["average_precision"]) == []
    assert "calibration error 0.100 -> 0.400" in str(regressions(table, ["calibration_error"])[0])


def test_light_is_decided_from_the_picture() -> None:
    colour = np.zeros((50, 70, 3), np.uint8)
    colour[:] = (40, 60, 90)
    assert look(colour).light == "day"
    assert look(colour).luma == pytest.approx(0.114 * 40 + 0.587 * 60 + 0.299 * 90)
    assert look(colour).chroma == pytest.approx(50)
    assert look(colour // 2).light == "night"
    grey = np.full((50, 70, 3), 120, np.uint8)
    assert look(grey).light == "infrared"
    assert look(grey // 8).light == "infrared"  # dark, too
    assert (look(grey).width, look(grey).height) == (70, 50)


def test_words_are_whole_and_in_order() -> None:
    assert says("file name label fox2", ["label fox"])
    assert says("1 per ImageNet class; n02509815_lesser_panda.JPEG", ["panda"])
    assert says("tiny/train/n02509815/images/n02509815_7.JPEG", ["n02509815"])
    assert not says("n02356798_fox_squirrel", ["label fox"])
    assert not says("pandas", ["panda"])
    assert not says("anything", [])


def photo(kind: str, number: int, boxes: tuple[Box, ...] = (), note: str = "") -> Photo:
    side = 200 if number % 2 else 64
    return Photo(Path(f"{number}.png"), kind, "val", f"g{number}", side, boxes, note=note)


def test_subsets() -> None:
    photos = [
        photo("raccoon", 1, (Box(0, 0, 10, 10, "raccoon"), Box(0, 0, 100, 90, "cat"))),
        photo("raccoon", 2, (Box(0, 0, 50, 50),)),  # a box without a class
        photo("raccoon", 3),
        photo("cat", 4),
        photo("other", 5, note="a badger"),
        photo("other", 6),
    ]
    looks = [look(np.full((100, 100, 3), 120, np.uint8))] * 6
    found = subsets(photos, looks, lambda k: k == "raccoon", Small(0.1), Hard(["cat"], ["badger"]))
    members = {part.name: part.member.tolist() for part in found}
    assert members["all"] == [True] * 6
    assert members["infrared"] == [True] * 6
    assert members["day"] == members["night"] == [False] * 6
    assert members["sharp"] == [True, False, True, False, True, False]
    assert members["small"] == [True, False, False, True, True, True]
    assert members["hard"] == [True, True, True, True, True, False]
    assert {part.name for part in found if not part.whole} == {"small", "hard"}
    assert target_share(photos[1], looks[0], lambda k: k == "raccoon") == 0.25
    assert "hard" not in {
        part.name for part in subsets(photos, looks, lambda k: k == "raccoon", Small(), Hard())
    }


def test_logistic_regression_is_at_its_minimum() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    truth = rng.random(200) < 1 / (1 + np.exp(-features @ [2.0, -1, 0, 0, 0.5] + 1))
    weights = baselines.fit_logistic(features, truth)

    def loss(w: npt.NDArray[np.float64]) -> float:
        said = baselines.predict_logistic(w, features)
        return float(-np.log(np.where(truth, said, 1 - said)).sum() + (w[:-1] ** 2).sum() / 2)

    for index in range(6):
        for step in (-1e-3, 1e-3):
            moved = weights.copy()
            moved[index] += step
            assert loss(moved) > loss(weights)
    # Perfectly divided classes have no finite weights without the ridge.
    assert np.isfinite(baselines.fit_logistic(features, features[:, 0] > 0)).all()


def test_a_histogram_counts_colours() -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    image[:24] = (255, 0, 0)  # a quarter
    found = baselines.histogram(image)
    assert found[0] == pytest.approx(np.sqrt(0.75))
    assert found[3 * 16] == pytest.approx(np.sqrt(0.25))
    assert (found**2).sum() == pytest.approx(1)


def test_colours_tell_made_up_raccoons(tmp_path: Path) -> None:
    data = read_manifest(make_garden(tmp_path, each=8))
    photos = data.split("test")
    found = baselines.colour_histogram(data.split("train"), photos, lambda k: k == "raccoon")
    truth = np.array([p.kind == "raccoon" for p in photos])
    assert average_precision(found, truth) > 0.9
    assert average_precision(baselines.always_background(photos), truth) == 0.25
    with pytest.raises(LotorError, match="0 of 0 have it"):
        baselines.colour_histogram([], photos, lambda k: k == "raccoon")


def test_results_are_kept_by_version(tmp_path: Path) -> None:
    scores = {"int8": {"aa": 0.5, "bb": 0.25}}
    assert read_results(tmp_path) == []
    path, first = keep(tmp_path, [], "1" * 64, "p", {"int8": {"all": {}}}, scores)
    assert path.name == "111111111111.json"
    versions = read_results(tmp_path)
    assert versions == [first]
    _, second = keep(tmp_path, versions, "2" * 64, "p", {}, scores)
    assert [one.number for one in (first, second)] == [1, 2]
    versions = read_results(tmp_path)
    assert previous(versions, "2" * 64, "p") == first
    assert previous(versions, "3" * 64, "p") == second
    assert previous(versions, "1" * 64, "p") is None
    assert previous(versions, "3" * 64, "other photographs") is None
    # Measured again, in one more way: its number and what it had stay.
    _, again = keep(tmp_path, versions, "1" * 64, "p", {}, {"float": {"aa": 1.0}})
    assert again.number == 1
    assert set(again.scores) == {"int8", "float"}
    found = again.of("int8", ["bb", "aa"])
    assert found is not None
    assert found.tolist() == [0.25, 0.5]
    assert again.of("float", ["aa", "bb"]) is None
    path.write_text("{")
    with pytest.raises(LotorError, match="is no result of a benchmark"):
        read_results(tmp_path)


TOML = """
target = "raccoon"
data = "{data}"
manifest_sha256 = "{manifest}"
photos_sha256 = "{photos}"
rounds = 40
[hard]
classes = ["cat"]
"""


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_garden(tmp_path_factory.mktemp("garden"), each=12)


def place(garden: Path, folder: Path) -> Path:
    """Put the shipped model into a folder, with a benchmark frozen on a made-up garden."""
    for name in ("raccoon.tflite", "labels.txt", "recipe.toml"):
        shutil.copy(resource("models", "raccoon", name), folder / name)
    photos = read_manifest(garden).split("test")
    content = (garden / "manifest.csv").read_bytes()
    text = TOML.format(
        data=garden,
        manifest=hashlib.sha256(content).hexdigest(),
        photos=photos_hash(garden, photos, hash_photos(photos)),
    )
    (folder / "benchmark.toml").write_text(text)
    return folder / "raccoon.tflite"


@pytest.fixture
def model(garden: Path, tmp_path: Path) -> Path:
    return place(garden, tmp_path)


def test_the_shipped_benchmark_is_sound() -> None:
    found = read_benchmark(resource("models", "raccoon", "benchmark.toml"))
    assert found.target == find_model("raccoon").recipe["target"]
    assert found.split == "test"
    assert found.watched == ["average_precision", "recall_1", "recall_5"]
    assert len(found.manifest_sha256) == len(found.photos_sha256) == 64


def test_photographs_are_hashed_by_content_and_name(garden: Path) -> None:
    photos = read_manifest(garden).split("test")
    lines = sorted(
        (p.path.relative_to(garden).as_posix(), hashlib.sha256(p.path.read_bytes()).hexdigest())
        for p in photos
    )
    text = "".join(f"{content}  {name}\n" for name, content in lines)
    found = photos_hash(garden, photos[::-1], hash_photos(photos[::-1]))
    assert found == hashlib.sha256(text.encode()).hexdigest()


def test_command(
    lotor: Lotor, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_STATE_DIR", str(tmp_path / "state"))
    arguments = ("benchmark", model, "--json", "-o", tmp_path / "docs/models.md")
    done = lotor(*arguments, "--gallery", tmp_path / "gallery", "--check")
    assert done.returncode == 1, done.stderr  # a baseline is not beaten: see below
    assert "has been used once, for 1 model" in done.stderr
    found = json.loads(done.stdout)
    assert found["frozen"] is True
    assert found["subsets"]["all"] | {"rule": ""} == {
        "rule": "",
        "photos": 48,
        "positives": 12,
        "lacking": "",
    }
    assert found["subsets"]["hard"]["photos"] == 24
    assert found["subsets"]["night"]["lacking"].startswith("too few: 0 raccoon")
    assert set(found["variants"]) == {"int8"}  # no float model beside it
    parts = found["variants"]["int8"]["subsets"]
    assert "night" not in parts
    assert set(parts["all"]) == set(METRICS) - {"recall_1"}
    assert set(found["baselines"]) == {"always-background", "colour-histogram"}
    # The model never saw such squares, and their colours tell them all.
    assert found["baselines"]["colour-histogram"]["beaten"] is False
    assert found["previous"] is None
    assert (tmp_path / "docs/models.md").is_file()
    assert len(found["files"]) == 6
    assert Path(found["results"]).parent == tmp_path / "results"


def test_a_full_disk(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs, shown = tmp_path / "docs", tmp_path / "gallery"
    docs.mkdir()
    shown.mkdir()
    (docs / "models.md").write_text("# Of before\n")
    for name in FIGURES:
        (docs / f"models-raccoon-{name}.svg").write_text("of before")
    (shown / gallery.FILE).write_text("of before")
    before = contents(docs) | contents(shown)
    line = refused(0, capsys, "benchmark", model, "-o", docs / "models.md")
    assert line.endswith("keeps results elsewhere")
    assert contents(tmp_path / "results") == {}
    # There is room for the results and a picture, and not for all that is shown.
    refused(24000, capsys, "benchmark", model, "-o", docs / "models.md")
    refused(24000, capsys, "benchmark", model, "--gallery", shown)
    assert contents(docs) | contents(shown) == before
    assert len(contents(tmp_path / "results")) == 1


def test_what_became_worse_is_flagged(model: Path, tmp_path: Path) -> None:
    text = (tmp_path / "benchmark.toml").read_text()
    (tmp_path / "benchmark.toml").write_text('baselines = ["previous"]\n' + text)
    assert run.benchmark(find_model(str(model))).ok
    (path,) = (tmp_path / "results").glob("*.json")
    kept = json.loads(path.read_text())
    photos = read_manifest(Path(read_benchmark(tmp_path / "benchmark.toml").data)).split("test")
    truth = {
        hashlib.sha256(p.path.read_bytes()).hexdigest()[:16]: p.kind == "raccoon" for p in photos
    }

    def check(scores: dict[str, float]) -> run.Run:
        kept["model_sha256"], kept["number"] = "0" * 64, 0
        kept["scores"] = {"int8": scores}
        (tmp_path / "results/older.json").write_text(json.dumps(kept))
        return run.benchmark(find_model(str(model)))

    found = check({key: float(hit) for key, hit in truth.items()})
    assert not found.ok
    by_metric: dict[str, set[str]] = {}
    for one in found.regressions:
        by_metric.setdefault(one.metric, set()).add(one.subset)
    # Recall at 1 % takes a hundred others, at 5 % twenty.
    assert by_metric == {
        "average_precision": {"all", "day", "sharp", "hard"},
        "recall_5": {"all", "day"},
    }
    assert found.changes["int8"]["all"]["average_precision"].verdict == WORSE
    assert as_text(found).count("WORSE int8") == 6
    assert "- int8, hard: average precision 1.000 -> " in page.section(found, {}, "")
    assert len(found.as_dict()["regressions"]) == 6
    least = {key: (not hit) + n / 1000 for n, (key, hit) in enumerate(truth.items())}
    found = check(least)  # nothing can be worse than to rank every raccoon last, one by one
    assert found.ok
    assert "  beaten: the version before, 0.1" in as_text(found)
    assert "Beaten: the version before, `000000000000` (+" in page.section(found, {}, "")
    found = check({key: float(hit) for key, hit in list(truth.items())[1:]})
    assert found.changes == {}  # one photograph has no score there
    assert found.as_dict()["previous"]["beaten"] is None
    assert found.ok


def test_the_version_before_must_be_beaten(model: Path, tmp_path: Path) -> None:
    """By any gain in average precision, or equalled; to be not clearly worse is not enough."""
    text = (tmp_path / "benchmark.toml").read_text()
    (tmp_path / "benchmark.toml").write_text('baselines = ["previous"]\n' + text)
    first = run.benchmark(find_model(str(model)))
    assert first.ok
    (path,) = (tmp_path / "results").glob("*.json")
    kept = json.loads(path.read_text())
    mine = kept["scores"]["int8"]
    hits = [key for key, hit in zip(first.opened.keys, first.positive, strict=True) if hit]
    last = min(hits, key=mine.__getitem__)

    def check(scores: dict[str, float]) -> run.Run:
        older = kept | {"model_sha256": "0" * 64, "number": 0, "scores": {"int8": scores}}
        (tmp_path / "results/older.json").write_text(json.dumps(older))
        return run.benchmark(find_model(str(model)))

    for older, word in (
        (mine | {last: 1.0}, "NOT beaten"),
        (mine, "equalled"),
        (mine | {last: 0.0}, "beaten"),
    ):
        found, ok = check(older), word != "NOT beaten"
        assert found.regressions == []  # it is one raccoon: nothing is clear
        assert found.ok is ok
        assert found.unbeaten == ([] if ok else ["previous"])
        assert found.as_dict()["previous"]["beaten"] is (word == "beaten")
        assert found.gain is not None
        assert f"  {word}: the version before, {found.gain.before:.3f}, now " in as_text(found)
        bold = word.capitalize() if ok else f"**{word}**"
        assert f"{bold}: the version before" in page.section(found, {}, "")


def test_figures_are_rounded_once(found: run.Run) -> None:
    """What a page says from a file is what it says from the figures themselves."""
    told = Interval(0.96146, 0.870499, 0.98554).as_dict()
    assert [f"{told[name]:.3f}" for name in ("value", "low", "high")] == ["0.961", "0.870", "0.986"]
    one = Difference("recall_1", 0.96146, 0.87049, Interval(0.87049 - 0.96146, -0.2, -0.01))
    assert f"{one.as_dict()['before']:.3f}" == "0.961"
    (flag,) = regressions({"int8": {"all": {"recall_1": one}}}, ["recall_1"])
    assert "recall at 1 % 0.961 -> 0.870 (change -0.091" in str(flag)
    kept = found.versions[0].figures["int8"]["all"]
    exact = found.variants["int8"].parts["all"].values
    for name, value in exact.items():
        assert kept[name]["value"] == pytest.approx(value, abs=6e-7)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "val"], "frozen on split test, not val"),
        (["--split", "vla"], "did you mean 'val'"),
        (["--limit", "3"], "with --board"),
        (["--data", "no/such"], "no photographs at no/such"),
    ],
)
def test_mistakes(lotor: Lotor, model: Path, arguments: list[str], says: str) -> None:
    done = lotor("benchmark", model, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (model.parent / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('target = "raccoon"', 'target = "racoon"', "did you mean 'raccoon'"),
        ("rounds", "round", "unknown key 'round' (did you mean 'rounds'?)"),
        ("rounds = 40", "rounds = 1", "at least 20"),
        ("rounds = 40", 'watched = ["roc"]', "watched 'roc'"),
        ("rounds = 40", 'baselines = ["previos"]', "did you mean 'previous'"),
        ("[hard]", "[small]\narea = 2\n[hard]", "small.area is 2"),
        ("[hard]", "[hard", "is no TOML"),
        ("manifest_sha256", "#", "manifest_sha256 missing"),
    ],
)
def test_a_wrong_benchmark(model: Path, old: str, new: str, says: str) -> None:
    path = model.with_name("benchmark.toml")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(LotorError, match=re.escape(says)):
        run.benchmark(find_model(str(model)))


def test_other_data_is_told_and_marked(lotor: Lotor, model: Path, tmp_path: Path) -> None:
    other = make_garden(tmp_path / "other", each=12)
    rows = list(csv.reader((other / "manifest.csv").open()))[1:]
    rows[0][-1] = "another licence"
    write_manifest(other, rows)
    done = lotor("benchmark", model, "--data", other)
    assert done.returncode == 2
    assert "the benchmark is frozen on" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = lotor("benchmark", model, "--data", other, "--unfrozen", "--split", "val")
    assert done.returncode == 0, done.stderr
    assert "NOT the frozen benchmark" in done.stdout
    assert "has been used" not in done.stderr  # of val
    assert "colour-histogram: average precision 1.000, NOT beaten" in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_candidate_elsewhere_is_no_version(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(model.parent, tmp_path / "candidate"))
    monkeypatch.setattr(run, "find_file", lambda _: model.with_name("benchmark.toml"))
    run.benchmark(find_model(str(folder / model.name)))
    assert not (model.parent / "results").exists()
    assert not (folder / "results").exists()
    run.benchmark(find_model(str(model)))
    assert len(list((model.parent / "results").glob("*.json"))) == 1


def test_a_changed_photograph_is_other_data(garden: Path, model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(garden, tmp_path / "copy"))
    path = model.with_name("benchmark.toml")
    assert open_data(path, copy, None, False).frozen
    assert cv2.imwrite(str(copy / "cat/test0.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(LotorError, match="photographs of split test has the SHA-256"):
        open_data(path, copy, None, False)
    assert not open_data(path, copy, None, True).frozen


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('other = "other_animal"', 'other = "animal"', "'animal' (did you mean 'other_animal'?)"),
        ('other = "other_animal"', "", "does not say what classes mean"),
    ],
)
def test_a_recipe_that_does_not_fit(model: Path, old: str, new: str, says: str) -> None:
    recipe = model.with_name("recipe.toml")
    recipe.write_text(recipe.read_text().replace(old, new, 1))
    with pytest.raises(LotorError, match=re.escape(says)):
        run.benchmark(find_model(str(model)))


def test_a_model_without_a_benchmark(tmp_path: Path, model: Path) -> None:
    model.with_name("benchmark.toml").unlink()
    found = find_model(str(model))
    assert find_file(found) == resource("models", "raccoon", "benchmark.toml")
    stranger = ModelFile("x", tmp_path / "x.tflite", recipe={"name": "nobody"})
    with pytest.raises(LotorError, match=r"no benchmark\.toml beside"):
        find_file(stranger)


class WrongBoard(BoardClassifier):
    """A board whose every fifth output differs from this machine's."""

    def __init__(self, model: ModelFile) -> None:
        HostClassifier.__init__(self, model)
        self.asked = 0

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        output = np.array(HostClassifier.infer(self, tensor))
        self.asked += 1
        if self.asked % 5 == 0:
            output[0, 0] ^= 1
        return output


@pytest.fixture(scope="module")
def found(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> run.Run:
    @contextmanager
    def opened(model: ModelFile, board: str | None = None) -> Iterator[HostClassifier]:
        yield WrongBoard(model) if board else HostClassifier(model)

    model = find_model(str(place(garden, tmp_path_factory.mktemp("model"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "open_classifier", opened)
        return run.benchmark(model, board="wrong", limit=20)


def test_a_board_is_compared_byte_by_byte(found: run.Run) -> None:
    board = found.variants["board"]
    assert (board.runs, board.mismatches) == (20, 4)
    assert len(board.rows) == 20
    assert board.parts == {}  # 5 raccoons are too few
    assert not found.ok
    assert "board" not in found.versions[0].scores
    assert "4 of 20 differ" in page.section(found, {}, "")


def test_page_keeps_what_stands_around(found: run.Run, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "page.md"
    files = page.write(found, path, "COMMAND")
    first = path.read_text()
    assert [file.suffix for file in files] == [".md", ".svg", ".svg", ".svg"]
    assert all(file.name in first for file in files[1:])
    begin, end = page.markers("raccoon")
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    before = [file.read_bytes() for file in files[1:]]
    page.write(found, path, "COMMAND")
    text = path.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    assert text.count("`COMMAND`") == 1
    assert before == [file.read_bytes() for file in files[1:]]
    path.write_text(f"before\n{end}\n")
    with pytest.raises(LotorError, match="needs a line"):
        page.check(path, "raccoon")
    assert path.read_text() == f"before\n{end}\n"


def test_gallery_shows_the_worst_and_is_ignored_by_git(found: run.Run, tmp_path: Path) -> None:
    variant = found.variants["int8"]
    misses = gallery.worst(found, variant, positive=True, count=5)
    alarms = gallery.worst(found, variant, positive=False, count=5)
    scores = variant.scored.scores[:, 0]
    assert [m.score for m in misses] == sorted(scores[found.positive])[:5]
    assert [m.score for m in alarms] == sorted(scores[~found.positive])[:-6:-1]
    assert {m.truth for m in misses} == {"raccoon"}
    assert all(m.wrong == (m.said != "raccoon") for m in misses)
    assert all(m.wrong == (m.said == "raccoon") for m in alarms)
    gallery.check(tmp_path / "shown")
    files = gallery.write(found, tmp_path / "shown")
    gallery.check(tmp_path / "shown")  # again
    (tmp_path / "shown/notes.md").write_text("")
    with pytest.raises(LotorError, match=r"holds other files \(notes\.md\)"):
        gallery.check(tmp_path / "shown")
    with pytest.raises(LotorError, match="cannot write"):
        gallery.check(tmp_path / "shown/notes.md")
    assert [file.name for file in files] == [gallery.FILE, gallery.SHEET]
    assert (tmp_path / "shown/.gitignore").read_text() == "*\n"
    assert files[0].read_text().count("<figure>") == 12 + gallery.SHOWN
