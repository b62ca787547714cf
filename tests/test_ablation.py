"""The ablation: folds by group, changed recipes, kept runs, paired differences."""

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ablation
from garden import make_garden
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.train.recipe import Recipe

TABLE = tomllib.loads(resource("models", "raccoon", "recipe.toml").read_text("utf-8"))


def test_folds_keep_groups_whole_and_spread_the_target() -> None:
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, 60, 300))
    _, group = np.unique(group, return_inverse=True)
    positive = np.isin(group, [3, 9, 20, 33, 41, 50])
    fold = ablation.deal(group, positive, 3)
    assert set(fold) == {0, 1, 2}
    for name in range(group.max() + 1):
        assert len(set(fold[group == name])) == 1
    for held in range(3):
        assert len(set(group[positive & (fold == held)])) == 2


def test_changes_of_a_recipe() -> None:
    recipe = ablation.changed(TABLE, "rain=0.2,fit.mixup=0.3,data.share.person=0.5,network.width=1")
    assert recipe.augment.rain == 0.2 and recipe.fit.mixup == 0.3
    assert recipe.data.share["person"] == 0.5 and recipe.network.width == 1.0
    assert ablation.changed(TABLE, "input.aspect=pad").input.aspect == "pad"
    assert ablation.changed(TABLE, "baseline").augment.rain == 0.0
    assert TABLE["teacher"] and ablation.changed(TABLE, "teacher=off").teacher is None
    small = ablation.changed(TABLE, "rain=0.1", "network.stem_stride=2,rain=0.3")
    assert (small.network.stem_stride, small.augment.rain) == (2, 0.1)
    merged = ablation.changed(TABLE, "merge=person+other_animal+background")
    assert merged.labels == ["raccoon", "cat", "dog", "person", "bird"]
    assert merged.data.other == "person" and merged.data.classes["background"] == "person"
    assert sum(merged.data.share.values()) == pytest.approx(sum(TABLE["data"]["share"].values()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("rain", "'rain' is no change; write key=value"),
        ("rian=0.2", "unknown key 'rian'"),
        ("rain=2", "augment.rain is 2"),
        ("merge=person+fox", "the labels are raccoon, cat, dog, person"),
        ("merge=person+raccoon", "raccoon is the target; name it first"),
        ("target.name=1", "target is no table"),
    ],
)
def test_unsound_changes(change: str, says: str) -> None:
    with pytest.raises(LotorError, match=says):
        ablation.changed(TABLE, change)


def base(**changes: str) -> Recipe:
    return ablation.changed(TABLE, ",".join(f"{k}={v}" for k, v in changes.items()) or "baseline")


def test_a_run_is_known_by_what_counts(tmp_path: Path) -> None:
    found = ablation.material(make_garden(tmp_path), base(), 2)
    recipe = base()
    key = ablation.identity(recipe, found, 0, 1)
    other_seed = replace(recipe, fit=replace(recipe.fit, seed=99))
    assert ablation.identity(other_seed, found, 0, 1) == key
    others = [
        ablation.identity(base(rain="0.1"), found, 0, 1),
        ablation.identity(base(**{"fit.steps": "7"}), found, 0, 1),
        ablation.identity(recipe, found, 1, 1),
        ablation.identity(recipe, found, 0, 2),
        ablation.identity(recipe, replace(found, version="x"), 0, 1),
        ablation.identity(recipe, replace(found, folds=3), 0, 1),
    ]
    assert len({key, *others}) == len(others) + 1
    # What is said, but is the default, changes nothing: so a key may be added later.
    assert ablation.identity(base(rain="0.0"), found, 0, 1) == key


ABSENT = ",".join(f"data.share.{label}=0" for label in ("dog", "bird", "other_animal"))  # in it
SMALL_TEACHER = """
name = "small-teacher"
target = "raccoon"
labels = ["raccoon", "cat", "dog", "person", "bird", "other_animal", "background"]
[input]
height = 40
width = 48
[data]
folder = "nowhere"
other = "other_animal"
classes = { raccoon = "raccoon", cat = "cat", person = "person", background = "background" }
[data.share]
raccoon = 0.3
cat = 0.2
dog = 0.0
person = 0.2
bird = 0.0
other_animal = 0.0
background = 0.3
[fit]
steps = 2
batch = 4
"""


def small_teacher(folder: Path, text: str = SMALL_TEACHER) -> str:
    """Return a change that has a network of few steps for a teacher."""
    path = folder / "small-teacher.toml"
    path.write_text(text, "utf-8")
    return f"teacher={path}"


