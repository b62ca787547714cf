"""What heat maps and detectors learn from: photographs with boxes, and animals pasted in small."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import keras
import numpy as np

from lotor import geometry
from lotor.data.manifest import Box, Photo
from lotor.data.paste import Cutout, cut_out, paste
from lotor.errors import LotorError
from lotor.preprocess import Image, normalize
from lotor.train.augment import augment_tracked
from lotor.train.fit import Array, Photos
from lotor.train.networks import fomo
from lotor.train.recipe import Recipe

Moved = tuple[float, float, float, float, float]
"""A box as `geometry.move` returns it: x0, y0, x1, y1 in pixels, and the share that is left."""

LEAST_LEFT = 0.25
"""Share of a box that must be left in the frame for it to be looked for."""

_LEAST_SIDE = 16  # pixels of what is cut out to be pasted
_LARGEST_SIDE = 128  # cut-outs are kept no larger


class Scenes(Photos):
    """The photographs of one split, with targets made of their boxes."""

    def __init__(self, photos: Sequence[Photo], recipe: Recipe) -> None:
        target = recipe.labels.index(recipe.target)
        boxed = [p for p in photos if recipe.label_of(p.kind) != target or _of(p, recipe, target)]
        if not any(recipe.label_of(p.kind) == target for p in boxed):
            raise LotorError(
                f"no photograph of {recipe.target} to train on has a box around it; `lotor data "
                "import` takes boxes in many formats"
            )
        super().__init__(boxed, recipe)
        self._background = recipe.labels.index(recipe.pasting.background)
        self._target = target
        self._kinds = {photo.kind for photo in boxed} | set(recipe.data.classes)
        self._places = np.flatnonzero(self.labels == self._background)
        if recipe.pasting.paste > 0 and not self._places.size:
            raise LotorError(f"no background to paste animals onto; set {recipe.task}.paste = 0")
        self._cutouts: dict[tuple[int, int, bool], Cutout] = {}

    def batches(
        self, rng: np.random.Generator, taught: bool = True
    ) -> Iterator[tuple[Array, Array]]:
        """Yield varied batches for ever: inputs [n, h, w, 3], targets as `targets` returns them."""
        recipe, shape = self.recipe, self.recipe.input
        while True:
            pixels, targets = [], []
            for index in self.draw(recipe.fit.batch, rng):
                image, photo = self._scene(int(index), rng)
                varied, to = augment_tracked(image, photo, shape, recipe.augment, rng)
                moved = geometry.move(photo.boxes, to, shape.height, shape.width)
                named = [self._label(box) for box in photo.boxes]
                pixels.append(varied)
                targets.append(self.targets(moved, named, self._elsewhere(photo)))
            yield normalize(np.stack(pixels), shape.mean, shape.std), np.stack(targets)

    @abstractmethod
    def targets(
        self, boxes: Sequence[Moved], labels: Sequence[int], elsewhere: Sequence[int]
    ) -> Array:
        """Return what the network should say of one photograph.

        Args:
            boxes: as `geometry.move` returns them, in pixels of the input.
            labels: index of each box's label; -1: no label's, but not the target.
            elsewhere: labels that what is outside of boxes may have.
        """

    def _scene(self, index: int, rng: np.random.Generator) -> tuple[Image, Photo]:
        """Return a photograph as it is, or what is on it pasted small into another."""
        how, photo = self.recipe.pasting, self.photos[index]
        seen = self.labels[index] != self._target or self._large(index)
        if rng.random() >= how.paste or not seen:
            return self.images[index], photo
        cutout, kind = self._cutout(index, rng)
        place = int(rng.choice(self._places))
        area = float(np.exp(rng.uniform(np.log(how.smallest), np.log(how.largest))))
        image, box = paste(self.images[place], cutout, area, rng, kind)
        ground = self.photos[place]
        return image, replace(ground, boxes=(*ground.boxes, box))

    def _cutout(self, index: int, rng: np.random.Generator) -> tuple[Cutout, str]:
        """Return what is on a photograph, cut out by a box or, without boxes, from its middle.

        What is not the target is cut out as well: seams must not tell what is a raccoon.
        """
        image, photo = self.images[index], self.photos[index]
        height, width = image.shape[:2]
        large = self._large(index)
        middle = Box(width // 8, height // 8, width - width // 8, height - height // 8, photo.kind)
        number = int(rng.integers(max(1, len(large))))
        box = large[number] if large else middle
        key = (index, number, bool(rng.random() < 0.5))
        if key not in self._cutouts:
            self._cutouts[key] = _smaller(cut_out(image, box, outline=key[2]))
        return self._cutouts[key], box.kind

    def _large(self, index: int) -> list[Box]:
        """Return the boxes of a photograph's label that are large enough to be cut out."""
        boxes = _of(self.photos[index], self.recipe, int(self.labels[index]))
        return [b for b in boxes if min(b.x1 - b.x0, b.y1 - b.y0) >= _LEAST_SIDE]

    def _label(self, box: Box) -> int:
        return self.recipe.label_of(box.kind) if box.kind in self._kinds else -1

    def _elsewhere(self, photo: Photo) -> list[int]:
        """Return the labels that a photograph may have outside of its boxes."""
        label = self.recipe.label_of(photo.kind)
        if label in (self._background, self._target) or _of(photo, self.recipe, label):
            return [self._background]
        return [other for other in range(len(self.recipe.labels)) if other != self._target]


