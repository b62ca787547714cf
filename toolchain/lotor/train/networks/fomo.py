"""A heat map of centres: a classifier's backbone, cut where a cell still is a few pixels.

FOMO ("faster objects, more objects", Moreau and Kelcey, Edge Impulse, 2022): MobileNet cut at 1/8
of the input, and a 1x1 convolution that says for every cell what has its centre there. Here more of
the backbone stays behind the cut, at stride 1, since an animal that fills the frame is told by what
is far from its centre, too.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from lotor.errors import LotorError
from lotor.train.networks.blocks import last_maps

_BLOCK = "pointwise"  # a numbered block's last convolution is called so, with its number
_PRIOR = 0.05  # that a cell has something in it, before anything is learned


def heat_map(
    classifier: keras.Model, labels: int, background: int, cell: int = 8, blocks: int = 11
) -> keras.Model:
    """Return a network float32 [n, h, w, 3] -> logits [n, h / cell, w / cell, labels].

    Its layers are those of the classifier, weights and all.

    Args:
        classifier: weights transferred.
        labels: number of them, background included.
        background: the index of that.
        cell: pixels of the input's side that a cell stands for.
        blocks: depthwise-separable blocks of MobileNetV1 or DS-CNN that are kept; strides that
            would make a cell larger than wanted become 1. 0, for any family: all up to the last
            map of such cells.

    Raises:
        LotorError: it has no such block, or no map of such cells.
    """
    if blocks:
        x = _behind(classifier, blocks, cell)
    else:
        (x,) = last_maps(classifier, [cell], "locate.cell is")
    head = layers.Conv2D(labels, 1, name="logits")
    model = keras.Model(classifier.input, head(x))
    weights, bias = head.get_weights()
    bias[background] = np.log((1 - _PRIOR) * (labels - 1) / _PRIOR)
    head.set_weights([weights, bias])
    return model


def _behind(classifier: keras.Model, blocks: int, cell: int) -> Any:
    """Return the map behind so many blocks."""
    names = [layer.name for layer in classifier.layers]
    count = sum(f"{_BLOCK}{n}_relu" in names for n in range(1, len(names)))
    if blocks > count:
        raise LotorError(
            f"locate.blocks is {blocks}, but this network has {count} numbered blocks; 0 cuts it "
            "behind its last map of locate.cell pixels"
        )
    x: Any = classifier.input
    height = int(x.shape[1])
    for layer in classifier.layers[1:]:
        if tuple(getattr(layer, "strides", (1, 1))) == (2, 2) and x.shape[1] * cell <= height:
            layer = _unstrided(layer, x)
        x = layer(x)
        if layer.name == f"{_BLOCK}{blocks}_relu":
            break
    if x.shape[1] * cell != height:
        raise LotorError(
            f"locate.cell is {cell}, but {blocks} blocks make cells of {height // x.shape[1]} "
            f"pixels of {height}; keep more blocks or name that size"
        )
    return x


def _unstrided(layer: layers.Layer, x: Any) -> layers.Layer:
    """Return a layer with the same weights that passes over no pixel."""
    fresh = layer.__class__.from_config({**layer.get_config(), "strides": (1, 1)})
    fresh.build(x.shape)
    fresh.set_weights(layer.get_weights())
    return fresh
