"""What happens to a training photograph before the model sees it.

Softening (shrink and enlarge) matters most: in the garden data every raccoon comes from a large
original and many others from tiny ones, so sharpness must carry no information.
"""

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Box, Photo
from lotor.preprocess import Image, resize
from lotor.train.recipe import Augment, Input

_ENLARGERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
# ITU-R BT.601 weights of red, green and blue in grey.
_LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)
Window = tuple[int, int, int, int]


def augment(
    image: Image, photo: Photo, shape: Input, how: Augment, rng: np.random.Generator
) -> Image:
    """Return one random variant of a BGR photograph as RGB uint8 [height, width, 3]."""
    x0, y0, x1, y1 = _window(image, photo, how, rng)
    view = image[y0:y1, x0:x1]
    if rng.random() < how.soften:
        view = _soften(view, how.softest, max(shape.height, shape.width), rng)
    pixels = resize(view, shape.height, shape.width, shape.aspect)
    if rng.random() < how.rotate:
        pixels = _rotate(pixels, rng.uniform(-how.max_angle, how.max_angle))
    if rng.random() < how.flip:
        pixels = pixels[:, ::-1]
    pixels = _light(pixels, how, rng)
    if rng.random() < how.jpeg:
        pixels = _recompress(pixels, int(rng.integers(25, 90)))
    return np.ascontiguousarray(pixels)


def _window(image: Image, photo: Photo, how: Augment, rng: np.random.Generator) -> Window:
    """Choose the part of the photograph to show, x0, y0, x1, y1 in pixels."""
    height, width = image.shape[:2]
    whole = (0, 0, width, height)
    chance = rng.random()
    if chance < how.full:
        return whole
    if photo.boxes and chance < how.full + how.zoom:
        return _around(photo.boxes[int(rng.integers(len(photo.boxes)))], width, height, rng)
    for _ in range(10):
        area = rng.uniform(how.min_area, 1.0)
        ratio = np.exp(rng.uniform(-0.3, 0.3))
        w = min(width, max(8, round(width * np.sqrt(area * ratio))))
        h = min(height, max(8, round(height * np.sqrt(area / ratio))))
        x0 = int(rng.integers(0, width - w + 1))
        y0 = int(rng.integers(0, height - h + 1))
        window = (x0, y0, x0 + w, y0 + h)
        if _shows_a_box(window, photo, how.min_box):
            return window
    return whole


def _around(box: Box, width: int, height: int, rng: np.random.Generator) -> Window:
    """Return a window around a box, up to 2.5 times its size, cut off at the photograph's edge."""
    x0, y0, x1, y1 = box[:4]
    w, h = x1 - x0, y1 - y0
    left, right, above, below = rng.uniform(0.0, 0.75, 4)
    window = (
        max(0, round(x0 - left * w)),
        max(0, round(y0 - above * h)),
        min(width, round(x1 + right * w)),
        min(height, round(y1 + below * h)),
    )
    # A tiny box would be enlarged to a blur that shows nothing.
    least = 24
    if window[2] - window[0] < least or window[3] - window[1] < least:
        return (0, 0, width, height)
    return window


def _shows_a_box(window: Window, photo: Photo, least: float) -> bool:
    """Whether the window keeps enough of at least one box; True where nothing is boxed."""
    if not photo.boxes:
        return True
    for x0, y0, x1, y1, _ in photo.boxes:
        w = min(x1, window[2]) - max(x0, window[0])
        h = min(y1, window[3]) - max(y0, window[1])
        if w > 0 and h > 0 and w * h >= least * max(1, (x1 - x0) * (y1 - y0)):
            return True
    return False


def _soften(view: Image, softest: int, sharpest: int, rng: np.random.Generator) -> Image:
    short = int(np.exp(rng.uniform(np.log(softest), np.log(sharpest))))
    height, width = view.shape[:2]
    scale = short / min(height, width)
    if scale >= 1.0:
        return view
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(view, size, interpolation=cv2.INTER_AREA)
    back = _ENLARGERS[int(rng.integers(len(_ENLARGERS)))]
    return np.asarray(cv2.resize(small, (width, height), interpolation=back), np.uint8)


def _rotate(pixels: Image, angle: float) -> Image:
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _light(pixels: Image, how: Augment, rng: np.random.Generator) -> Image:
    """Change contrast, brightness, gamma and colour; sometimes to grey or a night camera's look."""
    real = pixels.astype(np.float32) / 255.0
    night = rng.random() < how.infrared
    if night or rng.random() < how.grey:
        real = np.repeat(real @ _LUMA, 3, axis=2)
    else:
        real *= np.exp(rng.normal(0, how.colour / 4, 3)).astype(np.float32)
        mean = real.mean(axis=2, keepdims=True)
        real = mean + (real - mean) * np.float32(1 + rng.uniform(-how.colour, how.colour))
    contrast = np.float32(1 + rng.uniform(-how.gain, how.gain))
    bright = np.float32(rng.uniform(-how.gain, how.gain) / 2)
    real = np.clip((real - 0.5) * contrast + 0.5 + bright, 0, 1)
    real **= np.float32(np.exp(rng.uniform(-how.gain, how.gain)))
    if night:
        real *= _lamp(pixels.shape[0], pixels.shape[1], rng)
    if night or rng.random() < how.noise:
        sigma = rng.uniform(0.01, 0.06)
        real += rng.normal(0, sigma, real.shape).astype(np.float32)
    return np.asarray(np.clip(real * 255 + 0.5, 0, 255), np.uint8)


def _lamp(height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the fall-off of an infrared lamp beside the lens, float32 [height, width, 1]."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cy, cx = rng.uniform(-0.3, 0.3, 2)
    fall = 1.15 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.8, 2.5))
    return np.asarray(fall, np.float32)[:, :, None]


def _recompress(pixels: Image, quality: int) -> Image:
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
