"""`Network` and the ranges of its tensors -> int8 or 16x8 `.tflite`, and the float one beside it.

Follows the quantization specification of TensorFlow Lite
(https://ai.google.dev/edge/litert/models/quantization_spec): activations int8 with one scale and
zero point, weights int8 or int4 with a scale for each filter and no zero point, biases int32 with
the product of both scales. Activations may be int16, symmetric, with biases of int64 ("16x8"): all
of them, or some; QUANTIZE layers lie between. A detector ends in the custom operator
TFLite_Detection_PostProcess, which the reference only has for uint8 and float32: its inputs are
made uint8, the same real numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from lotor.errors import LotorError
from lotor.frontend.write import NewOperator, NewSubgraph, NewTensor, write_model
from lotor.ops.detection_postprocess import DetectionPostprocess
from lotor.train.anchors import ENCODING, STEP, Detections
from lotor.train.layers import PROBABILITIES, Array, Layer, Network

_HIGH = 127  # of weights
_KINDS_OF_SAME_SCALE = ("max_pool_2d", "average_pool_2d", "pad", "reshape", "concatenation")
_LEAST_SCALE = 1e-8  # the reference counts the limits of activations (6) in int32 steps of it
_FINER = {8: 1 << 10, 16: 1 << 6}  # steps of an output for a step of its sums, at most
_HEADROOM = 2.0  # of int16 over what was seen: it has steps to spare, and clipping costs most
_WIDENED = 128  # steps of int16 for one of int8: all differences of int8 fit
_MOST_BIAS = {8: (1 << 30) - 1, 16: 1 << 45}  # beside int8 and int16
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
    "concatenation": 2,
    "logistic": 2,
    "softmax": 2,
}
_VERSIONS_16 = _VERSIONS | {
    "conv_2d": 4,
    "depthwise_conv_2d": 5,
    "fully_connected": 7,
    "average_pool_2d": 3,
    "max_pool_2d": 3,
    "mean": 3,
    "add": 3,
    "pad": 3,
    "softmax": 3,
}
_VERSION_OF_QUANTIZE = 2
_VERSION_OF_INT4 = 7  # of all layers with weights


@dataclass(frozen=True)
class Quantization:
    """How a tensor of int8 or int16 stands for real numbers: (q - zero_point) * scale."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def least(self) -> int:
        """The least integer."""
        return -(1 << self.bits - 1)

    @property
    def most(self) -> int:
        """The greatest integer."""
        return (1 << self.bits - 1) - 1

    @staticmethod
    def of(low: float, high: float, bits: int = 8) -> "Quantization":
        """Return the one for a range, which is widened to hold 0 exactly; int16 has 0 at 0."""
        if not np.isfinite([low, high]).all():
            raise LotorError(f"a range of {low} to {high} cannot be quantized; did training end?")
        low, high = min(0.0, float(low)), max(0.0, float(high))
        if bits == 16:
            steps = max(-low / 32768, high / 32767) or 1.0
            return Quantization(float(np.float32(max(steps, _LEAST_SCALE))), 0, 16)
        # What is always 0 gets any scale; a tiny one would make factors too large for int32.
        steps = (high - low) / 255 or 1.0
        scale = float(np.float32(max(steps, _LEAST_SCALE)))
        return Quantization(scale, int(np.clip(round(-128 - low / scale), -128, 127)))

    @property
    def wide(self) -> "Quantization":
        """The one of int16 in whose place int8 is read and written by layers of 16 bits."""
        if self.bits == 16:
            return self
        return Quantization(float(np.float32(self.scale / _WIDENED)), 0, 16)

    def quantize(self, real: Array) -> npt.NDArray[Any]:
        """Return real numbers as int8 or int16, halves away from zero."""
        steps = np.asarray(real, np.float64) / self.scale
        rounded = np.sign(steps) * np.floor(np.abs(steps) + 0.5) + self.zero_point
        return np.asarray(np.clip(rounded, self.least, self.most), f"int{self.bits}")

    def real(self, steps: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what integers stand for."""
        return ((steps.astype(np.float32) - self.zero_point) * self.scale).astype(np.float32)


SOFTMAX = Quantization(1 / 256, -128)
SOFTMAX_16 = Quantization(2.0**-15, 0, 16)


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer's integers, as the file holds them."""

    weights: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[Any]  # int32; int64 where activations are int16


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

    @property
    def mixed(self) -> bool:
        """Whether any activation has 16 bits."""
        return any(quant.bits == 16 for quant in self.tensors.values())

    def wide(self, layer: Layer) -> bool:
        """Whether a layer computes with int16: it reads or writes a tensor of 16 bits."""
        return any(self.tensors[name].bits == 16 for name in (*layer.inputs, layer.name))

    def as_used(self, layer: Layer, tensor: str) -> Quantization:
        """Return the quantization in which a layer reads or writes a tensor."""
        quant = self.tensors[tensor]
        return quant.wide if self.wide(layer) else quant


def plan(
    network: Network,
    ranges: Mapping[str, tuple[float, float]],
    weight_bits: Mapping[str, int] | None = None,
    activations: int = 8,
) -> Plan:
    """Return the quantization of every tensor.

    Args:
        network: the network.
        ranges: least and greatest value of the input and of every layer's output.
        weight_bits: see `Plan`.
        activations: bits of all activations, 8 or 16.

    Raises:
        LotorError: a tensor has no range, or one that is no number.
    """
    tensors: dict[str, Quantization] = {}
    joined = {layer.name: _joined(network, layer) for layer in network if _joins(layer)}
    ranges = {**ranges, **{n: ranges[name] for name, names in joined.items() for n in names}}
    for name in (network.input, *(layer.name for layer in network)):
        layer = None if name == network.input else network[name]
        if layer and layer.kind in PROBABILITIES:
            tensors[name] = SOFTMAX if activations == 8 else SOFTMAX_16
        elif layer and layer.kind in _KINDS_OF_SAME_SCALE:
            tensors[name] = tensors[layer.inputs[0]]
        elif name not in ranges:
            raise LotorError(f"tensor '{name}' has no range: calibrate with photographs first")
        elif layer is None:
            tensors[name] = Quantization.of(*ranges[name], activations)
        else:
            tensors[name] = output_quantization(layer, ranges[name], tensors, activations)
    for names in joined.values():
        tensors |= dict.fromkeys(names, _coarsest([tensors[name] for name in names]))
    return Plan(tensors, dict(weight_bits or {}))


def _joins(layer: Layer) -> bool:
    return layer.kind == "concatenation"


def _joined(network: Network, layer: Layer) -> set[str]:
    """Return the tensors that must be quantized as a concatenation is: all that it is made of."""
    found, left = {layer.name}, list(layer.inputs)
    while left:
        name = left.pop()
        found.add(name)
        if name != network.input and network[name].kind in _KINDS_OF_SAME_SCALE:
            left += network[name].inputs
    return found


def _coarsest(quants: list[Quantization]) -> Quantization:
    """Return one quantization for several tensors of the same range, no finer than any of them."""
    if len(set(quants)) == 1:
        return quants[0]
    reach = max(q.scale * max(q.most - q.zero_point, q.zero_point - q.least) for q in quants)
    return Quantization.of(-reach, reach, quants[0].bits)


def changed(network: Network, planned: Plan, name: str, quant: Quantization) -> Plan:
    """Return a plan with another quantization of a tensor, and of those that must share it."""
    tensors = {**planned.tensors, name: quant}
    for layer in network:
        if layer.kind in _KINDS_OF_SAME_SCALE:
            tensors[layer.name] = tensors[layer.inputs[0]]
    return Plan(tensors, planned.weight_bits)


def output_quantization(
    layer: Layer,
    limits: tuple[float, float],
    tensors: Mapping[str, Quantization],
    bits: int = 8,
) -> Quantization:
    """Return the quantization of a layer's output.

    Args:
        layer: the layer.
        limits: least and greatest value of its output.
        tensors: quantization of its inputs.
        bits: of the output.
    """
    (low, high), (least, greatest) = limits, layer.clamp
    if bits == 16:
        low, high = low * _HEADROOM, high * _HEADROOM
    low = low if least is None else max(low, least)
    high = high if greatest is None else min(high, greatest)
    found = Quantization.of(low, high, bits)
    if (scale := _least_scale(layer, tensors, bits)) > found.scale:
        most = (1 << bits - 1) - 0.5
        return Quantization.of(-most * scale, most * scale, bits)
    return found


def _least_scale(layer: Layer, tensors: Mapping[str, Quantization], bits: int) -> float:
    """Return the finest scale of a layer's output that its sums can fill.

    Below it, as behind a layer that is always 0, the factor to the output would leave int32.
    """
    inputs = [tensors[name] for name in layer.inputs]
    into = max((quant.wide if bits == 16 else quant).scale for quant in inputs)
    if layer.weights is not None:
        into *= float(np.abs(layer.weights).max()) / _HIGH
    return into / _FINER[bits]


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
    into, wide = planned.as_used(layer, layer.inputs[0]).scale, planned.wide(layer)
    # A filter of nearly nothing has a scale all the same, large enough for its bias.
    most_bias = _MOST_BIAS[16 if wide else 8]
    least = np.maximum(np.abs(layer.bias) / (into * most_bias), _LEAST_SCALE)
    scales = np.maximum(reach / most, least).astype(np.float32)
    along = [1] * layer.weights.ndim
    along[axis] = -1
    steps = np.rint(layer.weights / scales.reshape(along).astype(np.float64))
    weights = np.clip(steps, -most, most).astype(np.int8)
    # The reference multiplies both scales as float32 numbers would be in double.
    bias = np.rint(layer.bias / (np.float64(np.float32(into)) * scales.astype(np.float64)))
    return QuantizedLayer(weights, scales, bias.astype(np.int64 if wide else np.int32))


def to_int8(network: Network, planned: Plan, ending: Detections | None = None) -> bytes:
    """Return the `.tflite` of integers; input and outputs, too, are int8, or int16 by the plan.

    Args:
        network: the network.
        planned: see `plan`.
        ending: of a detector, whose outputs are encoded boxes and scores: what makes detections of
            them, in float32.
    """
    return _write(network, planned, ending)


def to_float(network: Network, ending: Detections | None = None) -> bytes:
    """Return the float32 `.tflite` of the same network; `ending` as for `to_int8`."""
    return _write(network, None, ending)


def _write(network: Network, planned: Plan | None, ending: Detections | None) -> bytes:
    file = _File(network, planned)
    for layer in network:
        file.add(layer)
    outputs = [file.place(name) for name in network.outputs]
    if ending is not None:
        outputs = file.detect(ending, network.outputs)
    graph = NewSubgraph(file.tensors, file.operators, [file.place(network.input)], outputs)
    return write_model([graph], f"lotor: {network.name}")


class _File:
    """A file's tensors and operators, while they are put together."""

    def __init__(self, network: Network, planned: Plan | None) -> None:
        self.tensors: list[NewTensor] = []
        self.operators: list[NewOperator] = []
        self._network, self._planned = network, planned
        self._places: dict[tuple[str, Quantization | None], int] = {}
        self._activation(network.input, self._quant(network.input))

    def place(self, name: str) -> int:
        """Return the index of an activation, as the plan has it."""
        return self._places[name, self._quant(name)]

    def add(self, layer: Layer) -> None:
        """Add a layer, and a QUANTIZE wherever it takes a tensor otherwise than the plan has it."""
        inputs = [self._read(layer, name) for name in layer.inputs]
        if layer.weights is not None and layer.bias is not None:
            inputs += self._weights(layer, layer.weights, layer.bias)
        elif layer.kind == "mean":
            inputs.append(self._constant(f"{layer.name}/axes", np.array([1, 2], np.int32)))
        elif layer.kind == "pad":
            (top, left), (bottom, right) = layer.before, layer.after
            sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
            inputs.append(self._constant(f"{layer.name}/paddings", sides))
        elif layer.kind == "reshape":
            shape = np.array([1, *layer.shape], np.int32)
            inputs.append(self._constant(f"{layer.name}/shape", shape))
        planned, wanted = self._planned, self._quant(layer.name)
        written = planned.as_used(layer, layer.name) if planned else None
        output = self._activation(layer.name, written)
        wide = planned is not None and planned.wide(layer)
        version = (_VERSIONS_16 if wide else _VERSIONS)[layer.kind] if planned else 1
        if planned and layer.weights is not None and planned.bits(layer.name) == 4:
            version = _VERSION_OF_INT4
        options = _options(self._network, layer, wide)
        self.operators.append(
            NewOperator(layer.kind.upper(), tuple(inputs), (output,), options, version)
        )
        if written != wanted:
            self._convert(output, layer.name, wanted)

    def detect(self, how: Detections, heads: tuple[str, ...]) -> list[int]:
        """Add what decodes boxes and suppresses overlaps; returns its outputs' indices."""
        inputs = [self._as_uint8(name) if self._planned else self.place(name) for name in heads]
        if self._planned:
            steps = np.rint(how.anchors / STEP).astype(np.uint8)
            inputs.append(self._constant("anchors", steps, scales=(STEP,)))
        else:
            inputs.append(self._constant("anchors", how.anchors))
        shapes: list[tuple[int, ...]] = [(1, how.most, 4), (1, how.most), (1, how.most), (1,)]
        names = ("boxes", "classes", "scores", "count")
        outputs = [
            self._put(NewTensor(f"detections/{name}", shape, "float32"))
            for name, shape in zip(names, shapes, strict=True)
        ]
        self.operators.append(
            NewOperator(DetectionPostprocess.kind, tuple(inputs), tuple(outputs),
                        ("", {"custom": _detection_options(how)}))
        )  # fmt: skip
        return outputs

    def _as_uint8(self, name: str) -> int:
        quant = self._quant(name)
        assert quant is not None
        shape = (1, *self._network.shape(name))
        new = NewTensor(f"{name}/uint8", shape, "uint8", (quant.scale,), quant.zero_point + 128)
        made = self._put(new)
        self.operators.append(
            NewOperator("QUANTIZE", (self.place(name),), (made,), ("QuantizeOptions", {}),
                        _VERSION_OF_QUANTIZE)
        )  # fmt: skip
        return made

    def _quant(self, name: str) -> Quantization | None:
        return self._planned.tensors[name] if self._planned else None

    def _put(self, tensor: NewTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _activation(self, name: str, quant: Quantization | None) -> int:
        shape = (1, *self._network.shape(name))
        if quant is None:
            new = NewTensor(name, shape, "float32")
        else:
            title = name if quant == self._quant(name) else f"{name}/int{quant.bits}"
            new = NewTensor(title, shape, f"int{quant.bits}", (quant.scale,), quant.zero_point)
        self._places[name, quant] = self._put(new)
        return self._places[name, quant]

    def _constant(self, name: str, data: npt.NDArray[Any], **quant: Any) -> int:
        dtype = quant.pop("dtype", str(data.dtype))
        data = np.ascontiguousarray(data)
        return self._put(NewTensor(name, data.shape, dtype, data=data, **quant))

    def _read(self, layer: Layer, name: str) -> int:
        quant = self._planned.as_used(layer, name) if self._planned else None
        if (name, quant) not in self._places:
            self._convert(self.place(name), name, quant)
        return self._places[name, quant]

    def _convert(self, source: int, name: str, quant: Quantization | None) -> None:
        made = (self._activation(name, quant),)
        self.operators.append(
            NewOperator("QUANTIZE", (source,), made, ("QuantizeOptions", {}), _VERSION_OF_QUANTIZE)
        )

    def _weights(self, layer: Layer, weights: Array, bias: Array) -> list[int]:
        if self._planned is None:
            return [
                self._constant(f"{layer.name}/weights", weights),
                self._constant(f"{layer.name}/bias", bias),
            ]
        integers = quantize_layer(layer, self._planned)
        scales = tuple(float(s) for s in integers.scales)
        into = np.float32(self._planned.as_used(layer, layer.inputs[0]).scale)
        both = tuple(float(into * np.float32(s)) for s in scales)
        quant = {"axis": layer.channel_axis, "dtype": f"int{self._planned.bits(layer.name)}"}
        return [
            self._constant(f"{layer.name}/weights", integers.weights, scales=scales, **quant),
            self._constant(f"{layer.name}/bias", integers.bias, scales=both),
        ]


def _activation(layer: Layer) -> int:
    kinds = tflite.ActivationFunctionType
    known = {(None, None): kinds.NONE, (0.0, None): kinds.RELU, (0.0, 6.0): kinds.RELU6,
             (-1.0, 1.0): kinds.RELU_N1_TO_1}  # fmt: skip
    if layer.clamp not in known:
        raise LotorError(f"layer '{layer.name}': no operator clamps to {layer.clamp}")
    return int(known[layer.clamp])


def _detection_options(how: Detections) -> bytes:
    """Return the options of TFLite_Detection_PostProcess.

    Every class is suppressed by itself ("regular"): only then does the reference define the
    outputs behind the last detection.
    """
    y, x, height, width = ENCODING
    fields = {
        "max_detections": how.most,
        "max_classes_per_detection": 1,
        "detections_per_class": how.most,
        "use_regular_nms": True,
        "nms_score_threshold": how.least,
        "nms_iou_threshold": how.overlap,
        "num_classes": how.classes,
        "y_scale": y,
        "x_scale": x,
        "h_scale": height,
        "w_scale": width,
    }
    return bytes(flexbuffers.Dumps(fields))


def _options(network: Network, layer: Layer, wide: bool) -> tuple[str, dict[str, Any]] | None:
    padding = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}[layer.padding]
    strides = {"StrideH": layer.stride[0], "StrideW": layer.stride[1], "Padding": padding}
    fused = {"FusedActivationFunction": _activation(layer)}
    window = {"FilterHeight": layer.window[0], "FilterWidth": layer.window[1]}
    if layer.kind == "depthwise_conv_2d":
        each = layer.shape[-1] // network.shape(layer.inputs[0])[-1]
        return "DepthwiseConv2DOptions", {**strides, **fused, "DepthMultiplier": each}
    if layer.kind == "logistic":  # has none
        return None
    return {
        "conv_2d": ("Conv2DOptions", {**strides, **fused}),
        "fully_connected": ("FullyConnectedOptions", fused),
        # What int16 has by default is for scales that are powers of two.
        "add": ("AddOptions", {**fused, "PotScaleInt16": False} if wide else fused),
        "mean": ("ReducerOptions", {"KeepDims": len(layer.shape) == 3}),
        "average_pool_2d": ("Pool2DOptions", {**strides, **window, **fused}),
        "max_pool_2d": ("Pool2DOptions", {**strides, **window, **fused}),
        "pad": ("PadOptions", {}),
        "reshape": ("ReshapeOptions", {"NewShape": [1, *layer.shape]}),
        "concatenation": ("ConcatenationOptions", {"Axis": layer.axis}),
        "softmax": ("SoftmaxOptions", {"Beta": 1.0}),
    }[layer.kind]
