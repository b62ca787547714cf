"""Boxes that a detector has found, in pixels of the photograph, and how well they fit others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor import geometry
from lotor.classifier import Classifier
from lotor.data.manifest import Box
from lotor.preprocess import Image

_EACH = 6  # numbers for a detection: its box, its class and its score


@dataclass(frozen=True)
class Found:
    """Something that was found.

    Attributes:
        label: what it is.
        score: its probability, 0..1.
        box: x0, y0, x1, y1 in pixels of the photograph.
    """

    label: str
    score: float
    box: tuple[int, int, int, int]


def boxes_of(classifier: Classifier, recipe: Mapping[str, Any]) -> Callable[[Image], list[Found]]:
    """Return what tells the boxes that a detector finds on a BGR image, best first.

    Args:
        classifier: one that ends in TFLite_Detection_PostProcess.
        recipe: of the model, as its file holds it.
    """
    background = str(recipe.get("detect", {}).get("background", "background"))
    labels = [label for label in classifier.labels if label != background]
    shape = classifier.input

    def find(image: Image) -> list[Found]:
        said = classifier.infer(shape.tensor(image)).reshape(-1).astype(np.float64)
        most, count = (said.size - 1) // _EACH, int(said[-1])
        frame = image.shape[1::-1]
        to = geometry.of_view((0, 0, *frame), shape.height, shape.width, shape.aspect)
        back = np.linalg.inv(to)
        # Both corners of each, as x and y.
        there = said[: 4 * most].reshape(most, 2, 2)[:, :, ::-1] * (shape.width, shape.height)
        here = np.clip(np.rint(there @ back[:2, :2].T + back[:2, 2]), 0, frame).astype(int)
        found = []
        for (x0, y0, x1, y1), index, score in zip(
            here.reshape(most, 4)[:count].tolist(),
            said[4 * most :].astype(int),
            said[5 * most :],
            strict=False,
        ):
            if x0 < x1 and y0 < y1:
                found.append(Found(labels[index], float(score), (x0, y0, x1, y1)))
        return sorted(found, key=lambda one: -one.score)

    return find


def overlap(a: Sequence[int], b: Box | Sequence[int]) -> float:
    """Return the intersection over union of two boxes of x0, y0, x1, y1, 0..1."""
    width = min(a[2], int(b[2])) - max(a[0], int(b[0]))
    height = min(a[3], int(b[3])) - max(a[1], int(b[1]))
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((int(v[2]) - int(v[0])) * (int(v[3]) - int(v[1])) for v in (a, b))
    return width * height / (areas - width * height)
