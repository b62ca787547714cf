"""Cross-layer equalisation: channels between two layers get like ranges, the function stays equal.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721), section 4.1. With scales for each filter, weights lose nothing by unequal
ranges, but an activation has one scale for all channels: given what channels reach, these are
evened out instead.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.train.layers import Array, Layer, Network

_MOST = 16.0  # a channel is scaled by at most that much


def equalize(network: Network, tops: Mapping[str, Array] | None = None) -> Network:
    """Return a network that computes the same with channels that have like ranges.

    Only where the activation between two layers is none or ReLU, which scaling passes through; not
    ReLU6. The next layer must be the only reader.

    Args:
        network: the network.
        tops: greatest magnitude of each channel of a layer's output; by name. Without, ranges are
            judged by weights alone, as the paper does.
    """
    layers = {layer.name: layer for layer in network}
    for layer in network:
        first = layers[layer.name]
        readers = network.readers(first.name)
        if len(readers) != 1 or first.name in network.outputs or first.clamp not in _PASSING:
            continue
        second = layers[readers[0].name]
        if first.weights is None or second.weights is None or first.bias is None:
            continue
        if second.kind == "depthwise_conv_2d" and second.shape[-1] != first.shape[-1]:
            continue  # several outputs of a channel
        scale = _scales(first, second, (tops or {}).get(first.name))
        layers[first.name] = _scaled_out(first, np.float32(1) / scale)
        layers[second.name] = _scaled_in(second, scale)
    return replace(network, layers=tuple(layers[layer.name] for layer in network))


_PASSING = ((None, None), (0.0, None))


def _scales(first: Layer, second: Layer, tops: Array | None) -> Array:
    """Return by what each channel between the layers is divided."""
    if tops is not None:
        present = np.maximum(tops, 1e-9)
        scale = present / np.exp(np.log(present).mean())
    else:
        r1 = np.maximum(_reach_out(first), 1e-9)
        r2 = np.maximum(_reach_in(second), 1e-9)
        scale = np.sqrt(r1 / r2)
    return np.asarray(np.clip(scale, 1 / _MOST, _MOST), np.float32)


def _reach_out(layer: Layer) -> Array:
    """Return the largest weight that makes each output channel."""
    assert layer.weights is not None
    axes = tuple(n for n in range(layer.weights.ndim) if n != layer.channel_axis)
    return np.asarray(np.abs(layer.weights).max(axis=axes))


def _reach_in(layer: Layer) -> Array:
    """Return the largest weight that reads each input channel."""
    assert layer.weights is not None
    return np.asarray(np.abs(layer.weights).max(axis=tuple(range(layer.weights.ndim - 1))))


def _scaled_out(layer: Layer, factor: npt.NDArray[Any]) -> Layer:
    assert layer.weights is not None and layer.bias is not None
    along = [1] * layer.weights.ndim
    along[layer.channel_axis] = -1
    weights, bias = layer.weights * factor.reshape(along), layer.bias * factor
    return replace(layer, weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def _scaled_in(layer: Layer, factor: Array) -> Layer:
    # Inputs are the last axis of every layout, a depthwise filter's own channel included.
    assert layer.weights is not None
    return replace(layer, weights=layer.weights * factor)
