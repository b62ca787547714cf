"""What stands between the camera and the animal: wire mesh or bars, leaves, grass."""

import cv2
import numpy as np
import numpy.typing as npt

from lotor.preprocess import Image
from lotor.train.augment.weather import blend

_MOST_LEAVES = 0.4  # of the picture that they cover


def mesh(pixels: Image, rng: np.random.Generator) -> Image:
    """Draw wire mesh, square or as diamonds, or bars; dark, or lit by a flash."""
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    pitch = rng.uniform(0.06, 0.25) * width
    thick = max(1, round(pitch * rng.uniform(0.03, 0.1)))
    lean = rng.uniform(-10, 10)
    kind = rng.choice(3)
    for angle in ((90,), (0, 90), (rng.uniform(30, 60), -rng.uniform(30, 60)))[kind]:
        _lines(mask, angle + lean, pitch, rng.uniform(0, pitch), thick)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.5)).astype(np.float32) / 255
    colour = rng.uniform(170, 255) if rng.random() < 0.4 else rng.uniform(10, 120)
    return blend(pixels, colour, soft * rng.uniform(0.6, 1.0))


def _lines(
    mask: npt.NDArray[np.uint8], angle: float, pitch: float, start: float, thick: int
) -> None:
    """Draw parallel lines at an angle in degrees, `pitch` pixels from each other."""
    height, width = mask.shape
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    across = np.array([-along[1], along[0]])
    reach = float(np.hypot(height, width))
    middle = np.array([width / 2, height / 2])
    for offset in np.arange(-reach / 2 + start, reach / 2, pitch):
        ends = [middle + offset * across + sign * reach * along for sign in (-1, 1)]
        first, last = ((round(float(x)), round(float(y))) for x, y in ends)
        cv2.line(mask, first, last, 255, thick, cv2.LINE_AA)


def leaves(pixels: Image, rng: np.random.Generator) -> Image:
    """Draw blurred leaves in the picture's own colours over up to 40 % of it."""
    height, width = pixels.shape[:2]
    over = pixels.copy()
    mask = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(3, 12))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = [
            max(1, round(rng.uniform(low, high) * width))
            for low, high in ((0.05, 0.15), (0.015, 0.05))
        ]
        one = np.zeros_like(mask)
        cv2.ellipse(one, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        if (np.maximum(mask, one) > 0).mean() > _MOST_LEAVES:
            break
        over[one > 0] = _colour(pixels, rng)
        mask = np.maximum(mask, one)
    sigma = rng.uniform(0.4, 2.0)
    soft = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.float32) / 255
    return blend(pixels, cv2.GaussianBlur(over, (0, 0), sigma), soft)


def grass(pixels: Image, rng: np.random.Generator) -> Image:
    """Draw blades that stand in front, from the lower edge up to 20 to 70 % of the height."""
    height, width = pixels.shape[:2]
    over = pixels.copy()
    mask = np.zeros((height, width), np.uint8)
    tall = rng.uniform(0.2, 0.7) * height
    for _ in range(int(rng.integers(8, 35))):
        foot = rng.uniform(0, width)
        tip = foot + rng.normal(0, 0.1) * width
        half = rng.uniform(0.004, 0.015) * width
        top = height - tall * rng.uniform(0.4, 1.0)
        blade = np.array([(foot - half, height), (tip, top), (foot + half, height)])
        blade = np.round(blade * 16).astype(np.int32)
        cv2.fillPoly(mask, [blade], 255, cv2.LINE_AA, 4)
        cv2.fillPoly(over, [blade], _colour(pixels, rng), cv2.LINE_8, 4)
    soft = cv2.GaussianBlur(mask, (3, 3), rng.uniform(0.3, 0.8)).astype(np.float32) / 255
    return blend(pixels, over, soft)


def _colour(pixels: Image, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a colour of the picture, a little darker or brighter."""
    at = int(rng.integers(pixels.shape[0])), int(rng.integers(pixels.shape[1]))
    red, green, blue = np.clip(pixels[at] * rng.uniform(0.5, 1.2), 0, 255)
    return float(red), float(green), float(blue)
