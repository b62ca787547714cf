"""A quantized network in float: every tensor and weight rounded to what integers can stand for.

Layers of 16 bits are judged by it. It differs from the integers only where a sum lies next to the
middle between two steps; `train/qat.py` has those of 8 bits exactly.
"""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from lotor.train.export import Plan, quantize_layer
from lotor.train.layers import PROBABILITIES, Array, Layer, Network
from lotor.train.run import before_clamp, clamped


class Integers(Protocol):
    """A network as integers: what it computes is given as the real numbers that they stand for."""

    @property
    def network(self) -> Network:
        """The network with the weights as they are now."""
        ...

    @property
    def planned(self) -> Plan:
        """The quantization of its tensors."""
        ...

    def __call__(self, inputs: Any) -> Any:
        """Return the scores, before probabilities, for float32 [n, *input]."""
        ...

    def tensors(self, inputs: Any) -> dict[str, Any]:
        """Return every tensor but probabilities by name."""
        ...

    def rounded_weights(self, name: str) -> Array:
        """Return what a layer's integer weights stand for."""
        ...

    def set_bias(self, name: str, bias: Array) -> None:
        """Give a layer another bias, which counts at once."""
        ...

    def refresh(self) -> None:
        """Take new weights and biases into account."""
        ...


class RoundedNetwork:
    """A network with any mixture of 8 and 16 bits; see `Integers`.

    Args:
        network: folded.
        planned: quantization of its tensors; see `export.plan`.
    """

    def __init__(self, network: Network, planned: Plan) -> None:
        self.network, self.planned = network, planned
        self.refresh()

    def __call__(self, inputs: Any) -> Any:
        """Return the scores, before probabilities, for float32 [n, *input]."""
        return self.tensors(inputs)[self.network.logits]

    def tensors(self, inputs: Any) -> dict[str, Any]:
        """Return every tensor but probabilities by name, for float32 [n, *input]."""
        return dict(self._run(tf.constant(inputs)))

    def rounded_weights(self, name: str) -> Array:
        """Return the real numbers that a layer's integer weights stand for, float32."""
        return rounded(self.network[name], self.planned)

    def set_bias(self, name: str, bias: Array) -> None:
        """Give a layer another bias; `refresh` makes it count."""
        layers = tuple(
            replace(layer, bias=bias) if layer.name == name else layer for layer in self.network
        )
        self.network = replace(self.network, layers=layers)
        self.refresh()

    def refresh(self) -> None:
        """Take new weights and biases into account."""
        self._layers = [self._as_integers(layer) for layer in self.network]
        self._run = tf.function(self._tensors)

    def _as_integers(self, layer: Layer) -> Layer:
        if layer.weights is None or layer.bias is None:
            return layer
        integers = quantize_layer(layer, self.planned)
        into = np.float64(self.planned.as_used(layer, layer.inputs[0]).scale)
        bias = (integers.bias * into * integers.scales).astype(np.float32)
        return replace(layer, weights=rounded(layer, self.planned), bias=bias)

    def _tensors(self, batch: Any) -> dict[str, Any]:
        found = {self.network.input: self._on_grid(self.network.input, batch)}
        for layer in self._layers:
            if layer.kind not in PROBABILITIES:
                inputs = [found[name] for name in layer.inputs]
                value = clamped(layer, before_clamp(layer, inputs))
                found[layer.name] = self._on_grid(layer.name, value)
        return found

    def _on_grid(self, name: str, value: Any) -> Any:
        quant = self.planned.tensors[name]
        low, high = quant.least - quant.zero_point, quant.most - quant.zero_point
        steps = tf.clip_by_value(tf.round(value / quant.scale), float(low), float(high))
        return steps * quant.scale


def rounded(layer: Layer, planned: Plan) -> Array:
    """Return the real numbers that a layer's integer weights stand for, float32."""
    integers = quantize_layer(layer, planned)
    along = [1] * integers.weights.ndim
    along[layer.channel_axis] = -1
    return np.asarray(integers.weights * integers.scales.reshape(along), np.float32)
