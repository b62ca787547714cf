"""What a detector learns from: boxes as its anchors see them."""

from collections.abc import Sequence

import keras
import numpy as np

from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.train.anchors import (
    Array,
    Detections,
    corners,
    encode,
    grid_anchors,
    match,
    overlaps,
)
from lotor.train.networks import ssd_lite
from lotor.train.recipe import Recipe
from lotor.train.scenes import LEAST_LEFT, Moved, Scenes


def labels_of(recipe: Recipe) -> list[str]:
    """Return the labels that boxes may have: all but the background."""
    return [label for label in recipe.labels if label != recipe.detect.background]


def anchors_of(recipe: Recipe) -> Array:
    """Return the anchors of a recipe, float32 [n, 4]; see `anchors.grid_anchors`."""
    how, shape = recipe.detect, recipe.input
    grids = [(shape.height // stride, shape.width // stride) for stride in how.strides]
    return grid_anchors(grids, how.scales, how.ratios)


def ending_of(recipe: Recipe) -> Detections:
    """Return what makes detections of the outputs of a recipe's network."""
    how, count = recipe.detect, len(labels_of(recipe))
    return Detections(anchors_of(recipe), count, how.most, how.overlap, how.least)


def detector_of(classifier: keras.Model, recipe: Recipe) -> keras.Model:
    """Return the detector of a recipe, on the backbone of its classifier."""
    how = recipe.detect
    count = len(how.ratios) + 1
    return ssd_lite.detector(classifier, len(labels_of(recipe)), how.strides, count)


class Boxed(Scenes):
    """The photographs of one split for a detector, with anchors as targets.

    Raises:
        LotorError: there is no box of a label.
    """

    def __init__(self, photos: Sequence[Photo], recipe: Recipe) -> None:
        super().__init__(photos, recipe)
        there = {recipe.label_of(box.kind) for photo in self.photos for box in photo.boxes}
        if lacking := [n for n in labels_of(recipe) if recipe.labels.index(n) not in there]:
            raise LotorError(
                f"no photograph to train on has a box of {', '.join(lacking)}: add boxes (`lotor "
                "data import` takes many formats), or make it one with "
                f"{recipe.detect.background} in the recipe"
            )
        self._anchors = anchors_of(recipe)
        self._corners = corners(self._anchors)
        self._label_of = {recipe.labels.index(n): i for i, n in enumerate(labels_of(recipe))}

    def targets(
        self, boxes: Sequence[Moved], labels: Sequence[int], elsewhere: Sequence[int]
    ) -> Array:
        """Return what every anchor should say, and what of it matters.

        An anchor has the box that `anchors.match` gives it, of those that are still in the frame.
        Where none is certain, nothing is learned: between both thresholds, on boxes that have left
        the frame, and for labels that the photograph may show elsewhere. On boxes of no label it
        only is learned that they are not the target.

        Returns:
            float32 [anchors, 5 + 2 labels]: the encoded box; 1 for an anchor that has one; 1 for
            its label; 1 for the labels that matter.
        """
        recipe, count = self.recipe, len(self._label_of)
        shape, how = recipe.input, recipe.detect
        target = self._label_of[recipe.labels.index(recipe.target)]
        matters = np.ones((len(self._anchors), count), np.float32)
        matters[:, [self._label_of[n] for n in elsewhere if n in self._label_of]] = 0
        sides = np.array((shape.height, shape.width) * 2, np.float64)
        at = np.array([b[:4] for b in boxes]).reshape(-1, 4)[:, [1, 0, 3, 2]] / sides
        shared = overlaps(self._corners, at)
        known = [n in self._label_of for n in labels]
        whole = [ok and b[4] >= LEAST_LEFT for ok, b in zip(known, boxes, strict=True)]
        for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            covered = shared[:, index] >= how.unmatched
            if box[4] > 0 and known[index] and not whole[index]:
                matters[covered] = 0
            elif label < 0:
                matters[covered] = 0
                matters[covered, target] = 1
        places = np.flatnonzero(whole)
        chosen, background = match(shared[:, places], how.matched, how.unmatched)
        has = chosen >= 0
        matters[~has & ~background] = 0
        matters[has] = 1
        found = np.zeros((len(self._anchors), 5 + count), np.float32)
        if has.any():
            own = places[chosen[has]]
            found[has, :4] = encode(at[own], self._anchors[has])
            found[has, 4] = 1
            found[has, 5 + np.array([self._label_of.get(n, 0) for n in labels])[own]] = 1
        return np.concatenate([found, matters], axis=1)
