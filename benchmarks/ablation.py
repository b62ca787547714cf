"""What changes of a recipe are worth: the float network, cross-validated by group on train + val.

    .venv/bin/python benchmarks/ablation.py composite=0.3 rain=0.2,fog=0.1 merge=person+other_animal

Every argument is one configuration: the recipe with these keys changed, separated by commas. A name
without a dot is a key of `[augment]`; `merge=A+B` makes one label, A, of two; `teacher=off` leaves
a whole table out; `teacher=NAME` takes another recipe's network for a teacher, which is trained
first, without the same fold. `--listed` measures the list `CHANGES`: what the recipe leaves off,
switched on, and what it has on, switched off. `--base` changes what all of them start from.

Whole groups are dealt into folds; a network is trained without one fold and scores it; the scores
of all folds are pooled. The test split is not touched. `--worse` scores the same photographs as
poor cameras would take them, too: what helps there cannot be seen on good ones.

A Markdown table is printed after every finished run, so that it can be cut off at any time, and the
scores of each run are kept in `--cache`: what is there is not trained again, nor what another
process has added meanwhile, of those that share the work (`--part 1/2`). A run is known by its
recipe, manifest, fold and seed, not by the code: name another file when training code has changed.
"""

import argparse
import copy
import dataclasses
import fcntl
import hashlib
import json
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Photo, data_folder, read_manifest
from lotor.errors import LotorError
from lotor.evaluate import FALSE_ALARMS, average_precision, recall_at
from lotor.files import write_files
from lotor.preprocess import Image, normalize, read_image, resize
from lotor.resources import cache_dir, resource
from lotor.train.pipeline import find_recipe
from lotor.train.quiet import loading
from lotor.train.recipe import Recipe, parse_recipe, read_recipe

CHANGES = (
    "composite=0.3",
    "composite=0.5",
    "distant=0.2",
    "eyes=0.5",
    "dim=0.5",
    "rain=0.1",
    "drops=0.1",
    "fog=0.1",
    "motion=0.15",
    "mesh=0.1",
    "leaves=0.15",
    "grass=0.15",
    "tilt=0.2",
    "vignette=0.2",
    "fit.mixup=0.2",
    *(f"{name}=0" for name in ("zoom", "flip", "rotate", "soften", "gain", "colour")),
    *(f"{name}=0" for name in ("grey", "infrared", "noise", "jpeg")),
)
BASELINE = "baseline"
RECIPE_KEYS = [entry.name for entry in dataclasses.fields(Recipe)]
OF_THE_FOLD = "none yet"  # the SHA-256 of a teacher that is trained for a fold
BATCH = 64
ROUNDS = 1000

Scores = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int64]


@dataclass
class Material:
    """What all runs share: photographs of train and val, who is the target, folds of groups."""

    photos: list[Photo]
    positive: npt.NDArray[np.bool_]
    group: npt.NDArray[np.int64]
    fold: Folds
    folds: int
    version: str


@dataclass
class Row:
    """One configuration and the scores of its held-out photographs, by (seed, fold).

    Those of the same photographs in a worse state are in `worse`, by the state's name.
    """

    name: str
    recipe: Recipe
    runs: dict[tuple[int, int], Scores] = field(default_factory=dict)
    worse: dict[str, "Row"] = field(default_factory=dict)
    difference: dict[frozenset[tuple[int, int]], tuple[float, float, float]] = field(
        default_factory=dict
    )


def changed(table: dict[str, Any], change: str, base: str = BASELINE) -> Recipe:
    """Return the recipe of a TOML table with `key=value,key=value` changed in it, after `base`."""
    table = copy.deepcopy(table)
    for each in (base, change):
        _change(table, each)
    return parse_recipe(table, change)


def _change(table: dict[str, Any], change: str) -> None:
    for pair in change.split(",") if change != BASELINE else ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise LotorError(f"'{pair}' is no change; write key=value, for instance rain=0.2")
        if name == "merge":
            _merge(table, text)
            continue
        own = "." in name or name in RECIPE_KEYS
        *path, key = (name if own else f"augment.{name}").split(".")
        place = table
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise LotorError(f"'{name}': {part} is no table of the recipe")
        if text == "off" and isinstance(place.get(key), dict):
            del place[key]
            continue
        if name == "teacher":
            place[key] = {"file": text, "sha256": OF_THE_FOLD}
            continue
        try:
            place[key] = tomllib.loads(f"x = {text}")["x"]
        except tomllib.TOMLDecodeError:
            place[key] = text


