"""The whole training: recipe -> photographs -> weights -> int8 file, with its evidence."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lotor import decision, ood
from lotor.classifier import LiteRtClassifier
from lotor.data.manifest import DataSet, data_folder, read_manifest
from lotor.data.samples import get_samples
from lotor.data.store import read_version, tombstones
from lotor.data.uses import TEST, count_use
from lotor.errors import LotorError
from lotor.evaluate import (
    FALSE_ALARMS,
    Scored,
    as_figure,
    measure,
    operating_points,
    score_photos,
)
from lotor.locate_evaluate import as_lines, figures_of_training
from lotor.preprocess import Image, read_image
from lotor.resources import resource
from lotor.suggest import did_you_mean
from lotor.train.check import check_data, check_folder
from lotor.train.checkpoint import Checkpoint
from lotor.train.environment import environment
from lotor.train.publish import publish, staged
from lotor.train.quiet import loading
from lotor.train.recipe import Recipe, read_recipe
from lotor.zoo import ModelFile


def train(
    name: str,
    data: Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
    version: str | None = None,
    anew: bool = False,
    test: bool = False,
) -> dict[str, Any]:
    """Train a model by its recipe and write it with its evidence.

    Written to `out`, all at once at the end: NAME.tflite (int8), NAME_float.tflite, labels.txt,
    recipe.toml, metrics.json (figures on val, thresholds chosen on it), lineage.json,
    golden/*.npz. Meanwhile the state of the training is kept there, in `.NAME.training`; where
    there is one, training goes on from it, and ends with the bytes of one that was not interrupted.
    A recipe that stays in float has no NAME.tflite and no golden vectors.

    Args:
        name: a folder in `models/` with a recipe, or the path of a recipe.
        data: the folder of photographs, instead of the recipe's.
        steps: optimisation steps, instead of the recipe's.
        seed: instead of the recipe's.
        out: where to write; the recipe's own folder when None.
        version: of the data set, the start of its hash; what it is now when None.
        anew: start over, whatever was interrupted.
        test: measure on test as well, the int8 and the float model: for what is going to ship.
            Each use of the split is counted, see `lotor.data.uses`.

    Returns:
        `files`, `metrics`, `lineage`.

    Raises:
        LotorError: the recipe, the photographs or the folder will not do; what was interrupted is
            another training; there is no room; or there is nothing to measure on test.
    """
    path = find_recipe(name)
    recipe = _changed(read_recipe(path), steps, seed)
    folder = data_folder(data, recipe.data.folder)
    listed = read_version(folder, version) if version else read_manifest(folder)
    out = out or path.parent
    with loading():
        from lotor.train import fit
    fit.make_repeatable(recipe.fit.seed)
    check_folder(out)
    photos, digest = check_data(listed, recipe)
    if test:
        _check_test(photos, recipe)
    lineage = _lineage(recipe, photos, digest)
    saved = Checkpoint(out / f".{recipe.name}.training", _identity(lineage))
    if anew:
        saved.remove()
    if saved.load():
        print(
            f"going on from step {saved.step} ({saved.phase}) of {saved.path}; --anew starts over",
            file=sys.stderr,
        )
    int8, real, calibration = _fit(recipe, photos, saved)
    hashes = [hashlib.sha256(content).hexdigest() for content in (int8 or real, real)]
    lineage = {"model_sha256": hashes[0], "float_sha256": hashes[1], **lineage}
    with staged(out, f".{recipe.name}.new") as made:
        write_files(recipe, made, int8, real)
        if (out / "recipe.toml").resolve() != path.resolve():
            (made / "recipe.toml").write_bytes(path.read_bytes())
        metrics = _measure(recipe, photos, made, calibration, test)
        for title, content in (("metrics", metrics), ("lineage", lineage)):
            (made / f"{title}.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        if int8:
            write_golden(made / f"{recipe.name}.tflite", recipe, made / "golden")
        files = publish(made, out)
    saved.remove()
    if test and int8:
        count_use(listed, recipe.name, int8)
    return {"files": [str(file) for file in files], "metrics": metrics, "lineage": lineage}


def find_recipe(name: str) -> Path:
    """Return the path of a model's recipe; a name that ends in `.toml` is one."""
    if name.endswith(".toml"):
        return Path(name)
    path = resource("models", name, "recipe.toml")
    if not path.is_file():
        known = [recipe.parent.name for recipe in resource("models").glob("*/recipe.toml")]
        raise LotorError(
            f"no recipe for '{name}'{did_you_mean(name, known)}: there is one for "
            f"{', '.join(sorted(known)) or 'no model'}; or give the path of a recipe.toml"
        )
    return path


def _check_test(photos: DataSet, recipe: Recipe) -> None:
    """See that there is something to measure on test, before the long work."""
    if not recipe.quantize.int8:
        raise LotorError(
            f"{recipe.name} stays in float, as a teacher, and does not ship: leave out --test"
        )
    if not photos.split(TEST):
        raise LotorError(f"{photos.folder} has no photograph in split test: leave out --test")


