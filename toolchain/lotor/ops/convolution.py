"""What 2-D convolutions share: attributes, window, lowering in every type."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.activation import float_activation_range
from lotor.ops.hybrid import hybrid_problems, is_hybrid, quantize_call
from lotor.ops.int4 import with_packed_weights
from lotor.ops.operator import KernelCall, Operator, Stripe
from lotor.ops.quantization import activation_problems, activation_range
from lotor.ops.typed import suffix
from lotor.ops.weighted import Weighted, constant
from lotor.ops.window import SAME, Axis, window_params, window_problems, window_stripe

__all__ = ["Convolution", "ConvolutionAttributes", "constant"]


@dataclass(frozen=True)
class ConvolutionAttributes:
    """Padding, strides and dilations (height, width), fused activation number.

    `pads` (before, after) of height and width replace `same` where a PAD was folded in.
    `bias_type` is the number of the bias' type that int16 layers name; 0 where they do not.
    `zero_point_folded`: the bias holds what the input's zero point adds.
    """

    same: bool
    stride: tuple[int, int]
    dilation: tuple[int, int]
    activation: int
    pads: tuple[tuple[int, int], tuple[int, int]] | None = None
    bias_type: int = 0
    zero_point_folded: bool = False


class Convolution(Operator):
    """A 2-D convolution over [N,H,W,C].

    Attributes:
        channel_axis: the weights' output axis.
        weight_types: of quantized layers.
        narrow: whether models may ask for 32-bit sums beside int16 activations.
        hybrid_types: of the weights beside float32 activations, which are quantized then.
    """

    clamps = True
    channel_axis: ClassVar[int]
    weight_types: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT4)
    narrow: ClassVar[bool] = True
    hybrid_types: ClassVar[tuple[DType, ...]] = ()

    def read(self, options: Any) -> ConvolutionAttributes:
        return ConvolutionAttributes(
            options.Padding() == SAME,
            (options.StrideH(), options.StrideW()),
            (options.DilationHFactor(), options.DilationWFactor()),
            options.FusedActivationFunction(),
        )

    def weighted(self, op: Op) -> Weighted:
        """Return the layer's operands."""
        a: ConvolutionAttributes = op.attrs
        bias = op.inputs[2] if len(op.inputs) > 2 else None
        return Weighted(
            op.input(0),
            op.input(1),
            bias,
            op.outputs[0],
            self.channel_axis,
            op.uint8,
            a.bias_type,
            a.zero_point_folded,
        )

    def window(self, op: Op) -> tuple[Axis, Axis]:
        """Return the window along height and width."""
        a: ConvolutionAttributes = op.attrs
        kernel = self.weighted(op).weights.shape[1:3]
        above, beside = a.pads or (None, None)
        height = Axis(kernel[0], a.stride[0], a.dilation[0], a.same, above)
        return height, Axis(kernel[1], a.stride[1], a.dilation[1], a.same, beside)

    def problems(self, op: Op) -> list[str]:
        w = self.weighted(op)
        if len(w.weights.shape) != 4:
            return [f"weights have shape {list(w.weights.shape)}; four dimensions needed"]
        found = self.window_problems(op)
        if found:
            return found
        if w.y.shape[3] != w.channels:
            found.append(f"{w.channels} filters cannot give {w.y.shape[3]} output channels")
        found += self.grouping_problems(w.x, w.weights)
        if is_hybrid(w) and w.weights.dtype in self.hybrid_types:
            found += hybrid_problems(w) or self.hybrid_problems(w)
        else:
            found += w.problems(*self.weight_types)
        return found + activation_problems(op.attrs.activation)

    def hybrid_problems(self, w: Weighted) -> list[str]:
        """Return which forms with float32 activations and int8 weights the reference lacks."""
        return []

    def hybrid_params(self, w: Weighted) -> dict[str, int]:
        """Return parameters of the kernel for float32 activations and int8 weights."""
        return {}

    def hybrid_symmetric(self, w: Weighted) -> bool:
        """Return whether the activations are quantized around zero, without zero point."""
        return False

    def _lower_hybrid(self, op: Op) -> list[KernelCall]:
        w = self.weighted(op)
        params: dict[str, int | float] = {**self.geometry(op), **self.hybrid_params(w)}
        params["out_min"], params["out_max"] = float_activation_range(op)
        scales = np.broadcast_to(w.weights.q.scales, (w.channels,))
        constants = {"weights": constant(w.weights), "scale": scales, "bias": w.bias_values()}
        quantize = quantize_call(w.x, self.hybrid_symmetric(w), w.x.shape[0])
        function = f"hybrid_{self.kind.lower()}"
        call = KernelCall("hybrid", function, quantize.outputs, [w.y], params, constants)
        return [quantize, with_packed_weights(call, w.weights, w.filter_size)]

    def padded(self, op: Op) -> bool:
        """Return whether some window reaches beyond the input, so that inputs differ in number."""
        sizes = self.weighted(op).x.shape[1:3]
        return any(a.pads(size) for a, size in zip(self.window(op), sizes, strict=True))

    def window_problems(self, op: Op) -> list[str]:
        """Return a line if window, input and output do not fit together."""
        w = self.weighted(op)
        return window_problems(w.x, w.y, *self.window(op))

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        """Return a line if input channels and weights do not fit together."""
        raise NotImplementedError

    def grouping(self, x: Tensor, weights: Tensor) -> dict[str, int]:
        """Return the parameter that says which input channels a filter sees."""
        raise NotImplementedError

    def strided(self, op: Op) -> bool:
        return not is_hybrid(self.weighted(op))

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        w = self.weighted(op)
        if is_hybrid(w):
            return None  # rounds by the range of the whole input
        return window_stripe(op, self.window(op), first, end)

    def geometry(self, op: Op) -> dict[str, int]:
        """Return the fields of the parameters that all types have."""
        w = self.weighted(op)
        height, width = self.window(op)
        return window_params(w.x, w.y, height, width) | {
            "in_step": w.x.step,
            "out_step": w.y.step,
            "dilation_h": height.dilation,
            "dilation_w": width.dilation,
            **self.grouping(w.x, w.weights),
        }

    def lower(self, op: Op) -> list[KernelCall]:
        w = self.weighted(op)
        if is_hybrid(w):
            return self._lower_hybrid(op)
        params: dict[str, int | float] = dict(self.geometry(op))
        constants: dict[str, Array] = {"weights": constant(w.weights), "bias": w.bias_values()}
        if w.x.dtype is DType.FLOAT32:
            params["out_min"], params["out_max"] = float_activation_range(op)
        else:
            if w.x.dtype is DType.INT8:
                params["in_offset"] = w.in_offset
                params["weights_offset"] = w.weights_offset
                params["out_offset"] = w.y.q.zero_point
            elif self.narrow:
                params["narrow"] = int(w.narrow)
            params["out_min"], params["out_max"] = activation_range(op)
            constants |= w.requantization()
        kernel = self.kind.lower()
        function = kernel + suffix(w.x.dtype)
        call = KernelCall(kernel, function, [w.x], [w.y], params, constants)
        return [with_packed_weights(call, w.weights, w.filter_size)]
