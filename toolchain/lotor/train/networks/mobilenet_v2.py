"""MobileNetV2 (Sandler et al., arXiv:1801.04381): inverted residuals with linear ends."""

from typing import Any

import keras
from keras import layers

from lotor.train.networks.blocks import classifier, conv, depthwise, divisible, linear, unit
from lotor.train.recipe import Network

# Expansion, channels, blocks, stride of the first one.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_FEATURES = 1280


def build(how: Network, height: int, width: int, labels: int) -> keras.Model:
    """Return the classifier; see `lotor.train.networks`.

    The last convolution keeps its 1280 channels below width 1, as published.
    """
    image = keras.Input((height, width, 3), name="image")
    x = unit(conv("conv0", divisible(32 * how.width), 3, how.stem_stride), image)
    index = 0
    for expansion, channels, blocks, stride in _STAGES:
        for number in range(max(1, round(blocks * how.depth))):
            index += 1
            step = 1 if number else stride
            x = _block(f"block{index}", x, expansion, divisible(channels * how.width), step)
    x = unit(conv("last", divisible(_FEATURES * max(1.0, how.width)), 1), x)
    return keras.Model(image, classifier(x, labels, how.dropout))


def _block(name: str, x: Any, expansion: int, channels: int, stride: int) -> Any:
    start, inputs = x, x.shape[-1]
    if expansion > 1:
        x = unit(conv(f"{name}_expand", inputs * expansion, 1), x)
    x = unit(depthwise(f"{name}_depthwise", 3, stride), x)
    x = linear(conv(f"{name}_project", channels, 1), x)
    if stride > 1 or inputs != channels:
        return x
    return layers.Add(name=f"{name}_add")([start, x])
