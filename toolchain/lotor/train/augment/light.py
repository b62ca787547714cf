"""Contrast, brightness, colour, grey and infrared."""

import numpy as np

from lotor.preprocess import Image
from lotor.train.augment import night
from lotor.train.augment.chance import happens
from lotor.train.recipe import Augment

# ITU-R BT.601 weights of red, green and blue in grey.
_LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)


def change_light(
    pixels: Image, how: Augment, rng: np.random.Generator, animal: night.Corners | None = None
) -> Image:
    """Change contrast, brightness, gamma and colour; sometimes to grey or a night camera's look.

    Args:
        pixels: RGB uint8 [height, width, 3].
        how: probabilities.
        rng: of this photograph.
        animal: corners of its box, in `pixels`, where eyes may shine at night.
    """
    real = pixels.astype(np.float32) / 255.0
    dark = rng.random() < how.infrared
    if dark or rng.random() < how.grey:
        real = np.repeat(real @ _LUMA, 3, axis=2)
    else:
        real *= np.exp(rng.normal(0, how.colour / 4, 3)).astype(np.float32)
        mean = real.mean(axis=2, keepdims=True)
        real = mean + (real - mean) * np.float32(1 + rng.uniform(-how.colour, how.colour))
    contrast = np.float32(1 + rng.uniform(-how.gain, how.gain))
    bright = np.float32(rng.uniform(-how.gain, how.gain) / 2)
    real = np.clip((real - 0.5) * contrast + 0.5 + bright, 0, 1)
    real **= np.float32(np.exp(rng.uniform(-how.gain, how.gain)))
    if dark:
        real *= night.lamp(pixels.shape[0], pixels.shape[1], rng)
        if animal is not None and happens(how.eyes, rng):
            real = night.shine(real, animal, rng)
        if happens(how.dim, rng):
            real = night.dim(real, rng)
    if dark or rng.random() < how.noise:
        sigma = rng.uniform(0.01, 0.06)
        real += rng.normal(0, sigma, real.shape).astype(np.float32)
    return np.asarray(np.clip(real * 255 + 0.5, 0, 255), np.uint8)
