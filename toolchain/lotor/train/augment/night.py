"""What an infrared camera with a lamp beside its lens makes of a scene at night."""

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float32]
"""float32 [height, width, 3], 0..1 (below and above are cut off later)."""
Corners = npt.NDArray[np.float64]
"""float64 [4, 2]: x and y of a box's corners, pixels."""


def lamp(height: int, width: int, rng: np.random.Generator) -> Real:
    """Return the fall-off of an infrared lamp beside the lens, float32 [height, width, 1]."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cy, cx = rng.uniform(-0.3, 0.3, 2)
    fall = 1.15 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.8, 2.5))
    return np.asarray(fall, np.float32)[:, :, None]


def shine(real: Real, animal: Corners, rng: np.random.Generator) -> Real:
    """Return the picture with two bright discs in the upper half of an animal's box."""
    (x0, y0), (x1, y1) = animal.min(axis=0), animal.max(axis=0)
    apart = rng.uniform(0.08, 0.2) * (x1 - x0)
    x = x0 + rng.uniform(0.3, 0.7) * (x1 - x0)
    y = y0 + rng.uniform(0.15, 0.5) * (y1 - y0)
    slope = rng.uniform(-0.3, 0.3) * apart
    size = max(0.6, rng.uniform(0.1, 0.2) * apart)
    bright = rng.uniform(0.7, 1.3)
    rows, columns = np.ogrid[: real.shape[0], : real.shape[1]]
    eyes = np.zeros(real.shape[:2])
    for side in (-0.5, 0.5):
        far = (columns - x - side * apart) ** 2 + (rows - y - side * slope) ** 2
        eyes = np.maximum(eyes, bright * np.exp(-far / (2 * size**2)))
    return np.maximum(real, eyes.astype(np.float32)[:, :, None])


def dim(real: Real, rng: np.random.Generator) -> Real:
    """Return the picture of a weak lamp at high gain: flat, dark in the corners, grey noise."""
    height, width = real.shape[:2]
    flat = np.float32(rng.uniform(0.3, 0.7))
    real = np.float32(rng.uniform(0.25, 0.55)) * (1 - flat) + real * flat
    real = real * corners(height, width, rng.uniform(0.2, 0.6))
    noise = rng.normal(0, rng.uniform(0.02, 0.07), (height, width, 1))
    return np.asarray(real + noise.astype(np.float32), np.float32)


def corners(height: int, width: int, strength: float) -> Real:
    """Return the light that a lens lets through, [height, width, 1]: 1 - strength in corners."""
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(1 - strength * (x**2 + y**2) / 2, np.float32)[:, :, None]
