"""Which score tells what a classifier knows from what it has never seen: AUC against val.

Everything is what the int8 model computes, in LiteRT's reference kernels: its output, its logits,
and the features before its last layer. Statistics of features come from the train split; the test
split is not touched. Unknown are images made up here, and, where they are, photographs of
another data set (`--unknown FOLDER`, by default `../shared/data/vww_eval/images`).

The cost of a score is told in multiply-accumulates, as a share of an inference's.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor import ood
from lotor.classifier import LiteRtClassifier
from lotor.compiler import read_content
from lotor.data.manifest import Photo, data_folder, read_manifest
from lotor.data.report import area_under_roc
from lotor.detect import find_images
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.graph import Graph, Tensor
from lotor.inspection import inspect
from lotor.preprocess import Image, read_image
from lotor.progress import Progress
from lotor.zoo import ModelFile, find_model

DIRECTIONS = (16, 32, 64)
EACH = 100  # made-up images of a kind
SIDE = 192
OTHERS = Path("../shared/data/vww_eval/images")

Values = npt.NDArray[np.float64]


@dataclass
class Seen:
    """What a model computes of n images: probabilities and logits [n, labels], features [n, c]."""

    scores: Values
    logits: Values
    features: Values


class Watched:
    """A classifier whose logits and features can be read."""

    def __init__(self, model: ModelFile) -> None:
        self.classifier = LiteRtClassifier(model)
        graph = read_model(read_content(model.path)[0], model.name)
        self._logits, self._features = _inner(graph)
        self._places = {t["name"]: t["index"] for t in self._details()}

    def _details(self) -> list[dict[str, Any]]:
        return list(self.classifier._oracle._interpreter.get_tensor_details())

    def see(self, images: Iterable[Image], count: int, title: str) -> Seen:
        """Return what the model computes of images."""
        found: list[list[Values]] = []
        with Progress(title, count, "images") as progress:
            for image in images:
                output = self.classifier.infer(self.classifier.input.tensor(image))
                rows = [self.classifier.probabilities(output)]
                rows += [self._real(tensor) for tensor in (self._logits, self._features)]
                found.append(rows)
                progress.advance()
        return Seen(*(np.stack(column) for column in zip(*found, strict=True)))

    def _real(self, tensor: Tensor) -> Values:
        steps = self.classifier._oracle.tensor(self._places[tensor.name]).reshape(-1)
        return np.asarray((steps.astype(np.float64) - tensor.q.zero_point) * tensor.q.scale)


def _inner(graph: Graph) -> tuple[Tensor, Tensor]:
    """Return a classifier's logits, and the input of the layer that makes them."""
    made = {id(op.outputs[0]): op for op in graph.ops}
    last = made[id(graph.outputs[0])]
    if last.kind != "SOFTMAX":
        raise LotorError(f"{graph.name} does not end in a softmax")
    logits = last.input(0)
    return logits, made[id(logits)].input(0)


