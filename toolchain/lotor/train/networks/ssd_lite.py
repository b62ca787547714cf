"""A detector of boxes: a classifier's backbone, and a small head on each of a few feature maps.

SSD (Liu et al., arXiv:1512.02325) with separable convolutions in its heads, SSDLite (Sandler et
al., arXiv:1801.04381, section 6.2). As there, a map is the last one of its size in the backbone,
which in inverted residuals is the expansion of the next block. Each label has a sigmoid of its own,
as in RetinaNet (Lin et al., arXiv:1708.02002), so that the background needs none.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from lotor.train.networks.blocks import depthwise, last_maps, unit

HEAD = "ssd"
"""What the names of a head's layers start with."""

SOURCE = "arXiv:1512.02325"
"""Where it was published."""

BOXES, LOGITS, SCORES = "boxes", "logits", "scores"

_PRIOR = 0.01  # that an anchor has a label, before anything is learned


def detector(
    classifier: keras.Model, labels: int, strides: Sequence[int], anchors: int
) -> keras.Model:
    """Return a network float32 [n, h, w, 3] -> [n, anchors of all cells, 4 + labels].

    Encoded boxes come first, then logits of the labels; cells follow one another row by row, finest
    map first, and the anchors of a cell follow one another. The layers of the backbone are the
    classifier's, weights and all.

    Args:
        classifier: of any family, weights transferred.
        labels: number of them, without the background.
        strides: pixels of the input's side that a cell of each map stands for.
        anchors: of each cell.

    Raises:
        LotorError: the backbone has no map of such cells.
    """
    boxes, logits = [], []
    found = last_maps(classifier, strides, "detect.strides has")
    for stride, feature in zip(strides, found, strict=True):
        head = f"{HEAD}{stride}"
        boxes.append(_said(f"{head}_boxes", feature, anchors, 4, 0.0))
        prior = float(np.log(_PRIOR / (1 - _PRIOR)))
        logits.append(_said(f"{head}_labels", feature, anchors, labels, prior))
    every = [_together(BOXES, boxes), _together(LOGITS, logits)]
    return keras.Model(classifier.input, layers.Concatenate(name="raw")(every))


def ends(model: keras.Model) -> keras.Model:
    """Return a trained detector with what its file holds as outputs: encoded boxes and scores."""
    boxes, logits = (model.get_layer(name).output for name in (BOXES, LOGITS))
    scores = layers.Activation("sigmoid", name=SCORES)(logits)
    return keras.Model(model.input, [boxes, scores])


def _said(name: str, feature: Any, anchors: int, count: int, bias: float) -> Any:
    """Return so many numbers for each anchor of a map: [n, anchors, count]."""
    x = unit(depthwise(f"{name}_depthwise", 3), feature)
    x = layers.Conv2D(
        anchors * count,
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.03),
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
    )(x)
    return layers.Reshape((-1, count), name=f"{name}_rows")(x)


def _together(name: str, parts: Sequence[Any]) -> Any:
    """Return what all maps say, one after the other."""
    if len(parts) == 1:
        return layers.Activation("linear", name=name)(parts[0])
    return layers.Concatenate(axis=1, name=name)(list(parts))
