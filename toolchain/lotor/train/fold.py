"""Keras model -> `Network`: batch normalisation folded into weights, activations into layers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers

from lotor.errors import LotorError
from lotor.train.layers import Array, Layer, Network


def fold(model: keras.Model, softmax: bool = True) -> Network:
    """Return a functional Keras model as the network that its file will hold.

    Args:
        model: one input, any number of outputs; of the layers that `_FOLD` knows.
        softmax: put a softmax behind the outputs of classifiers ([n, labels]) and of heat maps
            ([n, rows, columns, labels]).

    Raises:
        LotorError: it has a layer that cannot be folded.
    """
    if len(model.inputs) != 1:
        raise LotorError(f"{model.name} has {len(model.inputs)} inputs; one is needed")
    network = _Folding(model.name, model.inputs[0])
    # Another model may use the same layers, even of the same input.
    nodes = {id(node) for some in model._nodes_by_depth.values() for node in some}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            if not isinstance(operation, layers.InputLayer) and id(node) in nodes:
                network.take(operation, node)
    outputs = [network.names[id(tensor)] for tensor in model.outputs]
    if softmax:
        outputs = [network.softmax(name) for name in outputs]
    return network.done(outputs)


class _Folding:
    """The layers so far, and by which name the network knows a tensor of Keras."""

    def __init__(self, name: str, tensor: Any) -> None:
        self.name, self.input = name, "image"
        self.shape = tuple(int(side) for side in tensor.shape[1:])
        self.names = {id(tensor): self.input}
        self.layers: dict[str, Layer] = {}
        self.used: dict[str, int] = {}
        self._alive = [tensor]  # an id is only unique while its tensor lives

    def take(self, operation: Any, node: Any) -> None:
        kind = next((kind for kind in _FOLD if isinstance(operation, kind)), None)
        if kind is None:
            raise LotorError(
                f"layer {operation.name} is a {type(operation).__name__}, which cannot be "
                f"quantized; use {', '.join(kind.__name__ for kind in _FOLD)}"
            )
        inputs = tuple(self.names[id(tensor)] for tensor in node.input_tensors)
        (tensor,) = node.output_tensors
        shape = tuple(int(side) for side in tensor.shape[1:])
        self.names[id(tensor)] = _FOLD[kind](self, operation, inputs, shape)
        self._alive.append(tensor)

    def add(self, layer: Layer) -> str:
        for name in layer.inputs:
            self.used[name] = self.used.get(name, 0) + 1
        self.layers[layer.name] = layer
        return layer.name

    def change(self, name: str, what: str, **changes: Any) -> str:
        """Change a layer in place of adding one behind it; what reads it would see the change."""
        if name not in self.layers or self.used.get(name):
            raise LotorError(
                f"{what} must come right behind a layer with weights whose output nothing else "
                f"reads; it comes behind '{name}'"
            )
        self.layers[name] = replace(self.layers[name], **changes)
        return name

    def softmax(self, name: str) -> str:
        if (
            len(shape := self.layers[name].shape) not in (1, 3)
            or self.layers[name].kind == "softmax"
        ):
            return name
        return self.add(Layer("probabilities", "softmax", (name,), shape))

    def done(self, outputs: list[str]) -> Network:
        order = tuple(self.layers.values())
        return Network(self.name, self.input, self.shape, order, tuple(outputs))


Fold = Callable[[_Folding, Any, tuple[str, ...], tuple[int, ...]], str]


def _bias(layer: Any, count: int) -> Array:
    return np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(count, np.float32)


def _clamp_of(activation: Any) -> tuple[float | None, float | None]:
    if activation in (None, keras.activations.linear):
        return None, None
    if activation is keras.activations.relu:
        return 0.0, None
    if activation is keras.activations.relu6:
        return 0.0, 6.0
    raise LotorError(
        f"activation {getattr(activation, '__name__', activation)} cannot be quantized; use "
        "linear, relu or relu6"
    )


def _window(layer: Any) -> dict[str, Any]:
    if tuple(getattr(layer, "dilation_rate", (1, 1))) != (1, 1):
        raise LotorError(f"layer {layer.name}: dilation cannot be quantized yet")
    return {"stride": tuple(layer.strides), "padding": layer.padding.upper()}


def _conv(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    if layer.groups != 1:
        raise LotorError(f"layer {layer.name}: groups cannot be quantized yet")
    weights = np.asarray(layer.kernel, np.float32).transpose(3, 0, 1, 2)
    return net.add(
        Layer(layer.name, "conv_2d", inputs, shape, weights, _bias(layer, len(weights)),
              clamp=_clamp_of(layer.activation), **_window(layer))
    )  # fmt: skip


def _depthwise(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    kernel = np.asarray(layer.kernel, np.float32)
    weights = kernel.reshape(1, *kernel.shape[:2], -1)
    return net.add(
        Layer(layer.name, "depthwise_conv_2d", inputs, shape, weights,
              _bias(layer, weights.shape[3]), clamp=_clamp_of(layer.activation), **_window(layer))
    )  # fmt: skip


def _dense(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    weights = np.asarray(layer.kernel, np.float32).T.copy()
    return net.add(
        Layer(layer.name, "fully_connected", inputs, shape, weights, _bias(layer, len(weights)),
              clamp=_clamp_of(layer.activation))
    )  # fmt: skip


def _norm(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    (name,) = inputs
    before = net.layers.get(name)
    if before is None or before.weights is None or before.bias is None:
        raise LotorError(f"batch normalisation {layer.name} does not follow a convolution")
    if before.clamp != (None, None):
        raise LotorError(f"batch normalisation {layer.name} follows an activation")
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, np.float64)
    shift = np.asarray(layer.beta, np.float64) if layer.center else 0.0
    along = [1] * before.weights.ndim
    along[before.channel_axis] = -1
    weights = (before.weights * scale.reshape(along)).astype(np.float32)
    bias = ((before.bias - mean) * scale + shift).astype(np.float32)
    return net.change(name, f"batch normalisation {layer.name}", weights=weights, bias=bias)


def _relu(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    if layer.negative_slope or layer.threshold:
        raise LotorError(f"layer {layer.name}: a ReLU with a slope or threshold cannot be folded")
    top = None if layer.max_value is None else float(layer.max_value)
    return net.change(inputs[0], f"activation {layer.name}", clamp=(0.0, top))


def _activation(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    if layer.activation is keras.activations.sigmoid:
        return net.add(Layer(layer.name, "logistic", inputs, shape))
    clamp = _clamp_of(layer.activation)
    if clamp == (None, None):
        return inputs[0]
    return net.change(inputs[0], f"activation {layer.name}", clamp=clamp)


def _add(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    if len(inputs) != 2:
        raise LotorError(f"layer {layer.name} adds {len(inputs)} tensors; two are possible")
    return net.add(Layer(layer.name, "add", inputs, shape))


def _mean(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return net.add(Layer(layer.name, "mean", inputs, shape))


def _pool(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    kind: Any = "max_pool_2d" if isinstance(layer, layers.MaxPooling2D) else "average_pool_2d"
    window = tuple(layer.pool_size)
    return net.add(Layer(layer.name, kind, inputs, shape, window=window, **_window(layer)))


def _pad(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    (top, bottom), (left, right) = layer.padding
    return net.add(
        Layer(layer.name, "pad", inputs, shape, before=(top, left), after=(bottom, right))
    )


def _reshape(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return net.add(Layer(layer.name, "reshape", inputs, shape))


def _concatenate(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    axis = layer.axis % (len(shape) + 1)
    return net.add(Layer(layer.name, "concatenation", inputs, shape, axis=axis))


def _nothing(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return inputs[0]


def _softmax(net: _Folding, layer: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return net.add(Layer(layer.name, "softmax", inputs, shape))


_FOLD: dict[type[Any], Fold] = {
    layers.DepthwiseConv2D: _depthwise,
    layers.Conv2D: _conv,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.ReLU: _relu,
    layers.Softmax: _softmax,
    layers.Activation: _activation,
    layers.Add: _add,
    layers.Concatenate: _concatenate,
    layers.GlobalAveragePooling2D: _mean,
    layers.AveragePooling2D: _pool,
    layers.MaxPooling2D: _pool,
    layers.ZeroPadding2D: _pad,
    layers.Flatten: _reshape,
    layers.Reshape: _reshape,
    layers.Dropout: _nothing,
}
