"""The order in which a photograph is varied."""

import numpy as np

from lotor import geometry
from lotor.data.manifest import Photo
from lotor.preprocess import Image, resize
from lotor.train.augment import occlude, optics, weather
from lotor.train.augment.chance import happens
from lotor.train.augment.cutout import prior_box
from lotor.train.augment.light import change_light
from lotor.train.augment.night import Corners
from lotor.train.augment.window import Window, choose_window
from lotor.train.recipe import Augment, Input

NOTHING = Augment(
    full=1.0, zoom=0.0, flip=0.0, rotate=0.0, soften=0.0, gain=0.0, colour=0.0, grey=0.0,
    infrared=0.0, noise=0.0, jpeg=0.0,
)  # fmt: skip
"""Everything off: a photograph is seen whole, as it is."""

_NO_SHINE = ("person", "background")


def augment(
    image: Image, photo: Photo, shape: Input, how: Augment, rng: np.random.Generator
) -> Image:
    """Return one random variant of a BGR photograph as RGB uint8 [height, width, 3]."""
    return augment_tracked(image, photo, shape, how, rng)[0]


def augment_tracked(
    image: Image, photo: Photo, shape: Input, how: Augment, rng: np.random.Generator
) -> tuple[Image, geometry.Transform]:
    """Return one random variant, as `augment` does, and where points of the photograph went."""
    window = choose_window(image, photo, how, rng)
    x0, y0, x1, y1 = window
    view = image[y0:y1, x0:x1]
    if rng.random() < how.soften:
        view = optics.soften(view, how.softest, max(shape.height, shape.width), rng)
    pixels = resize(view, shape.height, shape.width, shape.aspect)
    animal = _animal(photo, window, shape) if how.eyes > 0 else None
    to = geometry.of_view(window, shape.height, shape.width, shape.aspect)
    if rng.random() < how.rotate:
        angle = rng.uniform(-how.max_angle, how.max_angle)
        pixels = optics.rotate(pixels, angle)
        turned = optics.turning(shape.height, shape.width, angle)
        animal, to = _moved(animal, turned), geometry.of_warp(turned) @ to
    if happens(how.tilt, rng):
        askew = optics.tilting(shape.height, shape.width, rng)
        pixels = optics.tilt(pixels, askew)
        animal, to = _moved(animal, askew), geometry.of_warp(askew) @ to
    if rng.random() < how.flip:
        pixels = pixels[:, ::-1]
        mirror = geometry.of_mirror(shape.width)
        animal, to = _moved(animal, mirror), mirror @ to
    pixels = _obstruct(pixels, how, rng)
    pixels = change_light(pixels, how, rng, animal)
    if rng.random() < how.jpeg:
        pixels = optics.recompress(pixels, int(rng.integers(25, 90)))
    return np.ascontiguousarray(pixels), to


def _obstruct(pixels: Image, how: Augment, rng: np.random.Generator) -> Image:
    """Put what is before the lens between it and the scene, from far to near."""
    for probability, change in (
        (how.leaves, occlude.leaves),
        (how.grass, occlude.grass),
        (how.fog, weather.fog),
        (how.rain, weather.rain),
        (how.mesh, occlude.mesh),
        (how.motion, optics.blur_motion),
        (how.drops, weather.drops),
        (how.vignette, optics.darken_corners),
    ):
        if happens(probability, rng):
            pixels = change(np.ascontiguousarray(pixels), rng)
    return pixels


def _animal(photo: Photo, window: Window, shape: Input) -> Corners | None:
    """Return the corners of an animal's box in the resized window, None for a person or nothing.

    Where nothing is boxed the middle stands for the animal: if only boxed animals had eyes that
    shine, the classes that have boxes could be told by them.
    """
    if photo.kind in _NO_SHINE:
        return None
    x0, y0, x1, y1 = window
    width, height = x1 - x0, y1 - y0
    if photo.boxes:
        box = prior_box(photo, height, width)[:4]
        left, top, right, bottom = np.subtract(box, (x0, y0, x0, y0))
    else:
        left, top, right, bottom = np.multiply((0.2, 0.2, 0.8, 0.9), (width, height) * 2)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    scale = np.array([shape.width / width, shape.height / height])
    if shape.aspect != "stretch":
        scale[:] = scale.max() if shape.aspect == "crop" else scale.min()
    edge = (np.array([shape.width, shape.height]) - scale * (width, height)) / 2
    return np.asarray(corners * scale + edge)


def _moved(corners: Corners | None, matrix: optics.Matrix) -> Corners | None:
    if corners is None:
        return None
    points = np.column_stack([corners, np.ones(len(corners))]) @ matrix.T
    return np.asarray(points[:, :2] / points[:, 2:])
