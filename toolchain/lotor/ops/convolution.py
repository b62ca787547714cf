"""What convolutions and dense layers share: weights, bias, window, requantization."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import (
    activation_problems,
    activation_range,
    channel_scales,
    factor_problems,
    fixed_points,
)
from lotor.ops.window import SAME, Axis, window_params, window_problems


def weights_problems(op: Op, channels: int, axis: int) -> list[str]:
    """Return what is wrong with weights (input 1) and bias (input 2) of a layer.

    Args:
        op: the layer.
        channels: its output channels.
        axis: the axis of the weights that per-channel scales belong to.
    """
    weights, bias = op.input(1), bias_tensor(op)
    found = int8_problems(op.input(0), op.outputs[0])
    if weights.data is None:
        found.append(f"weights '{weights.name}' are computed at run time; constants needed")
    if weights.dtype is not DType.INT8 or weights.quant is None:
        found.append(f"weights '{weights.name}' are {weights.dtype.value}; quantized int8 needed")
    else:
        if np.any(weights.q.zero_points != 0):
            found.append(f"weights '{weights.name}' are asymmetric; zero point 0 needed")
        if weights.q.per_channel and (weights.q.scales.size != channels or weights.q.axis != axis):
            found.append(
                f"weights '{weights.name}' have {weights.q.scales.size} scales on axis "
                f"{weights.q.axis}; 1, or {channels} on axis {axis}, needed"
            )
    if bias is not None and (
        bias.data is None or bias.dtype is not DType.INT32 or bias.elements != channels
    ):
        found.append(f"bias '{bias.name}' must be a constant int32[{channels}]")
    if not found:
        scales = channel_scales(op.input(0), weights, op.outputs[0], channels)
        found = factor_problems(float(scales.max()))
    return found


def bias_tensor(op: Op) -> Tensor | None:
    """Return the bias (input 2) or None."""
    return op.inputs[2] if len(op.inputs) > 2 else None


def bias_values(op: Op, channels: int) -> Array:
    """Return the bias as int32[channels]; zeros where the layer has none."""
    bias = bias_tensor(op)
    if bias is None or bias.data is None:
        return np.zeros(channels, np.int32)
    return bias.data.reshape(channels)


def constant(tensor: Tensor) -> Array:
    """Return the value of a constant tensor."""
    if tensor.data is None:
        raise ValueError(f"tensor '{tensor.name}' is not a constant")
    return tensor.data


@dataclass(frozen=True)
class ConvolutionAttributes:
    """Padding, strides and dilations (height, width), fused activation number.

    `pads` (before, after) of height and width replace `same` where a PAD was folded in.
    """

    same: bool
    stride: tuple[int, int]
    dilation: tuple[int, int]
    activation: int
    pads: tuple[tuple[int, int], tuple[int, int]] | None = None


class Convolution(Operator):
    """A 2-D convolution over [N,H,W,C]; `channel_axis` is the weights' output axis."""

    channel_axis: ClassVar[int]

    def read(self, options: Any) -> ConvolutionAttributes:
        return ConvolutionAttributes(
            options.Padding() == SAME,
            (options.StrideH(), options.StrideW()),
            (options.DilationHFactor(), options.DilationWFactor()),
            options.FusedActivationFunction(),
        )

    def problems(self, op: Op) -> list[str]:
        x, weights, y = op.input(0), op.input(1), op.outputs[0]
        if len(weights.shape) != 4:
            return [f"weights have shape {list(weights.shape)}; four dimensions needed"]
        found = window_problems(x, y, *_window(op))
        if found:
            return found
        channels = weights.shape[self.channel_axis]
        if y.shape[3] != channels:
            found.append(f"{channels} filters cannot give {y.shape[3]} output channels")
        found += self.grouping_problems(x, weights)
        found += weights_problems(op, channels, self.channel_axis)
        return found + activation_problems(op.attrs.activation)

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        """Return a line if input channels and weights do not fit together."""
        raise NotImplementedError

    def grouping(self, x: Tensor, weights: Tensor) -> dict[str, int]:
        """Return the parameter that says which input channels a filter sees."""
        raise NotImplementedError

    def lower(self, op: Op) -> list[KernelCall]:
        x, weights, y = op.input(0), op.input(1), op.outputs[0]
        channels = weights.shape[self.channel_axis]
        height, width = _window(op)
        multiplier, shift = fixed_points(channel_scales(x, weights, y, channels))
        low, high = activation_range(op)
        params = window_params(x, y, height, width) | {
            "dilation_h": height.dilation,
            "dilation_w": width.dilation,
            **self.grouping(x, weights),
            "in_offset": -x.q.zero_point,
            "out_offset": y.q.zero_point,
            "out_min": low,
            "out_max": high,
        }
        constants = {
            "weights": constant(weights),
            "bias": bias_values(op, channels),
            "multiplier": multiplier,
            "shift": shift,
        }
        kernel = self.kind.lower()
        return [KernelCall(kernel, kernel, [x], [y], params, constants)]


def _window(op: Op) -> tuple[Axis, Axis]:
    a, kernel = op.attrs, op.input(1).shape[1:3]
    above, beside = a.pads or (None, None)
    height = Axis(kernel[0], a.stride[0], a.dilation[0], a.same, above)
    return height, Axis(kernel[1], a.stride[1], a.dilation[1], a.same, beside)