def _merge(table: dict[str, Any], text: str) -> None:
    """Make one label of several in a recipe's table; it has the first one's name."""
    first, *others = text.split("+")
    for other in others:
        if other not in table["labels"] or first not in table["labels"]:
            raise LotorError(f"merge={text}: the labels are {', '.join(table['labels'])}")
        if other == table["target"]:
            raise LotorError(f"merge={text}: {other} is the target; name it first")
        data = table["data"]
        table["labels"].remove(other)
        data["classes"] = {
            kind: first if label == other else label for kind, label in data["classes"].items()
        }
        data["other"] = first if data["other"] == other else data["other"]
        data["share"][first] += data["share"].pop(other)


def deal(group: npt.NDArray[np.int64], positive: npt.NDArray[np.bool_], folds: int) -> Folds:
    """Return each photograph's fold: whole groups, those with the target spread evenly."""
    count = int(group.max()) + 1
    has = np.zeros(count, np.bool_)
    has[group[positive]] = True
    order = np.random.default_rng(0).permutation(count)
    order = order[np.argsort(~has[order], kind="stable")]
    fold = np.empty(count, np.int64)
    fold[order] = np.arange(count) % folds
    return fold[group]


def material(folder: Path, recipe: Recipe, folds: int) -> Material:
    """Read the manifest of a data set; no photograph of test is in what is returned."""
    data = read_manifest(folder)
    photos = [photo for photo in data.photos if photo.split in ("train", "val")]
    positive = np.array([recipe.labels[recipe.label_of(p.kind)] == recipe.target for p in photos])
    _, group = np.unique([p.group or p.path.name for p in photos], return_inverse=True)
    fold = deal(group, positive, folds)
    if any(not positive[fold == held].any() for held in range(folds)):
        raise LotorError(f"a fold has no {recipe.target}; take fewer than {folds} --folds")
    return Material(photos, positive, group, fold, folds, data.manifest_hash)


def check_labels(recipe: Recipe, found: Material) -> None:
    """See that every label which is drawn has a photograph outside of each fold."""
    label = np.array([recipe.label_of(photo.kind) for photo in found.photos])
    for held in range(found.folds):
        there = set(label[found.fold != held])
        for index, name in enumerate(recipe.labels):
            if index not in there and recipe.data.share[name] > 0:
                raise LotorError(
                    f"no photograph outside of fold {held} is labelled {name}: add some, or leave "
                    f"it out with --base data.share.{name}=0"
                )


def identity(recipe: Recipe, found: Material, fold: int, seed: int) -> str:
    """Return what a run is kept under: it changes with all that the recipe says beside defaults."""
    said = [_beside_defaults(recipe), found.version, found.folds, fold, seed]
    if teacher := teacher_of(recipe):
        said.append(_beside_defaults(teacher))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:20]


def _beside_defaults(part: Any) -> Any:
    """Return a dataclass as a dict without defaults: a key that is new later changes nothing."""
    if not dataclasses.is_dataclass(part):
        return part
    values = {}
    for entry in dataclasses.fields(part):
        value = getattr(part, entry.name)
        if entry.default is dataclasses.MISSING or value != entry.default:
            values[entry.name] = _beside_defaults(value)
    # Neither integers nor the seed of the recipe play a part here.
    said = {key: value for key, value in values.items() if value != {}}
    return {key: said[key] for key in said if key not in ("quantize", "seed", "folder")}


def teacher_of(recipe: Recipe) -> Recipe | None:
    """Return the recipe of a teacher that is trained for every fold; None if there is none."""
    if recipe.teacher is None or recipe.teacher.sha256 != OF_THE_FOLD:
        return None
    teacher = read_recipe(find_recipe(recipe.teacher.file))
    if teacher.labels != recipe.labels:
        raise LotorError(
            f"teacher={teacher.name} has the labels {', '.join(teacher.labels)}; {recipe.name} has "
            f"{', '.join(recipe.labels)}: a teacher of the same ones is needed"
        )
    return teacher


