"""Composites: what one photograph shows, put into the scene of another.

A model would learn the seam instead of the animal if only some labels had one. So every label is
composited equally often: where a photograph has no plausible mask, another one of its label is
taken; and a photograph of nothing is composited, too: a piece of another empty scene, with an
animal's outline, is put into it.
"""

import shutil
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Box, Photo
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.preprocess import Image
from lotor.progress import Progress
from lotor.resources import cache_dir
from lotor.train.augment.chance import happens
from lotor.train.augment.cutout import Cutout, Mask, cut_out, mask_key, prior_box, segment
from lotor.train.recipe import Augment

EMPTY = "background"
"""The class of photographs that others are put into."""

_MASKS = "masks"  # folder in the cache
_MOST_AREA = 0.8  # of the scene that something pasted may have
_MOST_ENLARGED = 1.2
_SHARP = 96  # pixels: short side from which a photograph is a scene, where there are such
_LOOK = 24  # pixels: surroundings are averaged to so many before their colours are measured
_SHORT = 192  # pixels: the short side that a scene is brought to


class Scenery:
    """The photographs of one split, ready to be put into each other's scenes.

    Args:
        photos: of a train split.
        images: theirs, BGR uint8 [height, width, 3].
        labels: label index of each, [n].
        how: probabilities and smallest sizes.

    Raises:
        LotorError: there is no photograph of class `background` to put anything into.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        images: Sequence[Image],
        labels: npt.NDArray[np.int64],
        how: Augment,
    ) -> None:
        self.photos, self.images, self.labels, self.how = photos, images, labels, how
        empty = [index for index, photo in enumerate(photos) if photo.kind == EMPTY]
        # A sharp animal in the blur of a tiny scene is no scene of any camera.
        sharp = [index for index in empty if _short_side(photos[index], images[index]) >= _SHARP]
        self.scenes = sharp if len(sharp) >= 2 else empty
        if len(self.scenes) < 2:
            raise LotorError(
                "augment.composite and augment.distant need at least two photographs of class "
                f"{EMPTY} to put others into; add some or set both to 0"
            )
        self.cutouts: dict[int, Cutout] = {}
        if how.composite > 0:
            self._cut_all()
        self._donors = {
            int(label): [index for index in self.cutouts if labels[index] == label]
            for label in np.unique(labels)
        }

    def _cut_all(self) -> None:
        with Progress("cutting out", len(self.photos), "photographs") as progress:
            for index, (photo, image) in enumerate(zip(self.photos, self.images, strict=True)):
                if photo.kind != EMPTY:
                    mask = kept_mask(image, prior_box(photo, *image.shape[:2]))
                    if mask is not None:
                        self.cutouts[index] = cut_out(image, mask)
                progress.advance()

    def _scene(self, rng: np.random.Generator) -> int:
        return self.scenes[int(rng.integers(len(self.scenes)))]

    def place(self, index: int, rng: np.random.Generator) -> tuple[Image, Photo]:
        """Return a photograph, or what it shows in another scene, with the box it then has.

        The label is that of the photograph `index` in any case.
        """
        if happens(self.how.composite, rng):
            return self._composite(index, rng)
        if happens(self.how.distant, rng):
            return self._distant(index, rng)
        return self.images[index], self.photos[index]

    def _composite(self, index: int, rng: np.random.Generator) -> tuple[Image, Photo]:
        if self.photos[index].kind == EMPTY:
            if not self.cutouts:
                return self.images[index], self.photos[index]
            keys = list(self.cutouts)
            cutout = self._nothing(self.cutouts[keys[int(rng.integers(len(keys)))]], rng)
            return self._put(index, cutout, rng)
        donor = index
        if donor not in self.cutouts:
            donors = self._donors[int(self.labels[index])]
            if not donors:
                return self.images[index], self.photos[index]
            donor = donors[int(rng.integers(len(donors)))]
        return self._put(donor, self.cutouts[donor], rng)

    def _nothing(self, shape: Cutout, rng: np.random.Generator) -> Cutout:
        """Return a piece of an empty scene with the outline of a cutout."""
        image = self.images[self._scene(rng)]
        height, width = shape.mask.shape
        scale = max(1.0, height / image.shape[0], width / image.shape[1])
        if scale > 1.0:
            size = (
                max(width, round(image.shape[1] * scale)),
                max(height, round(image.shape[0] * scale)),
            )
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        y = int(rng.integers(image.shape[0] - height + 1))
        x = int(rng.integers(image.shape[1] - width + 1))
        return replace(shape, image=image[y : y + height, x : x + width])

    def _put(self, index: int, cutout: Cutout, rng: np.random.Generator) -> tuple[Image, Photo]:
        canvas = _canvas(self.images[self._scene(rng)], rng)
        picture, box = paste(canvas, cutout, self.how.composite_least, rng)
        photo = self.photos[index]
        height, width = picture.shape[:2]
        boxes = (Box(*box, photo.kind),)
        return picture, replace(photo, boxes=boxes, width=width, height=height)

    def _distant(self, index: int, rng: np.random.Generator) -> tuple[Image, Photo]:
        """Return the whole photograph as a part of a wider scene."""
        image, photo = self.images[index], self.photos[index]
        height, width = image.shape[:2]
        whole = Cutout(image, _soft_frame(height, width), (False, False, False, False))
        canvas = _canvas(self.images[self._scene(rng)], rng)
        picture, (x0, y0, x1, y1) = paste(canvas, whole, self.how.distant_least, rng)
        sx, sy = (x1 - x0) / width, (y1 - y0) / height
        boxes = tuple(
            Box(
                round(x0 + box.x0 * sx),
                round(y0 + box.y0 * sy),
                max(round(x0 + box.x0 * sx) + 1, round(x0 + box.x1 * sx)),
                max(round(y0 + box.y0 * sy) + 1, round(y0 + box.y1 * sy)),
                box.kind,
            )
            for box in photo.boxes
        )
        return picture, replace(
            photo,
            boxes=boxes or (Box(x0, y0, x1, y1, photo.kind),),
            width=picture.shape[1],
            height=picture.shape[0],
        )


def kept_mask(image: Image, box: Box) -> Mask | None:
    """Return the mask of what is in a box, made once and then kept in the cache folder."""
    key = mask_key(image, box)
    path = cache_dir() / _MASKS / key[:2] / f"{key}.z"
    shape = image.shape[:2]
    try:
        bits = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8)
        kept = np.unpackbits(bits, count=shape[0] * shape[1]).astype(np.bool_).reshape(shape)
        return kept if kept.any() else None
    except (OSError, ValueError, zlib.error):
        pass  # it is made now
    mask = segment(image, box)
    some = np.zeros(shape, np.bool_) if mask is None else mask
    content = zlib.compress(np.packbits(some).tobytes())
    try:
        write_files({path: content})
    except OSError as error:
        raise LotorError(
            f"cannot keep masks in {path.parent}: {error.strerror}; make room there or name "
            "another folder in $LOTOR_CACHE"
        ) from error
    return mask


def forget_masks() -> list[Path]:
    """Remove all masks that are kept, since their names do not say whose they are.

    They are made again when they are needed.

    Returns:
        the folder, if there was one.

    Raises:
        LotorError: it cannot be removed.
    """
    folder = cache_dir() / _MASKS
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LotorError(
            f"cannot remove {folder}: {error.strerror}; do it again when no training runs"
        ) from error
    return [folder]


def _short_side(photo: Photo, image: Image) -> int:
    """Return the pixels of the short side, of the original where that was smaller."""
    side = int(min(image.shape[:2]))
    return min(side, photo.native_short_side or side)


def _canvas(scene: Image, rng: np.random.Generator) -> Image:
    """Return a random part of a scene, at least 60 % of it, with a short side of 192 pixels."""
    height, width = scene.shape[:2]
    part = np.sqrt(rng.uniform(0.6, 1.0))
    h, w = max(1, round(height * part)), max(1, round(width * part))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    scale = _SHORT / min(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.asarray(cv2.resize(scene[y : y + h, x : x + w], size), np.uint8)


def paste(
    canvas: Image, cutout: Cutout, least: float, rng: np.random.Generator
) -> tuple[Image, tuple[int, int, int, int]]:
    """Put a cutout into a scene at a random size, its colours drawn towards what surrounds it.

    Its box gets a share of the area that is drawn log-uniformly between `least` and 0.8, unless
    that enlarges the cutout by more than 1.2. It stands in the lower two thirds; where its own
    photograph cut it off, it stays at that edge.

    Args:
        canvas: BGR uint8 [height, width, 3]; it is not changed.
        cutout: what to put there.
        least: smallest share of the area, 0..1.
        rng: of this photograph.

    Returns:
        The picture and the cutout's box in it: x0, y0, x1, y1.
    """
    height, width = canvas.shape[:2]
    h, w = cutout.mask.shape
    area = np.exp(rng.uniform(np.log(min(least, _MOST_AREA)), np.log(_MOST_AREA)))
    scale = min(np.sqrt(area * height * width / (h * w)), height / h, width / w, _MOST_ENLARGED)
    h, w = max(1, min(height, round(h * scale))), max(1, min(width, round(w * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    animal = cv2.resize(cutout.image, (w, h), interpolation=method)
    mask = cv2.resize(cutout.mask, (w, h), interpolation=method)
    left, top, right, bottom = cutout.cut
    x = int(rng.integers(width - w + 1))
    # The middle of what is pasted lies in the lower two thirds.
    highest = min(height - h, max(0, round(height / 3 - h / 2)))
    y = int(rng.integers(highest, height - h + 1))
    x = 0 if left else width - w if right else x
    y = 0 if top else height - h if bottom else y
    picture = canvas.copy()
    under = picture[y : y + h, x : x + w]
    around = picture[max(0, y - h // 2) : y + h + h // 2, max(0, x - w // 2) : x + w + w // 2]
    fitted = _fit_colours(np.asarray(animal, np.uint8), mask > 127, around, rng)
    part = _feathered(np.asarray(mask, np.uint8), cutout.cut, rng)
    under[:] = np.clip(fitted * part + under * (1 - part) + 0.5, 0, 255).astype(np.uint8)
    return picture, (x, y, x + w, y + h)


def _fit_colours(
    animal: Image, mask: Mask, around: Image, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draw mean and spread of an animal's colours towards its new surroundings', in CIELAB.

    Brightness goes 20 to 70 % of the way, colour 20 to 60 %; in a grey scene the animal is grey.
    After Reinhard et al., Color Transfer between Images, 2001.
    """
    if not mask.any():
        return animal.astype(np.float32)
    lab = cv2.cvtColor(animal.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    around = np.asarray(cv2.resize(around, (_LOOK, _LOOK), interpolation=cv2.INTER_AREA), np.uint8)
    there = cv2.cvtColor(around.astype(np.float32) / 255, cv2.COLOR_BGR2LAB).reshape(-1, 3)
    here = lab[mask]
    strength = np.array([rng.uniform(0.2, 0.7), *np.repeat(rng.uniform(0.2, 0.6), 2)], np.float32)
    ratio = np.clip((there.std(axis=0) + 1) / (here.std(axis=0) + 1), 0.6, 1.4)
    if np.abs(there[:, 1:]).max() < 2.0:
        strength[1:], ratio[1:] = 1.0, 0.0
    mean = here.mean(axis=0)
    lab = (lab - mean) * ratio**strength + mean + strength * (there.mean(axis=0) - mean)
    lab[:, :, 0] = np.clip(lab[:, :, 0], 0, 100)
    back = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2BGR)
    return np.asarray(np.clip(back, 0, 1) * 255, np.float32)


