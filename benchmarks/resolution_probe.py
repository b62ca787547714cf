"""What resolution inside the network is worth: a linear classifier on frozen ImageNet features.

Photographs are shrunk to so many pixels and enlarged again to what the backbone sees. Average
precision of the target over train and val, each group scored by a fit that has not seen it; the
test split is not touched. Needs `../shared` and TensorFlow.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]

from lotor.data.manifest import data_folder, read_manifest
from lotor.errors import LotorError
from lotor.evaluate import average_precision
from lotor.preprocess import Image, normalize, read_image, resize
from lotor.progress import Progress
from lotor.resources import resource
from lotor.train import networks, transfer
from lotor.train.recipe import Recipe, read_recipe

SIZES = ((96, 96), (96, 128), (96, 160), (96, 192), (128, 128), (128, 192), (192, 192))
FOLDS = 5
STRENGTHS = (1e-3, 1e-2, 1e-1)  # of the penalty on weights
BATCH = 64

Values = npt.NDArray[np.float64]


def features(images: list[Image], pixels: int, seen: int, recipe: Recipe) -> Values:
    """Return what the backbone's last layer says of photographs, [n, features]."""
    folded = transfer.weights_of(recipe) or []
    model = networks.build(recipe.network, seen, seen, len(recipe.labels))
    typical = np.stack([_seen(image, pixels, seen, recipe) for image in images[:BATCH]])
    transfer.transfer(model, folded, typical)
    backbone = keras.Model(model.input, model.get_layer("pool").output)
    found = []
    with Progress(f"{pixels} pixels seen as {seen}", len(images), "photographs") as progress:
        for start in range(0, len(images), BATCH):
            some = [_seen(image, pixels, seen, recipe) for image in images[start : start + BATCH]]
            found.append(np.asarray(backbone(np.stack(some), training=False), np.float64))
            progress.advance(len(some))
    every = np.concatenate(found)
    return np.asarray((every - every.mean(axis=0)) / (every.std(axis=0) + 1e-3))


def _seen(image: Image, pixels: int, seen: int, recipe: Recipe) -> npt.NDArray[np.float32]:
    small = resize(image, pixels, pixels, recipe.input.aspect)
    large = cv2.resize(small, (seen, seen), interpolation=cv2.INTER_LINEAR)
    return normalize(np.asarray(large, np.uint8), recipe.input.mean, recipe.input.std)


def probe(x: Values, positive: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]) -> float:
    """Return the best average precision of logistic regressions, cross-validated."""
    found = []
    for strength in STRENGTHS:
        scores = np.zeros(len(x))
        for held in range(FOLDS):
            rest = fold != held
            weights = _fit(x[rest], positive[rest], strength)
            scores[~rest] = x[~rest] @ weights[:-1] + weights[-1]
        found.append(average_precision(scores, positive))
    return max(found)


def _fit(x: Values, positive: npt.NDArray[np.bool_], strength: float) -> Values:
    sign = np.where(positive, 1.0, -1.0)
    share = np.where(positive, 0.5 / positive.mean(), 0.5 / (~positive).mean()) / len(x)

    def loss(w: Values) -> tuple[float, Values]:
        margin = sign * (x @ w[:-1] + w[-1])
        slope = -share * sign * np.exp(-np.logaddexp(0, margin))
        value = share @ np.logaddexp(0, -margin) + strength * (w[:-1] @ w[:-1])
        return value, np.append(x.T @ slope + 2 * strength * w[:-1], slope.sum())

    start = np.zeros(x.shape[1] + 1)
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x)


def main() -> int:
    """Print a table."""
    recipe = read_recipe(resource("models", "raccoon", "recipe.toml"))
    recipe = replace(recipe, network=replace(recipe.network, stem_stride=2))
    try:
        folder = data_folder(Path(sys.argv[1]) if len(sys.argv) > 1 else None, recipe.data.folder)
    except LotorError as error:
        print(f"left out: {error}")
        return 0
    photos = [photo for photo in read_manifest(folder).photos if photo.split in ("train", "val")]
    images = [read_image(photo.path) for photo in photos]
    positive = np.array([recipe.data.classes.get(p.kind) == recipe.target for p in photos])
    names = np.array([photo.group or photo.path.name for photo in photos])
    _, group = np.unique(names, return_inverse=True)
    fold = np.random.default_rng(0).integers(0, FOLDS, group.max() + 1)[group]
    print("| pixels | seen as | average precision |\n| --- | --- | --- |")
    for pixels, seen in SIZES:
        value = probe(features(images, pixels, seen, recipe), positive, fold)
        print(f"| {pixels}x{pixels} | {seen}x{seen} | {value:.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
