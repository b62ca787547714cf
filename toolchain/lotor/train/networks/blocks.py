"""What networks are made of: convolution, normalisation and activation in one; the classifier."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from lotor.errors import LotorError
from lotor.train.networks.norm import BatchNormalization

EPSILON = 1e-3


def unit(convolution: layers.Layer, x: Any, most: float | None = 6.0) -> Any:
    """Return a convolution's output, normalised, then cut off below 0 and above `most`."""
    return layers.ReLU(most, name=f"{convolution.name}_relu")(linear(convolution, x))


def linear(convolution: layers.Layer, x: Any) -> Any:
    """Return a convolution's output, normalised."""
    name = f"{convolution.name}_bn"
    return BatchNormalization(epsilon=EPSILON, momentum=0.97, name=name)(convolution(x))


def conv(name: str, channels: int, kernel: int, stride: int = 1, padding: str = "same") -> Any:
    """Return a convolution without bias, which normalisation has."""
    return layers.Conv2D(channels, kernel, stride, padding, use_bias=False, name=name)


def depthwise(name: str, kernel: int, stride: int = 1, padding: str = "same") -> Any:
    """Return a depthwise convolution without bias."""
    return layers.DepthwiseConv2D(kernel, stride, padding, use_bias=False, name=name)


def classifier(x: Any, labels: int, dropout: float) -> Any:
    """Return logits [n, labels] of features [n, h, w, channels]."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(labels, name="logits")(x)


def last_maps(network: keras.Model, strides: Sequence[int], asked: str) -> list[Any]:
    """Return the last map of each size that is before the pool.

    Args:
        network: a classifier of any family.
        strides: pixels of the input's side that a cell of each map stands for.
        asked: what has asked for them, as an error says it: "detect.strides has".

    Raises:
        LotorError: the network has no map of such cells.
    """
    height = int(network.input.shape[1])
    found: dict[int, Any] = {}
    for layer in network.layers[1:]:
        if layer.name == "pool":
            break
        if not isinstance(layer, layers.ZeroPadding2D) and height % layer.output.shape[1] == 0:
            found[height // int(layer.output.shape[1])] = layer.output
    for stride in strides:
        if stride not in found:
            raise LotorError(
                f"{asked} {stride}, but the cells of this network's maps are "
                f"{', '.join(map(str, sorted(found)))} pixels wide"
            )
    return [found[stride] for stride in strides]


def divisible(channels: float, by: int = 8) -> int:
    """Return a multiple of 8 near a number of channels, at least 90 % of it.

    So TensorFlow's MobileNetV2 rounds its widths (`_make_divisible`); published weights have them.
    """
    near = max(by, int(channels + by / 2) // by * by)
    return near if near >= 0.9 * channels else near + by