def taught(recipe: Recipe, found: Material, held: int, seed: int, folder: Path) -> Recipe:
    """Return a recipe with its teacher's file, which is trained without the fold if it must be."""
    teacher = teacher_of(recipe)
    if recipe.teacher is None or teacher is None:
        return recipe
    path = folder / f"{teacher.name}-{identity(teacher, found, held, seed)}.tflite"
    if not path.is_file():
        print(f"first {teacher.name}, which teaches it, without fold {held}", file=sys.stderr)
        model = trained(teacher, found, held, seed)
        from lotor.train import export, fold  # TensorFlow is there by now

        folder.mkdir(parents=True, exist_ok=True)
        write_files({path: export.to_float(fold.fold(model))})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    how = dataclasses.replace(
        recipe.teacher,
        file=str(path.resolve()),
        sha256=digest,
        mean=teacher.input.mean,
        std=teacher.input.std,
    )
    return dataclasses.replace(recipe, teacher=how)


def trained(recipe: Recipe, found: Material, held: int, seed: int) -> Any:
    """Return a Keras model trained without one fold."""
    with loading():
        from lotor.train import fit, transfer
    recipe = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, seed=seed))
    weights = transfer.weights_of(recipe)
    fit.make_repeatable(seed)
    rng = np.random.default_rng(seed)
    rest = [p for p, fold in zip(found.photos, found.fold, strict=True) if fold != held]
    pictures = fit.Photos(rest, recipe)
    model = fit.started(pictures, weights, rng)
    fit.fit(model, pictures, recipe, rng)
    return model


def grey(image: Image, _: np.random.Generator) -> Image:
    """Return an image as by an infrared lamp: without colour, with half of the contrast."""
    plain = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.convertScaleAbs(plain, alpha=0.5, beta=float(plain.mean()) / 2), np.uint8)


def soft(image: Image, _: np.random.Generator) -> Image:
    """Return an image as of a far or cheap camera: no more than 32x32 pixels are left."""
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def noisy(image: Image, rng: np.random.Generator) -> Image:
    """Return an image as with little light: half as bright, noise of 12 steps' deviation."""
    return np.clip(image * 0.5 + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)


def packed(image: Image, _: np.random.Generator) -> Image:
    """Return an image as through a narrow line: JPEG of quality 15."""
    content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 15])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), np.uint8)


def tilted(image: Image, _: np.random.Generator) -> Image:
    """Return an image as of a camera that leans by 10 degrees."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 10, 1.1)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT))


WORSE: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    function.__name__: function for function in (grey, soft, noisy, packed, tilted)
}


def run(
    recipe: Recipe,
    found: Material,
    held: int,
    seed: int,
    folder: Path,
    worse: Sequence[str] = (),
) -> dict[str, Scores]:
    """Train without one fold and return the target's probability for its photographs, [n].

    Args:
        recipe: of what is trained.
        found: the photographs.
        held: the fold.
        seed: of the training.
        folder: keeps the teachers of folds.
        worse: names of `WORSE`, in which the photographs are shown as well; "" is as they are.
    """
    with loading():
        import tensorflow as tf
    model = trained(taught(recipe, found, held, seed, folder), found, held, seed)
    shape, target = recipe.input, recipe.labels.index(recipe.target)
    scores: dict[str, list[Scores]] = {name: [] for name in ("", *worse)}
    of_fold = [p for p, fold in zip(found.photos, found.fold, strict=True) if fold == held]
    for start in range(0, len(of_fold), BATCH):
        some = [
            resize(read_image(p.path), shape.height, shape.width, shape.aspect)
            for p in of_fold[start : start + BATCH]
        ]
        for name, said in scores.items():
            rng = np.random.default_rng(start)
            seen = [WORSE[name](image, rng) for image in some] if name else some
            inputs = normalize(np.stack(seen), shape.mean, shape.std)
            said.append(tf.nn.softmax(model(inputs, training=False)).numpy()[:, target])
    return {name: np.concatenate(said).astype(np.float64) for name, said in scores.items()}


def read_cache(path: Path) -> dict[str, Any]:
    """Return the runs that are kept in a file; none where there is no file."""
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LotorError(
            f"cannot read kept runs in {path}: {error}; give another --cache"
        ) from error
    if not isinstance(kept, dict):
        raise LotorError(f"{path} holds no kept runs; give another --cache")
    return kept


def keep(path: Path, key: str, name: str, scores: dict[str, Scores]) -> None:
    """Add a run to the file; another process may add to it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = read_cache(path)
        rounded = {state: [round(float(x), 6) for x in said] for state, said in scores.items()}
        kept[key] = {"name": name, "scores": rounded.pop(""), "worse": rounded}
        write_files({path: json.dumps(kept).encode()})


