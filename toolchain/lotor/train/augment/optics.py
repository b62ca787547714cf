"""Camera: resolution, tilt, motion blur, dark corners, compression."""

import cv2
import numpy as np
import numpy.typing as npt

from lotor.preprocess import Image
from lotor.train.augment.night import corners

_ENLARGERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
_MOST_TILT = 30.0  # degrees
_MOST_LEAN = 0.15  # of the side, by which a corner is off

Matrix = npt.NDArray[np.float64]
"""float64 [3, 3]: from homogeneous x, y, 1 to where they are then."""


def soften(view: Image, softest: int, sharpest: int, rng: np.random.Generator) -> Image:
    """Shrink the view to a short side between `softest` and `sharpest`, and enlarge it again."""
    short = int(np.exp(rng.uniform(np.log(softest), np.log(sharpest))))
    height, width = view.shape[:2]
    scale = short / min(height, width)
    if scale >= 1.0:
        return view
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(view, size, interpolation=cv2.INTER_AREA)
    back = _ENLARGERS[int(rng.integers(len(_ENLARGERS)))]
    return np.asarray(cv2.resize(small, (width, height), interpolation=back), np.uint8)


def rotate(pixels: Image, angle: float) -> Image:
    """Turn the picture by an angle in degrees, counter-clockwise."""
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def recompress(pixels: Image, quality: int) -> Image:
    """Return what a JPEG of a quality (0..100) keeps."""
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def turning(height: int, width: int, angle: float) -> Matrix:
    """Return what `rotate` does to points."""
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return np.vstack([turn, [0, 0, 1]])


def tilting(height: int, width: int, rng: np.random.Generator) -> Matrix:
    """Return the turn and the perspective of a camera that hangs askew."""
    here = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    off = rng.uniform(-_MOST_LEAN, _MOST_LEAN, (4, 2)) * (width, height)
    lean = cv2.getPerspectiveTransform(here, (here + off).astype(np.float32))
    return np.asarray(lean @ turning(height, width, rng.uniform(-_MOST_TILT, _MOST_TILT)))


def tilt(pixels: Image, matrix: Matrix) -> Image:
    """Return the picture as `tilting` sees it."""
    size = (pixels.shape[1], pixels.shape[0])
    tilted = cv2.warpPerspective(pixels, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(tilted, np.uint8)


def blur_motion(pixels: Image, rng: np.random.Generator) -> Image:
    """Smear the picture in a random direction, by up to 8 % of its width."""
    length = rng.uniform(2.0, max(3.0, 0.08 * pixels.shape[1]))
    angle = rng.uniform(0, np.pi)
    side = int(np.ceil(length)) // 2 * 2 + 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, (length - 1) / 2
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    # Ends in sixteenths of a pixel.
    ends = [
        (round(16 * (middle + sign * dx)), round(16 * (middle + sign * dy))) for sign in (-1, 1)
    ]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    smeared = cv2.filter2D(pixels, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smeared, np.uint8)


def darken_corners(pixels: Image, rng: np.random.Generator) -> Image:
    """Take 30 to 80 % of the light from the corners."""
    real = pixels * corners(pixels.shape[0], pixels.shape[1], rng.uniform(0.3, 0.8))
    return np.asarray(real + 0.5, np.uint8)
