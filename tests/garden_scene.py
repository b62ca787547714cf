"""A made-up garden before a camera that stands still: noise, and what a test draws on it."""

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
SIZE = (320, 240)


class Garden:
    """A lawn with texture; every frame has noise of its own.

    Args:
        seed: of lawn and noise.
        noise: standard deviation, in steps of 0..255.
        size: width and height.
    """

    def __init__(self, seed: int = 0, noise: float = 3.0, size: tuple[int, int] = SIZE) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = size
        shape = (16, size[1], size[0], 3)
        self._noise = np.rint(self.rng.normal(0, noise, shape)).astype(np.int16)
        coarse = self.rng.integers(0, 60, (24, 32, 3), dtype=np.uint8)
        texture = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) // 2
        self.lawn: Image = (texture + np.array([40, 90, 60])).astype(np.uint8)

    def frame(
        self, *blobs: tuple[int, int, int], colour: tuple[int, int, int] = (20, 25, 30)
    ) -> Image:
        """Return a frame with dark ellipses: middle x, middle y, half width; half as high."""
        image = self.lawn.copy()
        for x, y, half in blobs:
            cv2.ellipse(image, (x, y), (half, half // 2), 0, 0, 360, colour, -1)
        return self.noisy(image)

    def noisy(self, image: Image) -> Image:
        """Return a frame with one of a few draws of noise, which take long to make."""
        draw = self._noise[self.rng.integers(len(self._noise))]
        return np.asarray(np.clip(image + draw, 0, 255), np.uint8)


def grey(image: Image) -> Image:
    """Return a frame as infrared has it."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2)