def _pooled(
    row: Row, found: Material, runs: frozenset[tuple[int, int]]
) -> list[tuple[npt.NDArray[np.int64], Scores]]:
    """Return for every seed the photographs that were scored and their scores."""
    pooled = []
    for seed in sorted({seed for seed, _ in runs}):
        folds = sorted(fold for other, fold in runs if other == seed)
        photos = np.concatenate([np.flatnonzero(found.fold == fold) for fold in folds])
        pooled.append((photos, np.concatenate([row.runs[seed, fold] for fold in folds])))
    return pooled


def figures(row: Row, found: Material, runs: frozenset[tuple[int, int]]) -> list[float]:
    """Return average precision and the recalls at `FALSE_ALARMS`, pooled, mean over seeds."""
    values = [
        [
            average_precision(scores, found.positive[photos]),
            *(recall_at(scores, found.positive[photos], share) for share in FALSE_ALARMS),
        ]
        for photos, scores in _pooled(row, found, runs)
    ]
    return [float(value) for value in np.mean(values, axis=0)]


def difference(
    row: Row, base: Row, found: Material, runs: frozenset[tuple[int, int]]
) -> tuple[float, float, float]:
    """Return the gain in average precision and its 95 % interval, whole groups resampled.

    The same groups are drawn for both, and for all seeds: a paired bootstrap.
    """
    pairs = list(zip(_pooled(row, found, runs), _pooled(base, found, runs), strict=True))

    def gain(weight: npt.NDArray[np.int64]) -> float:
        values = []
        for (photos, new), (_, old) in pairs:
            chosen = np.repeat(np.arange(len(photos)), weight[found.group[photos]])
            positive = found.positive[photos][chosen]
            values.append(
                average_precision(new[chosen], positive) - average_precision(old[chosen], positive)
            )
        return float(np.mean(values))

    count = int(found.group.max()) + 1
    rng = np.random.default_rng(0)
    drawn = [
        gain(np.bincount(rng.integers(count, size=count), minlength=count)) for _ in range(ROUNDS)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return gain(np.ones(count, np.int64)), float(low), float(high)


def table(rows: Sequence[Row], found: Material) -> str:
    """Return the figures of all configurations that have a run, as Markdown."""
    recalls = " | ".join(f"recall at {share:.0%}" for share in FALSE_ALARMS)
    lines = [
        f"| change | runs | average precision | {recalls} | gain [95 %] |",
        "| --- " * (4 + len(FALSE_ALARMS)) + "|",
    ]
    base = rows[0]
    for row in rows:
        runs = frozenset(row.runs) & frozenset(base.runs)
        if not runs:
            continue
        gain = ""
        if row is not base:
            if runs not in row.difference:
                row.difference[runs] = difference(row, base, found, runs)
            gain = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row.difference[runs])
        values = " | ".join(f"{value:.3f}" for value in figures(row, found, runs))
        lines.append(f"| {row.name} | {len(runs)} | {values} | {gain} |")
    return "\n".join(lines)


def tables(rows: Sequence[Row], found: Material) -> str:
    """Return the table of the photographs as they are, and one for each worse state."""
    parts = [table(rows, found)]
    for state in rows[0].worse:
        parts.append(f"`{state}`:\n\n{table([row.worse[state] for row in rows], found)}")
    return "\n\n".join(parts)


