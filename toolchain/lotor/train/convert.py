"""Trained Keras model -> a network of integers; as such it trains on, if the recipe says so."""

import keras
import numpy as np

from lotor.train.calibrate import ranges, watch
from lotor.train.checkpoint import Checkpoint
from lotor.train.correct_bias import correct_bias
from lotor.train.equalize import channel_tops, equalize, without_relu6
from lotor.train.export import plan
from lotor.train.fit import Photos, train_integers
from lotor.train.fold import fold
from lotor.train.layers import Network
from lotor.train.narrow import narrowed
from lotor.train.qat import QuantizedModel
from lotor.train.rounded import Integers, RoundedNetwork
from lotor.train.run import FloatNetwork

_BATCH = 50


def quantized(
    model: keras.Model, photos: Photos, rng: np.random.Generator, saved: Checkpoint | None = None
) -> tuple[Integers, Network]:
    """Return the model as integers with a softmax behind it, and as a float network.

    Activation ranges are those seen on the recipe's number of plain training photographs. The
    input's range is that of all pixels, 0..255, so that int8 input = pixel - 128 for mean 128.

    Args:
        model: functional, to logits [n, labels].
        photos: the train split.
        rng: draws the photographs.
        saved: the state that training as integers goes on from, and that it keeps.
    """
    how, shape = photos.recipe.quantize, photos.recipe.input
    network = fold(model)
    drawn = photos.draw(how.samples, rng)
    parts = [drawn[start : start + _BATCH] for start in range(0, len(drawn), _BATCH)]
    batches = [np.stack([photos.plain(int(i)) for i in part]) for part in parts]
    seen, changed = watch(network, FloatNetwork(network), batches), network
    if how.equalize:
        changed = without_relu6(network, seen)
        changed = equalize(changed, channel_tops(FloatNetwork(changed), batches))
        seen = watch(changed, FloatNetwork(changed), batches)
    pixels = ((0.0 - shape.mean) / shape.std, (255.0 - shape.mean) / shape.std)
    limits = ranges(changed, seen, how.estimator, pixels)
    bits = narrowed(changed, how.weight_bytes)
    planned = plan(changed, limits, bits, how.activations)
    if how.activations == 16:
        wide = RoundedNetwork(changed, planned)
        return correct_bias(changed, wide, batches) if how.correct_bias else wide, network
    integers = QuantizedModel(changed, planned)
    if how.correct_bias:
        correct_bias(changed, integers, batches)
    if how.steps:
        train_integers(integers, photos, rng, saved)
    return integers, network
