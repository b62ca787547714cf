"""ResNet8: three stages of plain residual blocks (He et al., arXiv:1512.03385).

MLPerf Tiny's image classifier (Banbury et al., arXiv:2106.07597).
"""

from typing import Any

import keras
from keras import layers

from lotor.train.networks.blocks import classifier, conv, divisible, linear, unit
from lotor.train.recipe import Network

_STAGES = ((16, 1), (32, 2), (64, 2))  # channels, stride


def build(how: Network, height: int, width: int, labels: int) -> keras.Model:
    """Return the classifier; see `lotor.train.networks`.

    Published for 32x32 with `stem_stride` 1; 2 suits larger images.
    """
    image = keras.Input((height, width, 3), name="image")
    x = unit(conv("stem", divisible(_STAGES[0][0] * how.width), 3, how.stem_stride), image, None)
    index = 0
    for channels, stride in _STAGES:
        for number in range(max(1, round(how.depth))):
            index += 1
            step = 1 if number else stride
            x = _block(f"block{index}", x, divisible(channels * how.width), step)
    return keras.Model(image, classifier(x, labels, how.dropout))


def _block(name: str, x: Any, channels: int, stride: int) -> Any:
    start = x
    x = unit(conv(f"{name}_conv1", channels, 3, stride), x, None)
    x = linear(conv(f"{name}_conv2", channels, 3), x)
    if stride > 1 or start.shape[-1] != channels:
        start = linear(conv(f"{name}_shortcut", channels, 1, stride), start)
    x = layers.Add(name=f"{name}_add")([x, start])
    return layers.ReLU(name=f"{name}_relu")(x)