def _feathered(
    mask: npt.NDArray[np.uint8], cut: tuple[bool, bool, bool, bool], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return the opacity [height, width, 1] of a mask whose seam is one to three pixels wide.

    It is drawn inwards, so that nothing of the old surroundings shows; not where the animal is cut
    off, for there is no seam.
    """
    left, top, right, bottom = (4 if side else 0 for side in cut)
    # What lies beyond the photograph counts as the animal where it was cut off, else as none.
    wide = cv2.copyMakeBorder(mask, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=0)
    if left:
        wide[:, :4] = wide[:, 4:5]
    if right:
        wide[:, -4:] = wide[:, -5:-4]
    if top:
        wide[:4] = wide[4:5]
    if bottom:
        wide[-4:] = wide[-5:-4]
    wide = cv2.erode(wide, np.ones((3, 3), np.uint8))
    soft = cv2.GaussianBlur(wide, (0, 0), rng.uniform(0.5, 1.3))
    return np.asarray(soft[4:-4, 4:-4, None] / np.float32(255), np.float32)


def _soft_frame(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a mask that fades out over the outer eighth of a photograph."""
    y = np.minimum(np.arange(height) + 1, np.arange(height)[::-1] + 1) / max(1, height / 8)
    x = np.minimum(np.arange(width) + 1, np.arange(width)[::-1] + 1) / max(1, width / 8)
    return np.asarray(np.clip(np.outer(np.minimum(y, 1), np.minimum(x, 1)), 0, 1) * 255, np.uint8)