def measure(
    rows: list[Row],
    found: Material,
    seeds: Sequence[int],
    cache: Path,
    part: tuple[int, int] = (1, 1),
) -> None:
    """Train what is not kept yet; configurations advance together, fold by fold.

    Args:
        rows: the configurations; their runs are filled in.
        found: what all runs share.
        seeds: of the runs.
        cache: file of kept runs.
        part: which one, of how many processes, this is: it begins elsewhere than the others.
    """
    kept = read_cache(cache)
    order = [(seed, fold, row) for seed in seeds for fold in range(found.folds) for row in rows]
    todo = [
        (seed, fold, row)
        for seed, fold, row in order
        if not _taken(row, (seed, fold), kept.get(identity(row.recipe, found, fold, seed)))
    ]
    if len(todo) < len(order):
        print(tables(rows, found), flush=True)
    mine = [run for n, run in enumerate(todo) if n % part[1] == part[0] - 1]
    others = [run for n, run in enumerate(todo) if n % part[1] != part[0] - 1]
    for number, (seed, fold, row) in enumerate([*mine, *others], start=1):
        key = identity(row.recipe, found, fold, seed)
        if _taken(row, (seed, fold), read_cache(cache).get(key)):
            continue
        print(f"run {number} of {len(todo)}: {row.name}, seed {seed}, fold {fold}", file=sys.stderr)
        folder = cache.parent / "teachers"
        keep(cache, key, row.name, run(row.recipe, found, fold, seed, folder, list(row.worse)))
        _taken(row, (seed, fold), read_cache(cache)[key])
        print(f"\n{tables(rows, found)}", flush=True)


def _taken(row: Row, which: tuple[int, int], kept: dict[str, Any] | None) -> bool:
    """Fill in a run that is kept; False if it is not, or not in all states."""
    if kept is None or set(row.worse) - set(kept.get("worse", {})):
        return False
    row.runs[which] = np.array(kept["scores"], np.float64)
    for state, other in row.worse.items():
        other.runs[which] = np.array(kept["worse"][state], np.float64)
    return True


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE[,…]", help="configurations")
    parser.add_argument("--listed", action="store_true", help="those of the list CHANGES, too")
    parser.add_argument("--recipe", default="raccoon", help="a model's name or a recipe.toml")
    parser.add_argument("--data", type=Path, help="a folder with manifest.csv; the recipe's")
    parser.add_argument("--base", default=BASELINE, help="KEY=VALUE[,…] of all configurations")
    parser.add_argument("--steps", type=int, help="of a run; the recipe's")
    parser.add_argument("--folds", type=int, default=5, help="at least 2; 5")
    parser.add_argument("--seeds", default="1", help="separated by commas; 1")
    parser.add_argument("--worse", action="store_true", help="as poor cameras take them, too")
    parser.add_argument("--only", help="configurations whose name holds this text, and baseline")
    parser.add_argument("--cache", type=Path, help="file of runs; in lotor's cache")
    parser.add_argument("--part", default="1/1", help="2/3: this is the second of three processes")
    return parser.parse_args(given)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LotorError(f"cannot read recipe {path}: {error}") from error


def _seeds(text: str) -> list[int]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise LotorError(f"--seeds {text}: numbers separated by commas are needed, as in 1,2,3")
    return [int(part) for part in text.split(",")]


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not number.isdecimal() or not count.isdecimal() or not 1 <= int(number) <= int(count):
        raise LotorError(f"--part {text}: one of how many is needed, as in 1/2")
    return int(number), int(count)


def main(given: Sequence[str] | None = None) -> int:
    """Print tables."""
    args = _arguments(given)
    if not args.changes and not args.listed:
        print("left out, it takes hours: name changes of the recipe, or --listed; see --help")
        return 0
    try:
        path = Path(args.recipe)
        if path.suffix != ".toml":
            path = resource("models", args.recipe, "recipe.toml")
        plain = _table(path)
        if args.steps is not None:
            plain["fit"]["steps"] = args.steps
        if args.folds < 2:
            raise LotorError(f"--folds {args.folds}: at least 2 are needed")
        names = [BASELINE, *args.changes, *(CHANGES if args.listed else ())]
        if args.only:
            names = [BASELINE, *(name for name in names[1:] if args.only in name)]
        rows = [Row(name, changed(plain, name, args.base)) for name in dict.fromkeys(names)]
        for row in rows:
            row.worse = {state: Row(row.name, row.recipe) for state in WORSE if args.worse}
        seeds = _seeds(args.seeds)
        folder = data_folder(args.data, rows[0].recipe.data.folder)
        found = material(folder, rows[0].recipe, args.folds)
        for row in rows:
            check_labels(row.recipe, found)
        cache = args.cache or cache_dir() / "ablation.json"
        measure(rows, found, seeds, cache, _part(args.part))
    except LotorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from what is done", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