def made_up(rng: np.random.Generator) -> dict[str, list[Image]]:
    """Return images that no camera has taken, BGR uint8, by kind."""
    kinds: dict[str, list[Image]] = {k: [] for k in ("noise", "one colour", "stripes", "text")}
    for _ in range(EACH):
        grain = int(rng.choice([1, 4, 16]))
        coarse = rng.integers(0, 256, (SIDE // grain, SIDE // grain, 3), np.uint8)
        method = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
        kinds["noise"].append(np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=method)))
        plain = np.full((SIDE, SIDE, 3), rng.integers(0, 256, 3), np.uint8)
        kinds["one colour"].append(plain)
        kinds["stripes"].append(_stripes(rng))
        page = np.full((SIDE, SIDE, 3), int(rng.integers(180, 256)), np.uint8)
        ink = tuple(int(v) for v in rng.integers(0, 100, 3))
        for y in range(14, SIDE, 16):
            word = "".join(chr(int(c)) for c in rng.integers(97, 123, 24))
            cv2.putText(page, word, (4, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)
        kinds["text"].append(page)
    return kinds


def _stripes(rng: np.random.Generator) -> Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle, often = rng.uniform(0, np.pi), rng.uniform(2, 30)
    wave = np.sin(2 * np.pi * often * (x * np.cos(angle) + y * np.sin(angle)))
    part = (wave[..., None] > 0) if rng.random() < 0.5 else (wave[..., None] + 1) / 2
    first, second = rng.integers(0, 256, (2, 3))
    return np.asarray(first * part + second * (1 - part), np.uint8)


def candidates(
    train: Seen, truth: npt.NDArray[np.int64], macs: int
) -> dict[str, tuple[Any, float]]:
    """Return every score: a function of `Seen`, and its cost as a share of an inference."""
    channels, labels = train.features.shape[1], train.logits.shape[1]
    full = ood.Distance.of(train.features, truth)
    each = ood.Distance.of(train.features, truth, diagonal=True)
    last = {n: ood.still_directions(train.features, n) for n in DIRECTIONS}

    def still(seen: Seen, count: int) -> Values:
        weights, bias = last[count]
        steps = np.clip(np.rint(16 * (seen.features @ weights.T + bias)), -128, 127)
        return np.asarray(np.square(steps / 16).mean(axis=1))

    return {
        "max softmax": (lambda seen: ood.least_sure(seen.scores), 0.0),
        "max logit": (lambda seen: ood.small_logit(seen.logits), 0.0),
        "energy": (lambda seen: ood.energy(seen.logits), labels / macs),
        "feature norm": (lambda seen: ood.small_norm(seen.features), channels / macs),
        "mahalanobis, diagonal": (
            lambda seen: each(seen.features),
            2 * labels * channels / macs,
        ),
        "mahalanobis": (
            lambda seen: full(seen.features),
            (channels * channels + labels * channels) / macs,
        ),
    } | {
        f"last {n} directions, int8": (partial(still, count=n), n * channels / macs)
        for n in DIRECTIONS
    }


def compare(model: ModelFile, data: Path | None, others: Path | None) -> dict[str, Any]:
    """Return `known` and `unknown` (how many), and of every score `cost` and `auc` by kind."""
    if not model.recipe:
        raise LotorError(f"{model.name} has no recipe.toml beside it, which says what classes mean")
    table = model.recipe["data"]
    photos = read_manifest(data_folder(data, str(table["folder"])))
    labels = list(model.labels or [])

    def label_of(photo: Photo) -> int:
        return labels.index(table["classes"].get(photo.kind, table["other"]))

    watched = Watched(model)

    def see(some: list[Path], title: str, turned: bool = False) -> Seen:
        images = (read_image(path) for path in some)
        return watched.see((i[::-1] if turned else i for i in images), len(some), title)

    val = [photo.path for photo in photos.split("val")]
    train = photos.split("train")
    known = see(val, "val")
    unknown = {"upside down": see(val, "upside down", turned=True)}
    for kind, images in made_up(np.random.default_rng(0)).items():
        unknown[kind] = watched.see(images, len(images), kind)
    if others is not None and others.is_dir():
        unknown["other photographs"] = see(find_images([others]), "other photographs")
    macs = inspect(str(model.path))["macs"]
    seen = see([photo.path for photo in train], "train")
    truth = np.array([label_of(photo) for photo in train], np.int64)
    scores = {}
    for name, (score, cost) in candidates(seen, truth, macs).items():
        inside = score(known)
        rows = {kind: _auc(inside, score(of)) for kind, of in unknown.items()}
        mean = round(float(np.mean(list(rows.values()))), 4)
        limit = ood.threshold(inside)
        found = {kind: round(float((score(of) > limit).mean()), 4) for kind, of in unknown.items()}
        scores[name] = {"cost": cost, "auc": rows, "mean": mean, "found": found}
    counts = {kind: len(of.scores) for kind, of in unknown.items()}
    return {"model": model.name, "known": len(val), "unknown": counts, "scores": scores}


def _auc(known: Values, unknown: Values) -> float:
    positive = np.arange(len(known) + len(unknown)) >= len(known)
    return round(area_under_roc(np.concatenate([known, unknown]), positive), 4)


def as_text(result: dict[str, Any]) -> str:
    """Return a Markdown table: a row a score."""
    kinds = list(result["unknown"])
    lines = [
        f"{result['model']}: area under the ROC curve of {result['known']} photographs of val "
        "against what is unknown; in brackets the share found where 95 % of val is accepted",
        "",
        f"| score | cost | {' | '.join(kinds)} | mean |",
        "| --- | --- |" + " --- |" * (len(kinds) + 1),
    ]
    for name, row in result["scores"].items():
        values = " | ".join(f"{row['auc'][k]:.3f} ({row['found'][k]:.2f})" for k in kinds)
        lines.append(f"| {name} | {row['cost']:.4%} | {values} | {row['mean']:.3f} |")
    return "\n".join(lines)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="raccoon", help="e.g. raccoon")
    parser.add_argument("--data", type=Path, help="a folder with manifest.csv; the recipe's")
    parser.add_argument("--unknown", type=Path, default=OTHERS, help="photographs of other things")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if len(sys.argv) == 1:
        print("left out: name a model; it takes minutes")
        return 0
    try:
        result = compare(find_model(args.model), args.data, args.unknown)
    except LotorError as error:
        print(f"ood.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if args.json else as_text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