def _changed(recipe: Recipe, steps: int | None, seed: int | None) -> Recipe:
    fit = recipe.fit
    if steps is not None:
        if steps < 1:
            raise LotorError(f"--steps {steps}: at least 1 step is needed")
        fit = dataclasses.replace(fit, steps=steps)
    if seed is not None:
        if not 0 <= seed < 1 << 32:
            raise LotorError(f"--seed {seed}: 0 to 2^32 - 1 needed")
        fit = dataclasses.replace(fit, seed=seed)
    return dataclasses.replace(recipe, fit=fit)


def _fit(
    recipe: Recipe, photos: DataSet, saved: Checkpoint
) -> tuple[bytes | None, bytes, dict[str, Any]]:
    """Return the trained model as int8, if the recipe wants that, and as float `.tflite`.

    With them comes what calibrated it.
    """
    with loading():
        from lotor.train import boxes, convert, export, finish, fit, fold, scenes, transfer
        from lotor.train.networks import ssd_lite
    weights = transfer.weights_of(recipe)
    rng = np.random.default_rng(recipe.fit.seed)
    kinds = {"classify": fit.Photos, "locate": scenes.Cells, "detect": boxes.Boxed}
    pictures = kinds[recipe.task](photos.split("train"), recipe)
    model = fit.started(pictures, weights, rng)
    if recipe.task == "locate":
        model = scenes.heat_map_of(model, recipe)
    elif recipe.task == "detect":
        model = boxes.detector_of(model, recipe)
    try:
        fit.fit(model, pictures, recipe, rng, saved)
        if not recipe.quantize.int8:
            return None, export.to_float(fold.fold(model)), {}
        print("quantizing", file=sys.stderr)
        if recipe.task == "detect":
            model = ssd_lite.ends(model)
        integers, folded = convert.quantized(model, pictures, rng, saved)
    except fit.Diverged:
        saved.remove()
        raise
    except KeyboardInterrupt:
        if saved.phase:
            print("\ninterrupted; the same command goes on from what is done", file=sys.stderr)
        raise
    if recipe.task != "classify":
        ending = boxes.ending_of(recipe) if recipe.task == "detect" else None
        int8 = export.to_int8(integers.network, integers.planned, ending)
        return int8, export.to_float(folded, ending), {}
    done = finish.finish(integers, folded, photos.split("train"), photos.split("val"), recipe)
    int8, real = export.to_int8(done.network, done.planned), export.to_float(done.real)
    return int8, real, done.calibration


def write_files(recipe: Recipe, out: Path, int8: bytes | None, real: bytes) -> None:
    """Write a model's files and its labels to a folder."""
    if int8:
        (out / f"{recipe.name}.tflite").write_bytes(int8)
    (out / f"{recipe.name}_float.tflite").write_bytes(real)
    (out / "labels.txt").write_text("".join(f"{label}\n" for label in recipe.labels), "utf-8")


def _measure(
    recipe: Recipe, photos: DataSet, out: Path, calibration: dict[str, Any], test: bool
) -> dict[str, Any]:
    """Return the figures on val and, if wanted, test; and the thresholds that val gives."""
    last = photos.split(TEST) if test else []
    if recipe.task != "classify":
        table, path = dataclasses.asdict(recipe), out / f"{recipe.name}.tflite"
        model = ModelFile(recipe.name, path, recipe.labels, table)
        real_path = out / f"{recipe.name}_float.tflite"
        return figures_of_training(model, real_path, photos.split("val"), last)
    real = _classifier(recipe, out / f"{recipe.name}_float.tflite", fast=True)
    whole = recipe.quantize.int8
    int8 = _classifier(recipe, out / f"{recipe.name}.tflite") if whole else real
    val = score_photos(int8, photos.split("val"), recipe.label_of)
    target = recipe.labels.index(recipe.target)
    thresholds = operating_points(val, target)
    figures: dict[str, Any] = {"thresholds": thresholds}
    if calibration:
        figures["calibration"] = calibration
    if whole:
        figures |= _choices(recipe, int8, val)
    figures["val"] = measure(val, recipe.labels, target, thresholds)
    if last:
        scored = score_photos(int8, last, recipe.label_of)
        figures["test"] = measure(scored, recipe.labels, target, thresholds)
        scored = score_photos(real, last, recipe.label_of)
        figures["test_float"] = measure(scored, recipe.labels, target, thresholds)
    return figures


def _choices(recipe: Recipe, int8: LiteRtClassifier, val: Scored) -> dict[str, Any]:
    """Return what else is chosen on val: thresholds with views and by cost, and for the unknown."""
    target, found = recipe.labels.index(recipe.target), dict[str, Any]()
    if val.unlike is not None:
        found["ood"] = ood.choose(val.unlike)
    if costs := decision.stated(dataclasses.asdict(recipe)):
        seen = score_photos(int8, val.photos, recipe.label_of, target)
        found["thresholds_views"] = operating_points(seen, target)
        found["decision"] = dataclasses.asdict(costs)
        for name, each in (("full", val), ("views", seen)):
            groups = [photo.group or photo.path.name for photo in each.photos]
            positive = each.truth == target
            chosen = decision.choose(each.scores[:, target], positive, groups, costs)
            if chosen:
                found["decision"][name] = chosen
    return found


