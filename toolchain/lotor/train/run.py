"""Runs a `Network` in float32 in TensorFlow: what calibration and comparison look at."""

from typing import Any

import numpy as np
import tensorflow as tf

from lotor.errors import LotorError
from lotor.train.layers import Array, Layer, Network


class FloatNetwork:
    """A network that returns all of its tensors."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._run = tf.function(self._tensors)

    def __call__(self, batch: Array) -> dict[str, Array]:
        """Return every tensor by name for float32 [n, *input]."""
        return {name: np.asarray(value) for name, value in self._run(tf.constant(batch)).items()}

    def _tensors(self, batch: Any) -> dict[str, Any]:
        tensors = {self.network.input: batch}
        for layer in self.network:
            inputs = [tensors[name] for name in layer.inputs]
            tensors[layer.name] = clamped(layer, before_clamp(layer, inputs))
        return tensors


def clamped(layer: Layer, value: Any) -> Any:
    """Return a layer's sums with its activation."""
    least, greatest = layer.clamp
    if least is not None:
        value = tf.maximum(value, least)
    return value if greatest is None else tf.minimum(value, greatest)


def before_clamp(layer: Layer, inputs: list[Any]) -> Any:
    """Return what a layer computes, without its activation."""
    x = inputs[0]
    if layer.weights is not None and layer.bias is not None:
        return products(layer, x, tf.constant(layer.weights)) + layer.bias
    (top, left), (bottom, right) = layer.before, layer.after
    if layer.kind == "add":
        return x + inputs[1]
    if layer.kind == "mean":
        return tf.reduce_mean(x, (1, 2), keepdims=len(layer.shape) == 3)
    if layer.kind == "pad":
        return tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    if layer.kind == "max_pool_2d":
        return tf.nn.max_pool2d(x, layer.window, layer.stride, layer.padding)
    if layer.kind == "average_pool_2d":
        return tf.nn.avg_pool2d(x, layer.window, layer.stride, layer.padding)
    if layer.kind == "reshape":
        return tf.reshape(x, (-1, *layer.shape))
    if layer.kind == "concatenation":
        return tf.concat(inputs, layer.axis)
    if layer.kind == "logistic":
        return tf.sigmoid(x)
    if layer.kind == "softmax":
        return tf.nn.softmax(x)
    raise LotorError(f"layer {layer.name}: no float {layer.kind}")


def products(layer: Layer, x: Any, weights: Any) -> Any:
    """Return the sums of products of a layer with weights, without bias."""
    if layer.kind == "fully_connected":
        return tf.matmul(x, weights, transpose_b=True)
    strides = [1, *layer.stride, 1]
    if layer.kind == "conv_2d":
        filters = tf.transpose(weights, (1, 2, 3, 0))
        return tf.nn.conv2d(x, filters, strides, layer.padding)
    # TensorFlow's depthwise filters are [h, w, inputs, outputs of an input].
    filters = tf.reshape(weights, (*weights.shape[1:3], x.shape[-1], -1))
    return tf.nn.depthwise_conv2d(x, filters, strides, layer.padding)