def test_a_run_depends_on_the_recipe_of_its_teacher(tmp_path: Path) -> None:
    found = ablation.material(make_garden(tmp_path / "data"), base(), 2)
    keys = [
        ablation.identity(ablation.changed(TABLE, small_teacher(tmp_path, text)), found, 0, 1)
        for text in (SMALL_TEACHER, SMALL_TEACHER.replace("steps = 2", "steps = 3"))
    ]
    key = ablation.identity(base(), found, 0, 1)
    assert keys[0] != key and ablation.teacher_of(base()) is None
    recipe = ablation.changed(TABLE, small_teacher(tmp_path))
    small_teacher(tmp_path)  # as it was for the second key: by its content
    assert ablation.identity(recipe, found, 0, 1) == keys[0] != keys[1]


def test_a_teacher_of_other_labels(tmp_path: Path) -> None:
    text = SMALL_TEACHER.replace("bird", "fowl")
    with pytest.raises(
        LotorError, match="teacher=small-teacher has the labels raccoon, cat, dog, person, fowl"
    ):
        ablation.teacher_of(ablation.changed(TABLE, small_teacher(tmp_path, text)))


@pytest.mark.slow
def test_a_teacher_is_trained_once_for_a_fold_and_does_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[tuple[str, int, int]] = []
    plain = ablation.trained

    def trained(recipe: Recipe, found: ablation.Material, held: int, seed: int) -> object:
        learned.append((recipe.name, held, seed))
        return plain(recipe, found, held, seed)

    monkeypatch.setattr(ablation, "trained", trained)
    changes = "teacher=off,transfer=off,network.stem_stride=2,fit.batch=4,fit.steps=2"
    recipe = ablation.changed(TABLE, small_teacher(tmp_path), f"{changes},{ABSENT}")
    found = ablation.material(make_garden(tmp_path / "data"), recipe, 2)
    teachers = tmp_path / "teachers"
    said = ablation.run(recipe, found, 1, 5, teachers, list(ablation.WORSE))
    assert list(said) == ["", *ablation.WORSE]
    scores = said[""]
    assert learned == [("small-teacher", 1, 5), ("raccoon", 1, 5)]
    assert len(scores) == (found.fold == 1).sum() and 0 < scores.min() <= scores.max() < 1
    (file,) = teachers.iterdir()
    told = ablation.taught(recipe, found, 1, 5, teachers)
    assert len(learned) == 2 and told.teacher
    assert Path(told.teacher.file) == file and told.teacher.labels == "same"
    assert told.teacher.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_test_split_is_not_there(tmp_path: Path) -> None:
    found = ablation.material(make_garden(tmp_path), base(), 2)
    assert {photo.split for photo in found.photos} == {"train", "val"}