class Cells(Scenes):
    """The photographs of one split for a heat map, with cells as targets."""

    def targets(
        self, boxes: Sequence[Moved], labels: Sequence[int], elsewhere: Sequence[int]
    ) -> Array:
        """Return what `mark` does."""
        shape, cell = self.recipe.input, self.recipe.locate.cell
        grid = (shape.height // cell, shape.width // cell)
        return mark(boxes, labels, elsewhere, grid, self.recipe)


def _of(photo: Photo, recipe: Recipe, label: int) -> list[Box]:
    return [box for box in photo.boxes if recipe.label_of(box.kind) == label]


def _smaller(cutout: Cutout) -> Cutout:
    height, width = cutout.cover.shape
    scale = _LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return cutout
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    pixels, cover = (
        cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        for part in (cutout.pixels, cutout.cover)
    )
    return Cutout(np.asarray(pixels, np.uint8), np.asarray(cover, np.float32))


def mark(
    boxes: Sequence[Moved],
    labels: Sequence[int],
    elsewhere: Sequence[int],
    grid: tuple[int, int],
    recipe: Recipe,
) -> Array:
    """Return what every cell should say, and how much that matters.

    The cells whose middle lies in the core of a box, and the one that holds the box's middle, say
    its label, and weigh 1 together: a small animal counts as much as a large one. Other cells of
    the box weigh nothing, and cells outside of all boxes `quiet` each.

    Args:
        boxes: as `geometry.move` returns them, in pixels of the input.
        labels: index of each box's label; -1: no label's, but not the target.
        elsewhere: labels that cells outside of boxes may have.
        grid: rows and columns.
        recipe: its labels, cells and core.

    Returns:
        float32 [rows, columns, labels + 1]: 1 for labels that a cell may have, and its weight.
    """
    rows, columns = grid
    how, count = recipe.locate, len(recipe.labels)
    background, target = recipe.labels.index(how.background), recipe.labels.index(recipe.target)
    cells = np.zeros((rows, columns, count + 1), np.float32)
    cells[:, :, list(elsewhere)] = 1
    cells[:, :, -1] = how.quiet
    y, x = (np.mgrid[:rows, :columns] + 0.5) * how.cell
    cores = []
    for (x0, y0, x1, y1, left), label in zip(boxes, labels, strict=True):
        if label == background or left <= 0:
            continue
        inside = (x0 < x) & (x < x1) & (y0 < y) & (y < y1)
        if label < 0:
            cells[inside, :count] = 1
            cells[inside, target] = 0
            continue
        cells[inside, -1] = 0
        if left < LEAST_LEFT:
            continue
        across, down = (x0 + x1) / 2, (y0 + y1) / 2
        half_w, half_h = how.core * (x1 - x0) / 2, how.core * (y1 - y0) / 2
        core = (np.abs(x - across) < half_w) & (np.abs(y - down) < half_h)
        core[min(rows - 1, int(down / how.cell)), min(columns - 1, int(across / how.cell))] = True
        cores.append((int(core.sum()), label, core))
    for size, label, core in sorted(cores, key=lambda found: -found[0]):
        cells[core] = 0
        cells[core, label] = 1
        cells[core, -1] = 1 / size
    return cells


def heat_map_of(classifier: keras.Model, recipe: Recipe) -> keras.Model:
    """Return the heat map of a recipe, cut from its classifier."""
    how = recipe.locate
    empty = recipe.labels.index(how.background)
    return fomo.heat_map(classifier, len(recipe.labels), empty, how.cell, how.blocks)
