"""FULLY_CONNECTED: a dense layer, weights per tensor or per channel, in every type."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.activation import float_activation_range
from lotor.ops.exact_scale import exact_scale
from lotor.ops.hybrid import quantize_call, row_sum_problems
from lotor.ops.int4 import with_packed_weights
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.quantization import (
    Activation,
    activation_problems,
    activation_range,
    channel_scales,
    factor_problems,
)
from lotor.ops.typed import typed_problems
from lotor.ops.weighted import INT4_BESIDE_UINT8, constant

_INT32 = 2  # its number in the model format
_MAX_SUM = 1 << 31
_MAX_WIDE_SUM = 1 << 62
_LIMITS = {Activation.NONE: 0, Activation.RELU: 1}


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """Options of the layer.

    Attributes:
        activation: number of the fused activation.
        weights_format: 0 is the plain one.
        keep_dims: the output has the input's axes but the last, instead of two.
        bias_type: number of the bias' type that an int16 layer names; 0 where it does not.
        asymmetric: float32 inputs of quantized weights are quantized with a zero point.
    """

    activation: int
    weights_format: int
    keep_dims: bool = False
    bias_type: int = 0
    asymmetric: bool = False


class FullyConnected(Operator):
    """Input [..., K] (flattened to rows of K), weights [O,K], bias [O] or none.

    int8 (uint8 too, then weights may have a zero point) with int8 or int4 weights, int16 with
    those weights and a 64-bit bias, float32; float32 with int8 or int4 weights, quantized while it
    runs. Unlike every other operator, LiteRT's reference requantizes it in float64, rounding half
    away from zero. So does the kernel, in integers where these are proved to give the same. int8
    and float32 weights may be computed at run time.
    """

    kind = "FULLY_CONNECTED"
    inputs = 2
    clamps = True
    options = "FullyConnectedOptions"

    def read(self, options: Any) -> FullyConnectedAttributes:
        return FullyConnectedAttributes(
            options.FusedActivationFunction(),
            options.WeightsFormat(),
            options.KeepNumDims(),
            options.QuantizedBiasType(),
            bool(options.AsymmetricQuantizeInputs()),
        )

    def problems(self, op: Op) -> list[str]:
        if op.attrs.weights_format != 0:
            return ["shuffled weights are not supported; convert without weight shuffling"]
        found = _shape_problems(op) + activation_problems(op.attrs.activation)
        found += typed_problems(
            [op.input(0), op.outputs[0]], DType.INT8, DType.INT16, DType.FLOAT32
        )
        return found or _weights_problems(op) + _bias_problems(op) or _range_problems(op)

    def macs(self, op: Op) -> int:
        return op.outputs[0].elements * op.input(1).shape[1]

    def lower(self, op: Op) -> list[KernelCall]:
        x, weights, y = op.input(0), op.input(1), op.outputs[0]
        kernel = "fully_connected"
        outputs, inputs = weights.shape
        params: dict[str, int | float]
        params = {"batches": x.elements // inputs, "inputs": inputs, "outputs": outputs}
        if x.dtype is DType.FLOAT32 and weights.dtype is not DType.FLOAT32:
            return _lower_hybrid(op, params)
        if x.dtype is DType.FLOAT32:
            params["out_min"], params["out_max"] = float_activation_range(op)
            bias = {"bias": _bias_values(op)}
            return [KernelCall(kernel, f"{kernel}_float", [x, weights], [y], params, bias)]
        low, high = activation_range(op)
        scales = channel_scales(x, weights, y, weights.q.scales.size)
        params |= {
            "weights_offset": -weights.q.zero_point,
            "out_min": low,
            "out_max": high,
            "scale_step": int(weights.q.per_channel),
        }
        if x.dtype is DType.INT16:
            params["narrow"] = int(op.attrs.bias_type == _INT32)
            constants = {"weights": constant(weights), "bias": _bias_values(op), "scale": scales}
            call = KernelCall(kernel, f"{kernel}_int16", [x], [y], params, constants)
            return [with_packed_weights(call, weights)]
        params["out_offset"] = y.q.zero_point
        if weights.data is None:
            params["in_offset"] = -x.q.zero_point
            constants = {"bias": _bias_values(op), "scale": scales}
            return [KernelCall(kernel, f"{kernel}_dynamic", [x, weights], [y], params, constants)]
        constants = {"weights": weights.data, "bias": _folded_bias(op)}
        integers = _integer_scales(op, scales, low, high)
        if integers is None:
            constants["scale"] = scales
            call = KernelCall(kernel, f"{kernel}_double", [x], [y], params, constants)
        else:
            call = KernelCall(kernel, kernel, [x], [y], params, constants | integers)
        return [with_packed_weights(call, weights)]


def _lower_hybrid(op: Op, params: dict[str, int | float]) -> list[KernelCall]:
    """Return the calls of a layer with dynamic quantization."""
    x, weights = op.input(0), op.input(1)
    params["scale_step"] = int(weights.q.per_channel)
    params["limits"] = _LIMITS.get(Activation(op.attrs.activation), 2)
    params["out_min"], params["out_max"] = float_activation_range(op)
    quantize = quantize_call(x, not op.attrs.asymmetric, int(params["batches"]))
    constants = {
        "weights": constant(weights),
        "scale": weights.q.scales.astype(np.float32),
        "bias": _bias_values(op),
    }
    function = "hybrid_fully_connected"
    call = KernelCall("hybrid", function, quantize.outputs, [op.outputs[0]], params, constants)
    return [quantize, with_packed_weights(call, weights)]


def _shape_problems(op: Op) -> list[str]:
    x, weights, y = op.input(0), op.input(1), op.outputs[0]
    if len(weights.shape) != 2:
        return [f"weights have shape {list(weights.shape)}; [O, K] needed"]
    outputs, inputs = weights.shape
    if x.elements % inputs:
        return [f"weights {list(weights.shape)} do not fit {x.elements} inputs"]
    want: tuple[int, ...] = (x.elements // inputs, outputs)
    if op.attrs.keep_dims:
        if x.row != inputs:
            return [f"rows of {x.row} inputs do not fit weights {list(weights.shape)}"]
        want = (*x.shape[:-1], outputs)
    if y.shape != want and (op.attrs.keep_dims or y.elements != math.prod(want)):
        return [f"output shape {list(y.shape)} does not follow from the input: {list(want)}"]
    return []


def _weights_problems(op: Op) -> list[str]:
    x, weights = op.input(0), op.input(1)
    if x.dtype is DType.FLOAT32:
        return [] if weights.dtype is DType.FLOAT32 else _hybrid_problems(weights)
    if weights.dtype not in (DType.INT8, DType.INT4) or weights.quant is None:
        return [
            f"weights '{weights.name}' are {weights.dtype.value}; quantized int8 or int4 needed"
        ]
    if op.uint8 and weights.dtype is DType.INT4:
        return [INT4_BESIDE_UINT8]
    if weights.data is None and (weights.dtype is DType.INT4 or x.dtype is DType.INT16):
        return [f"weights '{weights.name}' are computed at run time; constants needed"]
    q, found = weights.q, _scales_problems(weights)
    symmetric = q.per_channel or weights.dtype is DType.INT4
    if symmetric and np.any(q.zero_points != 0):
        found.append(f"weights '{weights.name}' are asymmetric; zero point 0 needed")
    if not -128 <= q.zero_point <= 127:
        found.append(f"weights '{weights.name}' have zero point {q.zero_point}, no int8 value")
    return found


def _scales_problems(weights: Tensor) -> list[str]:
    q = weights.q
    if q.per_channel and (q.scales.size != weights.shape[0] or q.axis != 0):
        return [
            f"weights '{weights.name}' have {q.scales.size} scales on axis {q.axis}; "
            f"1, or {weights.shape[0]} on axis 0, needed"
        ]
    return []


def _hybrid_problems(weights: Tensor) -> list[str]:
    if weights.dtype not in (DType.INT8, DType.INT4):
        return [
            f"weights '{weights.name}' are {weights.dtype.value} beside float32 activations; "
            "float32, int8 or int4 needed"
        ]
    if weights.data is None:
        return [f"weights '{weights.name}' are computed at run time; constants needed"]
    if weights.quant is None or np.any(weights.q.zero_points != 0):
        return [f"weights '{weights.name}' need scales, and zero point 0"]
    return _scales_problems(weights) + row_sum_problems("weights", weights)


def _bias(op: Op) -> Tensor | None:
    return op.inputs[2] if len(op.inputs) > 2 else None


def _bias_problems(op: Op) -> list[str]:
    bias, channels = _bias(op), op.input(1).shape[0]
    wanted = {DType.FLOAT32: DType.FLOAT32, DType.INT8: DType.INT32}.get(
        op.input(0).dtype, DType.INT32 if op.attrs.bias_type == _INT32 else DType.INT64
    )
    if bias is None or (
        bias.data is not None and bias.dtype is wanted and bias.elements == channels
    ):
        return []
    return [f"bias '{bias.name}' must be a constant {wanted.value}[{channels}]"]


def _range_problems(op: Op) -> list[str]:
    """Return what is wrong with the numbers: factors to the output, sums that overflow."""
    x, weights, y = op.input(0), op.input(1), op.outputs[0]
    if x.dtype is DType.FLOAT32:
        return []
    found = factor_problems(float(channel_scales(x, weights, y, weights.q.scales.size).max()))
    inputs, wide = weights.shape[1], x.dtype is DType.INT16
    if weights.data is None:
        products = 255 * 255 * inputs
    else:
        sums = np.abs(weights.data.astype(np.int64)).sum(axis=1).max()
        products = (int(sums) + abs(weights.q.zero_point) * inputs) * (1 << 15 if wide else 128)
    largest = products + (int(np.abs(_bias_values(op).astype(np.float64)).max()) if wide else 0)
    if largest >= (_MAX_WIDE_SUM if wide else _MAX_SUM):
        found.append(f"sums of {inputs} products may overflow; smaller weights or fewer needed")
    return found


def _bias_values(op: Op) -> Array:
    """Return the bias of every output: int32 for int8, int64 for int16; zeros without one."""
    bias, channels = _bias(op), op.input(1).shape[0]
    dtype = {DType.INT8: np.int32, DType.INT16: np.int64}.get(op.input(0).dtype, np.float32)
    if bias is None or bias.data is None:
        return np.zeros(channels, dtype)
    values: Array = bias.data.reshape(channels).astype(dtype)
    return values


def _weights_less_zero_point(weights: Tensor) -> Array:
    assert weights.data is not None
    difference: Array = weights.data.astype(np.int64) - weights.q.zero_point
    return difference


def _folded_bias(op: Op) -> Array:
    """Return the bias with the input's zero point in it; int32, wrapping as the sums do."""
    sums = _weights_less_zero_point(op.input(1)).sum(axis=1)
    folded: Array = (_bias_values(op) - op.input(0).q.zero_point * sums).astype(np.int32)
    return folded


def _integer_scales(op: Op, scales: Array, low: int, high: int) -> dict[str, Array] | None:
    """Return `multiplier` and `shift` that equal the float64 scales; None if there are none."""
    x, zero_point = op.input(0), op.outputs[0].q.zero_point
    steps = max(abs(low - zero_point), abs(high - zero_point), 1)
    weights, bias = _weights_less_zero_point(op.input(1)), _bias_values(op).astype(np.int64)
    least, most = -128 - x.q.zero_point, 127 - x.q.zero_point
    smallest = np.minimum(weights * least, weights * most).sum(axis=1) + bias
    largest = np.maximum(weights * least, weights * most).sum(axis=1) + bias
    limits = np.minimum(np.maximum(-smallest, largest), _MAX_SUM)
    if scales.size == 1:
        limits = limits.max(keepdims=True)
    found = [exact_scale(float(s), int(n), steps) for s, n in zip(scales, limits, strict=True)]
    exact = [point for point in found if point is not None]
    if len(exact) < len(found):
        return None
    return {
        "multiplier": np.array([p.multiplier for p in exact], np.int32),
        "shift": np.array([p.shift for p in exact], np.int8),
    }