def test_runs_are_kept_and_tables_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change that knows the answer gains; what is kept is not run again."""
    data, cache = make_garden(tmp_path / "data"), tmp_path / "runs.json"
    ran = []

    def run(
        recipe: Recipe, found: ablation.Material, held: int, seed: int, _: Path, worse: list[str]
    ) -> dict[str, ablation.Scores]:
        ran.append((recipe.augment.rain, held, seed))
        rng = np.random.default_rng([held, seed])
        truth = found.positive[found.fold == held]
        scores = rng.random(len(truth)) * 0.5 + (0.5 * truth if recipe.augment.rain else 0)
        return {"": scores} | {state: np.roll(scores, 1) for state in worse}

    monkeypatch.setattr(ablation, "run", run)
    monkeypatch.setattr(ablation, "ROUNDS", 50)
    given = ["rain=0.2", "--data", str(data), "--folds", "2", "--cache", str(cache)]
    given += ["--base", ABSENT]
    assert ablation.main([*given, "--seeds", "1"]) == 0
    # Configurations advance together.
    assert ran == [(0.0, 0, 1), (0.2, 0, 1), (0.0, 1, 1), (0.2, 1, 1)]
    last = capsys.readouterr().out.strip().splitlines()[-1].split(" | ")
    assert last[:3] == ["| rain=0.2", "2", "1.000"]
    low, high = last[-1].rstrip(" |").split("[")[1].rstrip("]").split(", ")
    assert 0 < float(low) < float(high)
    ran.clear()
    assert ablation.main([*given, "--seeds", "1,2"]) == 0
    assert ran == [(0.0, 0, 2), (0.2, 0, 2), (0.0, 1, 2), (0.2, 1, 2)]
    assert len(json.loads(cache.read_text())) == 8
    ran.clear()
    capsys.readouterr()
    assert ablation.main([*given, "--seeds", "1,2"]) == 0
    assert not ran
    assert "| rain=0.2 | 4 | 1.000 |" in capsys.readouterr().out
    # What is kept without the worse states is run again where these are asked for.
    assert ablation.main([*given, "--worse"]) == 0
    assert len(ran) == 4
    tilted = capsys.readouterr().out.split("`tilted`:")[-1]
    assert "| rain=0.2 | 2 | 1.000" not in tilted and "| rain=0.2 | 2 |" in tilted
    ran.clear()
    assert ablation.main([*given, "--worse"]) == ablation.main(given) == 0
    assert not ran


def test_what_poor_cameras_see() -> None:
    """Each state changes an image, alike every time, and leaves its size and range."""
    image = np.zeros((96, 96, 3), np.uint8)
    image[20:70, 30:60] = (30, 90, 220)
    image[::2] += 20
    for name, state in ablation.WORSE.items():
        seen = [state(image, np.random.default_rng(3)) for _ in range(2)]
        assert seen[0].shape == image.shape and seen[0].dtype == np.uint8, name
        assert (seen[0] == seen[1]).all() and (seen[0] != image).mean() > 0.1, name
    grey = ablation.grey(image, np.random.default_rng(3)).astype(int)
    assert np.ptp(grey, axis=2).max() == 0 and np.ptp(grey) <= 128
    assert abs(ablation.noisy(image, np.random.default_rng(3)).mean() - image.mean() / 2) < 5
    assert (
        np.abs(np.diff(ablation.soft(image, np.random.default_rng(3)).astype(int), axis=0)).max()
        < 90
    )


def test_processes_share_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two begins with every second run, and leaves out what the first has done."""
    data, cache = make_garden(tmp_path / "data"), tmp_path / "runs.json"
    given = ["rain=0.2", "--data", str(data), "--folds", "2", "--cache", str(cache)]
    given += ["--base", ABSENT]
    ran: list[tuple[float, int]] = []

    def run(
        recipe: Recipe, found: ablation.Material, held: int, seed: int, _: Path, worse: list[str]
    ) -> dict[str, ablation.Scores]:
        scores = np.zeros(int((found.fold == held).sum()))
        if not ran:  # meanwhile, in the first process
            for fold in (0, 1):
                key = ablation.identity(ablation.changed(TABLE, ABSENT), found, fold, 1)
                ablation.keep(cache, key, "baseline", {"": scores})
        ran.append((recipe.augment.rain, held))
        return {"": scores}

    monkeypatch.setattr(ablation, "run", run)
    monkeypatch.setattr(ablation, "ROUNDS", 50)
    assert ablation.main([*given, "--part", "2/2"]) == 0
    assert ran == [(0.2, 0), (0.2, 1)]
    assert len(json.loads(cache.read_text())) == 4


def test_the_list_switches_off_what_the_recipe_has_on() -> None:
    recipe = base()
    for change in ablation.CHANGES:
        assert ablation.changed(TABLE, change) != recipe, change


def test_what_equals_the_baseline_gains_nothing(tmp_path: Path) -> None:
    found = ablation.material(make_garden(tmp_path), base(), 2)
    rng = np.random.default_rng(0)
    runs = {(1, fold): rng.random(int((found.fold == fold).sum())) for fold in (0, 1)}
    one, other = ablation.Row("a", base(), runs), ablation.Row("b", base(), dict(runs))
    assert ablation.difference(one, other, found, frozenset(runs)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["rain=0.1", "--folds", "1"], "--folds 1: at least 2"),
        (["rain=0.1", "--seeds", "a"], "--seeds a: numbers"),
        (["rain=0.1", "--folds", "40"], "take fewer than 40 --folds"),
        (["rain=0.1", "--folds", "2"], "outside of fold 0 is labelled dog: add some, or leave it"),
        (["rain=0.1", "--recipe", "nothing"], "cannot read recipe"),
        (
            ["rain=0.1", "--base", ABSENT, "--folds", "2", "--part", "3/2"],
            "--part 3/2: one of how many",
        ),
    ],
)
def test_bad_arguments(
    tmp_path: Path, given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--data", str(make_garden(tmp_path)), "--cache", str(tmp_path / "runs.json")]
    assert ablation.main([*given, *folder]) == 2
    assert says in capsys.readouterr().err


def test_it_does_not_start_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert ablation.main([]) == 0
    assert "left out" in capsys.readouterr().out
