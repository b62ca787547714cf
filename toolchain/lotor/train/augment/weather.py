"""Rain, drops on the lens, fog."""

import cv2
import numpy as np
import numpy.typing as npt

from lotor.preprocess import Image


def rain(pixels: Image, rng: np.random.Generator) -> Image:
    """Draw bright streaks, all in about one direction."""
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    slope = np.tan(np.radians(rng.uniform(-25, 25)))
    length = rng.uniform(0.04, 0.15) * height
    count = int(rng.integers(20, 90))
    starts = rng.uniform((-0.1 * width, -length), (1.1 * width, height), (count, 2))
    lengths = length * rng.uniform(0.6, 1.4, count)
    for (x, y), far in zip(starts, lengths, strict=True):
        end = (round(x + slope * far), round(y + far))
        cv2.line(mask, (round(x), round(y)), end, 255, 1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(mask, (3, 3), 0.6).astype(np.float32) / 255
    return blend(pixels, rng.uniform(170, 255), soft * rng.uniform(0.2, 0.6))


def drops(pixels: Image, rng: np.random.Generator) -> Image:
    """Show the scene blurred and a little brighter through discs: drops on the lens."""
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(2, 9))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = max(1, round(rng.uniform(0.03, 0.12) * width))
        axes = (radius, max(1, round(radius * rng.uniform(0.8, 1.3))))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    edge = 0.015 * width
    soft = cv2.GaussianBlur(mask, (0, 0), edge).astype(np.float32) / 255
    seen = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.03, 0.06) * width)
    return blend(pixels, seen * rng.uniform(0.95, 1.15), soft)


def fog(pixels: Image, rng: np.random.Generator) -> Image:
    """Veil the scene in grey, sometimes more so at the top: fog, or a lens that is steamed up."""
    height, width = pixels.shape[:2]
    top, bottom = np.sort(rng.uniform(0.15, 0.65, 2))[::-1]
    veil = np.repeat(np.linspace(top, bottom, height, dtype=np.float32)[:, None], width, axis=1)
    blurred = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.2))
    return blend(np.asarray(blurred, np.uint8), rng.uniform(120, 230), veil)


def blend(
    pixels: Image, over: npt.NDArray[np.generic] | float, part: npt.NDArray[np.generic]
) -> Image:
    """Return `pixels` with a share `part` (0..1, [height, width]) of `over` (0..255) on them."""
    share = np.asarray(part, np.float32)[:, :, None]
    mixed = pixels * (1 - share) + np.asarray(over, np.float32) * share
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)
