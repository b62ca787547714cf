"""`Network` and the ranges of its tensors -> int8 `.tflite`, and the float one beside it.

Follows the quantization specification of TensorFlow Lite
(https://ai.google.dev/edge/litert/models/quantization_spec): activations int8 with one scale and
zero point, weights int8 or int4 with a scale for each filter and no zero point, biases int32 with
the product of both scales.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from lotor.errors import LotorError
from lotor.frontend.write import NewOperator, NewSubgraph, NewTensor, write_model
from lotor.train.layers import Array, Layer, Network

_LOW, _HIGH = -128, 127
_KINDS_OF_SAME_SCALE = ("max_pool_2d", "average_pool_2d", "pad", "reshape")
_LEAST_SCALE = 1e-8  # the reference counts the limits of activations (6) in int32 steps of it
_FINER = 1 << 10  # steps of an output for a step of its sums, at most
_MOST_BIAS = (1 << 30) - 1
# Those that the converter writes for the int8 form of an operator.
_VERSIONS = {
    "conv_2d": 3,
    "depthwise_conv_2d": 3,
    "fully_connected": 4,
    "average_pool_2d": 2,
    "max_pool_2d": 2,
    "mean": 2,
    "add": 2,
    "pad": 2,
    "reshape": 1,
    "softmax": 2,
}
_VERSION_OF_INT4 = 7  # of all layers with weights


@dataclass(frozen=True)
class Quantization:
    """How a tensor of int8 stands for real numbers: (q - zero_point) * scale."""

    scale: float
    zero_point: int

    @staticmethod
    def of(low: float, high: float) -> "Quantization":
        """Return the one for a range, which is widened to hold 0 exactly."""
        if not np.isfinite([low, high]).all():
            raise LotorError(f"a range of {low} to {high} cannot be quantized; did training end?")
        low, high = min(0.0, float(low)), max(0.0, float(high))
        # What is always 0 gets any scale; a tiny one would make factors too large for int32.
        steps = (high - low) / (_HIGH - _LOW) or 1.0
        scale = float(np.float32(max(steps, _LEAST_SCALE)))
        zero_point = int(np.clip(round(_LOW - low / scale), _LOW, _HIGH))
        return Quantization(scale, zero_point)

    def quantize(self, real: Array) -> npt.NDArray[np.int8]:
        """Return real numbers as int8, halves away from zero."""
        steps = np.asarray(real, np.float64) / self.scale
        rounded = np.sign(steps) * np.floor(np.abs(steps) + 0.5) + self.zero_point
        return np.asarray(np.clip(rounded, _LOW, _HIGH), np.int8)

    def real(self, steps: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what int8 numbers stand for."""
        return ((steps.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)


SOFTMAX = Quantization(1 / 256, -128)


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer's integers, as the file holds them."""

    weights: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Plan:
    """What is decided before a network becomes integers.

    Attributes:
        tensors: quantization of every tensor, by name.
        weight_bits: 8 or 4, of the layers that differ from 8.
    """

    tensors: Mapping[str, Quantization]
    weight_bits: Mapping[str, int] = field(default_factory=dict)

    def bits(self, layer: str) -> int:
        """Return the bits of a layer's weights."""
        return self.weight_bits.get(layer, 8)

    def most(self, layer: str) -> int:
        """Return the largest weight of a layer; the least one is as much below 0."""
        return (1 << self.bits(layer) - 1) - 1


def plan(
    network: Network,
    ranges: Mapping[str, tuple[float, float]],
    weight_bits: Mapping[str, int] | None = None,
) -> Plan:
    """Return the quantization of every tensor.

    Args:
        network: the network.
        ranges: least and greatest value of the input and of every layer's output.
        weight_bits: see `Plan`.

    Raises:
        LotorError: a tensor has no range, or one that is no number.
    """
    tensors: dict[str, Quantization] = {}
    for name in (network.input, *(layer.name for layer in network)):
        layer = None if name == network.input else network[name]
        if layer and layer.kind == "softmax":
            tensors[name] = SOFTMAX
        elif layer and layer.kind in _KINDS_OF_SAME_SCALE:
            tensors[name] = tensors[layer.inputs[0]]
        elif name not in ranges:
            raise LotorError(f"tensor '{name}' has no range: calibrate with photographs first")
        elif layer is None:
            tensors[name] = Quantization.of(*ranges[name])
        else:
            tensors[name] = output_quantization(layer, ranges[name], tensors)
    return Plan(tensors, dict(weight_bits or {}))


def changed(network: Network, planned: Plan, name: str, quant: Quantization) -> Plan:
    """Return a plan with another quantization of a tensor, and of those that must share it."""
    tensors = {**planned.tensors, name: quant}
    for layer in network:
        if layer.kind in _KINDS_OF_SAME_SCALE:
            tensors[layer.name] = tensors[layer.inputs[0]]
    return Plan(tensors, planned.weight_bits)


def output_quantization(
    layer: Layer, limits: tuple[float, float], tensors: Mapping[str, Quantization]
) -> Quantization:
    """Return the quantization of a layer's output.

    Args:
        layer: the layer.
        limits: least and greatest value of its output.
        tensors: quantization of its inputs.
    """
    (low, high), (least, greatest) = limits, layer.clamp
    low = low if least is None else max(low, least)
    high = high if greatest is None else min(high, greatest)
    found = Quantization.of(low, high)
    if (scale := _least_scale(layer, tensors)) > found.scale:
        return Quantization.of(-127.5 * scale, 127.5 * scale)
    return found


def _least_scale(layer: Layer, tensors: Mapping[str, Quantization]) -> float:
    """Return the finest scale of a layer's output that its sums can fill.

    Below it, as behind a layer that is always 0, the factor to the output would leave int32.
    """
    into = max(tensors[name].scale for name in layer.inputs)
    if layer.weights is not None:
        into *= float(np.abs(layer.weights).max()) / _HIGH
    return into / _FINER


def quantize_layer(layer: Layer, planned: Plan) -> QuantizedLayer:
    """Return the integers of a layer with weights.

    Args:
        layer: conv_2d, depthwise_conv_2d or fully_connected.
        planned: of its network.
    """
    if layer.weights is None or layer.bias is None:
        raise LotorError(f"layer '{layer.name}' has no weights")
    most = planned.most(layer.name)
    axis = layer.channel_axis
    others = tuple(n for n in range(layer.weights.ndim) if n != axis)
    reach = np.abs(layer.weights).max(axis=others).astype(np.float64)
    into = planned.tensors[layer.inputs[0]].scale
    # A filter of nearly nothing has a scale all the same, large enough for its bias.
    least = np.maximum(np.abs(layer.bias) / (into * _MOST_BIAS), _LEAST_SCALE)
    scales = np.maximum(reach / most, least).astype(np.float32)
    along = [1] * layer.weights.ndim
    along[axis] = -1
    steps = np.rint(layer.weights / scales.reshape(along).astype(np.float64))
    weights = np.clip(steps, -most, most).astype(np.int8)
    # The reference multiplies both scales as float32 numbers would be in double.
    bias = np.rint(layer.bias / (np.float64(np.float32(into)) * scales.astype(np.float64)))
    return QuantizedLayer(weights, scales, bias.astype(np.int32))


def to_int8(network: Network, planned: Plan) -> bytes:
    """Return the int8 `.tflite`; input and outputs are int8."""
    return _write(network, planned)


def to_float(network: Network) -> bytes:
    """Return the float32 `.tflite` of the same network."""
    return _write(network, None)


def _write(network: Network, planned: Plan | None) -> bytes:
    tensors: list[NewTensor] = []
    operators: list[NewOperator] = []
    places: dict[str, int] = {}

    def put(tensor: NewTensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    def activation(name: str) -> None:
        shape = (1, *network.shape(name))
        if planned is None:
            places[name] = put(NewTensor(name, shape, "float32"))
        else:
            quant = planned.tensors[name]
            new = NewTensor(name, shape, "int8", (quant.scale,), quant.zero_point)
            places[name] = put(new)

    def constant(name: str, data: npt.NDArray[Any], **quant: Any) -> int:
        dtype = quant.pop("dtype", str(data.dtype))
        return put(NewTensor(name, data.shape, dtype, data=np.ascontiguousarray(data), **quant))

    activation(network.input)
    for layer in network:
        inputs = [places[name] for name in layer.inputs]
        if layer.weights is not None and layer.bias is not None:
            if planned is None:
                inputs.append(constant(f"{layer.name}/weights", layer.weights))
                inputs.append(constant(f"{layer.name}/bias", layer.bias))
            else:
                integers = quantize_layer(layer, planned)
                scales = tuple(float(s) for s in integers.scales)
                into = planned.tensors[layer.inputs[0]].scale
                dtype = f"int{planned.bits(layer.name)}"
                axis = layer.channel_axis
                inputs.append(
                    constant(f"{layer.name}/weights", integers.weights, scales=scales, axis=axis,
                             dtype=dtype)
                )  # fmt: skip
                both = tuple(float(np.float32(into) * np.float32(s)) for s in scales)
                inputs.append(constant(f"{layer.name}/bias", integers.bias, scales=both))
        elif layer.kind == "mean":
            inputs.append(constant(f"{layer.name}/axes", np.array([1, 2], np.int32)))
        elif layer.kind == "pad":
            (top, left), (bottom, right) = layer.before, layer.after
            sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
            inputs.append(constant(f"{layer.name}/paddings", sides))
        elif layer.kind == "reshape":
            inputs.append(constant(f"{layer.name}/shape", np.array([1, *layer.shape], np.int32)))
        activation(layer.name)
        version = _VERSIONS[layer.kind] if planned else 1
        if planned and layer.weights is not None and planned.bits(layer.name) == 4:
            version = _VERSION_OF_INT4
        operators.append(
            NewOperator(
                layer.kind.upper(),
                tuple(inputs),
                (places[layer.name],),
                _options(network, layer),
                version,
            )
        )
    outputs = [places[name] for name in network.outputs]
    graph = NewSubgraph(tensors, operators, [places[network.input]], outputs)
    return write_model([graph], f"lotor: {network.name}")


def _activation(layer: Layer) -> int:
    kinds = tflite.ActivationFunctionType
    known = {(None, None): kinds.NONE, (0.0, None): kinds.RELU, (0.0, 6.0): kinds.RELU6,
             (-1.0, 1.0): kinds.RELU_N1_TO_1}  # fmt: skip
    if layer.clamp not in known:
        raise LotorError(f"layer '{layer.name}': no operator clamps to {layer.clamp}")
    return int(known[layer.clamp])


def _options(network: Network, layer: Layer) -> tuple[str, dict[str, Any]]:
    padding = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}[layer.padding]
    strides = {"StrideH": layer.stride[0], "StrideW": layer.stride[1], "Padding": padding}
    fused = {"FusedActivationFunction": _activation(layer)}
    window = {"FilterHeight": layer.window[0], "FilterWidth": layer.window[1]}
    if layer.kind == "depthwise_conv_2d":
        each = layer.shape[-1] // network.shape(layer.inputs[0])[-1]
        return "DepthwiseConv2DOptions", {**strides, **fused, "DepthMultiplier": each}
    return {
        "conv_2d": ("Conv2DOptions", {**strides, **fused}),
        "fully_connected": ("FullyConnectedOptions", fused),
        "add": ("AddOptions", fused),
        "mean": ("ReducerOptions", {"KeepDims": len(layer.shape) == 3}),
        "average_pool_2d": ("Pool2DOptions", {**strides, **window, **fused}),
        "max_pool_2d": ("Pool2DOptions", {**strides, **window, **fused}),
        "pad": ("PadOptions", {}),
        "reshape": ("ReshapeOptions", {"NewShape": [1, *layer.shape]}),
        "softmax": ("SoftmaxOptions", {"Beta": 1.0}),
    }[layer.kind]