def _classifier(recipe: Recipe, path: Path, fast: bool = False) -> LiteRtClassifier:
    model = ModelFile(recipe.name, path, recipe.labels, dataclasses.asdict(recipe))
    return LiteRtClassifier(model, fast)


def _lineage(recipe: Recipe, photos: DataSet, digest: str) -> dict[str, Any]:
    """Return all that the training's bytes depend on, with the hash of its photographs' files."""
    version, here = photos.manifest_hash, {photo.id for photo in photos.photos}
    stones = tombstones(photos.folder).values()
    # One that `forget` was broken off at may be here still, and is learned from.
    gone = [s.id for s in stones if version in s.versions and s.id not in here]
    return {
        "recipe": dataclasses.asdict(recipe),
        "seed": recipe.fit.seed,
        "manifest_sha256": version,
        "forgotten": sorted(gone),  # before this training, of what the version once held
        "photographs_sha256": digest,
        "photos": {name: len(photos.split(name)) for name in ("train", "val", "test")},
        "source_weights_sha256": recipe.transfer.sha256 if recipe.transfer else None,
        "teacher_sha256": recipe.teacher.sha256 if recipe.teacher else None,
        **environment(),
        "false_alarm_shares": list(FALSE_ALARMS),
    }


def _identity(lineage: dict[str, Any]) -> dict[str, Any]:
    """Return what an interrupted training must agree in to be gone on with, one value a name."""
    names = {
        "manifest_sha256": "data version",
        "photographs_sha256": "photographs",
        "code_sha256": "code",
    }
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}.{key}", inner)
        else:
            flat[names.get(name, name)] = value

    # A commit that changes no code changes no bytes.
    for name, value in lineage.items():
        if name not in ("commit", "lotor", "seed", "false_alarm_shares"):
            add(name, value)
    return flat


def write_golden(model: Path, recipe: Recipe, folder: Path) -> list[Path]:
    """Write golden vectors: exact int8 inputs of free photographs and LiteRT's exact outputs.

    Each NAME.npz holds `input`, `output`, a second output as `output_1`, `oracle` (name and
    version), `model_sha256`, `source` and `licence`. Where the sample photographs cannot be had,
    seeded noise takes their place.
    """
    classifier = _classifier(recipe, model)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, image, source, licence in _golden_images():
        tensor = classifier.input.tensor(image)
        files.append(folder / f"{name}.npz")
        vectors: dict[str, Any] = {
            "input": tensor,
            **classifier.named_outputs(tensor),
            "oracle": f"LiteRT {classifier.version} BUILTIN_REF",
            "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
            "source": source,
            "licence": licence,
        }
        np.savez_compressed(files[-1], **vectors)
    return files


def _golden_images() -> list[tuple[str, Image, str, str]]:
    try:
        samples = get_samples()[:5]
    except LotorError as error:
        print(f"golden vectors of noise, since there are no photographs: {error}", file=sys.stderr)
        rng = np.random.default_rng(0)
        noise = [rng.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(2)]
        return [(f"noise{i}", image, "seeded noise", "none") for i, image in enumerate(noise)]
    return [(s.path.stem, read_image(s.path), s.source, s.licence) for s in samples]


def as_text(result: dict[str, Any]) -> str:
    """Return what a training gave, for people."""
    lines = []
    for part, figures in result["metrics"].items():
        if "pasted" in figures:
            target = result["lineage"]["recipe"]["target"]
            lines += [f"{part}:", *as_lines(figures, target)]
        elif part in ("val", "test", "test_float"):
            for name, row in figures.items():
                recalls = (f"{as_figure(v)} at {share}" for share, v in row["recall"].items())
                lines.append(
                    f"{part:<10} {name:<5} average precision "
                    f"{as_figure(row['average_precision'])}, recall {', '.join(recalls)} false "
                    f"alarms, right label {as_figure(row['accuracy'])}"
                )
    return "\n".join([*lines, *_choice_lines(result["metrics"]), *result["files"]])


def _choice_lines(metrics: dict[str, Any]) -> list[str]:
    lines = []
    if found := metrics.get("calibration"):
        errors = [found[when]["calibration_error"] for when in ("before", "after")]
        used = "used" if found["used"] else "not used"
        lines.append(
            f"temperature {found['temperature']}, {used}: calibration error "
            f"{as_figure(errors[0])}, with it {as_figure(errors[1])}"
        )
    for part in ("full", "views"):
        if chosen := metrics.get("decision", {}).get(part):
            lines.append(
                f"alarm ({part}) from {chosen['threshold']:.4f} on: cost {chosen['cost']} "
                f"{chosen['cost_95']} a frame, {chosen['cost_silent']} without any alarm"
            )
    if limit := metrics.get("ood"):
        lines.append(f"unknown beyond {limit['threshold']:.4f}, {limit['accepted']:.1%} accepted")
    return lines
