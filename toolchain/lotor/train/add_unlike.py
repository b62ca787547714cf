"""The second output, which tells the unknown, for a model that is trained already.

The int8 file is taken apart into the integers that it computes with and put together again with the
layer that `finish` makes. Nothing is trained: the first output stays what it was to the byte, which
is seen to on every photograph of val before a file is replaced.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from lotor import ood
from lotor.classifier import LiteRtClassifier
from lotor.compiler import read_content
from lotor.data.manifest import DataSet, Photo, data_folder, read_manifest
from lotor.data.store import read_version
from lotor.errors import LotorError
from lotor.evaluate import Scored, score_photos
from lotor.frontend.tflite import read_model
from lotor.graph import DType, Graph
from lotor.train import export
from lotor.train.check import check_data, check_folder
from lotor.train.dequantize import dequantized
from lotor.train.environment import environment
from lotor.train.layers import Network
from lotor.train.pipeline import find_recipe, write_files, write_golden
from lotor.train.publish import publish, staged
from lotor.train.quiet import loading
from lotor.train.recipe import Recipe, read_recipe
from lotor.train.unpack import tensor_names, unpack
from lotor.zoo import ModelFile

_WHAT_IT_IS = ("labels", "target", "input")  # of a recipe: what may not have changed since training


def add_unlike(name: str, data: Path | None = None, out: Path | None = None) -> dict[str, Any]:
    """Give a trained model the second output of its recipe's `[ood]`, or another in its place.

    The photographs are those that it was trained on, by the data version in its lineage. Written,
    all at once at the end, are its two `.tflite`, `metrics.json` (`ood`), `lineage.json` and
    golden/*.npz; all else that metrics and lineage say stays.

    Args:
        name: a folder in `models/` with a recipe, or the path of a recipe.
        data: the folder of photographs, instead of the recipe's.
        out: the folder of the trained model; the recipe's own when None.

    Returns:
        `files`, `metrics`, `lineage`.

    Raises:
        LotorError: the recipe has no `[ood]`, or is not that of the model; a file of the model is
            missing or damaged; there are other photographs; or the first output would change.
    """
    path = find_recipe(name)
    recipe = read_recipe(path)
    if not recipe.ood.directions:
        raise LotorError(f"{path} has no [ood]: state `directions` there, e.g. 64")
    out = out or path.parent
    files = [out / f"{recipe.name}{end}.tflite" for end in ("", "_float")]
    lineage, metrics = (_read(out / f"{part}.json") for part in ("lineage", "metrics"))
    _check_recipe(recipe, lineage, path)
    check_folder(out)
    photos, digest = check_data(_trained_on(lineage, data_folder(data, recipe.data.folder)), recipe)
    with loading():
        from lotor.train import finish, fit, qat, rounded
    fit.make_repeatable(recipe.fit.seed)
    before = [read_content(file)[0] for file in files]
    network, planned = integers_of(read_model(before[0], recipe.name))
    real = without_unlike(unpack(read_model(before[1], recipe.name)))
    computes = (rounded.RoundedNetwork if planned.mixed else qat.QuantizedModel)(network, planned)
    done = finish.with_unlike(
        finish.Finished(network, planned, real, {}),
        computes.tensors,
        photos.split("train"),
        recipe,
    )
    after = export.to_int8(done.network, done.planned), export.to_float(done.real)
    lineage = _told(lineage, recipe, photos, digest) | {
        "model_sha256": hashlib.sha256(after[0]).hexdigest(),
        "float_sha256": hashlib.sha256(after[1]).hexdigest(),
    }
    with staged(out, f".{recipe.name}.new") as made:
        write_files(recipe, made, *after)
        if (out / "recipe.toml").resolve() != path.resolve():
            (made / "recipe.toml").write_bytes(path.read_bytes())
        for old in files:
            scored = _check_first(recipe, old, made / old.name, photos.split("val"))
            if old == files[0] and scored.unlike is not None:
                metrics["ood"] = ood.choose(scored.unlike)
        for title, content in (("metrics", metrics), ("lineage", lineage)):
            (made / f"{title}.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        write_golden(made / files[0].name, recipe, made / "golden")
        written = publish(made, out)
    return {"files": [str(file) for file in written], "metrics": metrics, "lineage": lineage}


def as_text(result: dict[str, Any]) -> str:
    """Return what was added, for people."""
    chosen, photos = result["metrics"]["ood"], result["lineage"]["unlike"]["photos"]
    return "\n".join(
        [
            f"known are {photos} photographs of train; unknown is what scores above "
            f"{chosen['threshold']:.4f}, as {1 - chosen['accepted']:.1%} of val do",
            "the first output is what it was on all photographs of val",
            *result["files"],
        ]
    )


def integers_of(graph: Graph) -> tuple[Network, export.Plan]:
    """Return a quantized classifier as the network and the plan that it was written from.

    Its first output alone: a second one is left out.

    Raises:
        LotorError: it is not quantized, has layers of 8 bits beside some of 16, or a layer that
            cannot be taken apart.
    """
    tensors = [graph.inputs[0], *(op.outputs[0] for op in graph.ops)]
    if any(tensor.quant is None for tensor in tensors):
        raise LotorError(f"{graph.name} is not quantized: there are no integers to keep")
    if len({tensor.dtype for tensor in tensors}) > 1:
        raise LotorError(f"{graph.name} has layers of 8 and of 16 bits: train it with [ood]")
    real = dequantized(graph)
    names = tensor_names(real)
    bits = 8 * graph.inputs[0].np_dtype.itemsize
    same = zip(tensors, [real.inputs[0], *(op.outputs[0] for op in real.ops)], strict=True)
    planned = {names[id(b)]: export.Quantization(a.q.scale, a.q.zero_point, bits) for a, b in same}
    narrow = {
        names[id(b.outputs[0])]: 4
        for a, b in zip(graph.ops, real.ops, strict=True)
        if len(a.inputs) > 1 and a.input(1).dtype is DType.INT4
    }
    return without_unlike(unpack(real)), export.Plan(planned, narrow)


def without_unlike(network: Network) -> Network:
    """Return a network with its first output alone, and no layer that only another one needs."""
    needed, layers = {network.outputs[0]}, []
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed |= set(layer.inputs)
            layers.append(layer)
    return dataclasses.replace(network, layers=tuple(reversed(layers)), outputs=network.outputs[:1])


def _check_first(recipe: Recipe, old: Path, new: Path, val: list[Photo]) -> Scored:
    """Return what a new file says of val, whose first output must be an old file's to the byte."""
    table = dataclasses.asdict(recipe)
    told = len(read_model(read_content(old)[0], recipe.name).outputs) > 1
    as_it_was = table | {"ood": {"directions": int(told)}}
    before, after = (
        score_photos(
            LiteRtClassifier(ModelFile(recipe.name, path, recipe.labels, each)),
            val,
            recipe.label_of,
        )
        for path, each in ((old, as_it_was), (new, table))
    )
    differ = int((before.scores != after.scores).any(axis=1).sum())
    if differ:
        raise LotorError(
            f"the first output of {old.name} would change on {differ} of {len(val)} photographs of "
            f"val; nothing was written. `lotor train {recipe.name}` trains it with [ood]"
        )
    return after


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise LotorError(
            f"there is no {path}: a second output is for what is trained; `lotor train` does"
        ) from error
    except (OSError, ValueError) as error:
        raise LotorError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise LotorError(f"{path} holds no table; take it from where the model came from")
    return found


def _check_recipe(recipe: Recipe, lineage: dict[str, Any], path: Path) -> None:
    """See that the recipe is still that of the trained model."""
    trained, now = lineage.get("recipe"), json.loads(json.dumps(dataclasses.asdict(recipe)))
    for part in _WHAT_IT_IS:
        if not isinstance(trained, dict) or trained.get(part) != now[part]:
            raise LotorError(
                f"{path}: `{part}` is not what the model was trained with, by its lineage.json; "
                "only [ood] may differ, or train it"
            )


def _trained_on(lineage: dict[str, Any], folder: Path) -> DataSet:
    """Return the photographs that a model was trained on."""
    version, listed = str(lineage.get("manifest_sha256")), read_manifest(folder)
    return listed if listed.manifest_hash == version else read_version(folder, version)


def _told(lineage: dict[str, Any], recipe: Recipe, photos: DataSet, digest: str) -> dict[str, Any]:
    """Return a lineage that says what was added to which file, and what is known."""
    was = lineage.get("unlike", {}).get("to_model_sha256", lineage.get("model_sha256"))
    return lineage | {
        "recipe": lineage["recipe"] | {"ood": dataclasses.asdict(recipe.ood)},
        "unlike": {
            "to_model_sha256": was,
            "photographs_sha256": digest,
            "photos": len(photos.split("train")),
            **environment(),
        },
    }
