"""Bias correction: takes out of each layer's bias what quantization has shifted its mean by.

Nagel et al., arXiv:1906.04721, section 4.2, measured on photographs: layer by layer, each on inputs
that all corrections before it have changed.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from lotor.train.layers import Array, Network
from lotor.train.rounded import Integers
from lotor.train.run import FloatNetwork, products

T = TypeVar("T", bound=Integers)


def correct_bias(network: Network, quantized: T, batches: Sequence[Array]) -> T:
    """Change the biases of a quantized network in place, and return it.

    Args:
        network: the same network in float.
        quantized: as integers; its scales stay.
        batches: float32 [n, *input].
    """
    real = FloatNetwork(network)
    wanted = [real(batch) for batch in batches]
    for layer in quantized.network:
        if layer.weights is None or layer.bias is None:
            continue
        before = network[layer.name]
        # What the integers stand for: weights and inputs as they are after rounding.
        weights = tf.constant(quantized.rounded_weights(layer.name))
        shift, count = np.zeros(len(layer.bias)), 0
        for batch, ideal in zip(batches, wanted, strict=True):
            x = quantized.tensors(batch)[layer.inputs[0]]
            found = np.asarray(products(layer, x, weights), np.float64)
            inputs = tf.constant(ideal[layer.inputs[0]])
            sums = np.asarray(products(before, inputs, tf.constant(before.weights)), np.float64)
            axes = tuple(range(found.ndim - 1))
            shift += (found - sums).sum(axis=axes)
            count += int(np.prod(found.shape[:-1]))
        assert before.bias is not None
        quantized.set_bias(layer.name, (before.bias - shift / count).astype(np.float32))
    quantized.refresh()
    return quantized
