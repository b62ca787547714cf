"""Cross-layer equalisation: channels between two layers get like ranges, the function stays equal.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721), section 4.1. With scales for each filter, weights lose nothing by unequal
ranges, but an activation has one scale for all channels: given what channels reach, these are
evened out instead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.train.calibrate import Seen
from lotor.train.layers import Array, Layer, Network

_MOST = 16.0  # a channel is scaled by at most that much
_ROUNDS = 20  # a layer is in two pairs, so that weights need several
_STILL = 1.001  # a factor that changes nothing
_PASSING = ((None, None), (0.0, None))  # activations that scaling passes through


def without_relu6(network: Network, seen: Mapping[str, Seen], share: float = 0.0) -> Network:
    """Return a network with ReLU in place of ReLU6 between the layers of a pair.

    The paper does so everywhere (section 5.1.1). Here it is done where samples say that the limit
    hardly cuts anything off, so that the function stays what it was.

    Args:
        network: the network.
        seen: of its tensors, by samples; see `calibrate.watch`.
        share: of a tensor's values that may reach the limit; 0 for none, 1 for all as in the paper.
    """
    first = {first.name for first, _ in _pairs(network)}

    def opened(layer: Layer) -> Layer:
        least, limit = layer.clamp
        if layer.name not in first or least != 0 or limit is None:
            return layer
        found = seen[layer.name]
        never = max(found.highs) < limit  # of all values, of which only some are kept
        if never or 0 < share >= (found.all_values >= limit).mean():
            return replace(layer, clamp=(0.0, None))
        return layer

    return replace(network, layers=tuple(map(opened, network)))


def channel_tops(
    run: Callable[[Array], Mapping[str, Array]], batches: Iterable[Array]
) -> dict[str, Array]:
    """Return the greatest magnitude of every channel of every tensor, by its name.

    Args:
        run: returns all tensors by name for a batch; see `run.FloatNetwork`.
        batches: float32 [n, *input].
    """
    found: dict[str, Array] = {}
    for batch in batches:
        for name, values in run(batch).items():
            top = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
            found[name] = np.maximum(found[name], top) if name in found else top
    return found


def equalize(network: Network, tops: Mapping[str, Array] | None = None) -> Network:
    """Return a network that computes the same with channels that have like ranges.

    Only where the activation between two layers is none or ReLU, which scaling passes through; not
    ReLU6: see `without_relu6`. The next layer must be the only reader.

    Args:
        network: the network.
        tops: greatest magnitude of each channel of a layer's output; by name. Without, ranges are
            judged by weights alone, as the paper does, in rounds until they are equal.
    """
    layers = {layer.name: layer for layer in network}
    total: dict[str, Array] = {}  # by what each channel has been divided
    for _ in range(_ROUNDS if tops is None else 1):
        moved = 1.0
        for pair in _pairs(network):
            first, second = (layers[layer.name] for layer in pair)
            if first.clamp not in _PASSING:
                continue
            before = total.get(first.name, np.float32(1))
            wanted = before * _scales(first, second, (tops or {}).get(first.name))
            total[first.name] = np.asarray(np.clip(wanted, 1 / _MOST, _MOST), np.float32)
            scale = total[first.name] / before
            layers[first.name] = _scaled_out(first, np.float32(1) / scale)
            layers[second.name] = _scaled_in(second, scale)
            moved = max(moved, float(scale.max()), float(1 / scale.min()))
        if moved < _STILL:
            break
    return replace(network, layers=tuple(layers[layer.name] for layer in network))


def _pairs(network: Network) -> Iterator[tuple[Layer, Layer]]:
    """Yield the layers with weights whose output only one other such layer reads, with that."""
    for first in network:
        readers = network.readers(first.name)
        if len(readers) != 1 or first.name in network.outputs:
            continue
        (second,) = readers
        if first.weights is None or second.weights is None or first.bias is None:
            continue
        if second.kind == "depthwise_conv_2d" and second.shape[-1] != first.shape[-1]:
            continue  # several outputs of a channel
        yield first, second


def _scales(first: Layer, second: Layer, tops: Array | None) -> Array:
    """Return by what each channel between the layers is divided: a dead one by 1."""
    if tops is not None:
        alive = tops > 0
        typical = np.exp(np.log(tops[alive]).mean()) if alive.any() else 1.0
        wanted = tops / typical
    else:
        r1, r2 = _reach_out(first), _reach_in(second)
        alive = (r1 > 0) & (r2 > 0)
        wanted = np.sqrt(r1 / np.where(alive, r2, 1))
    return np.where(alive, wanted, 1).astype(np.float32)


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
