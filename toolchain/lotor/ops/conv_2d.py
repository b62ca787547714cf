"""CONV_2D: 2-D convolution, grouped too."""

from dataclasses import replace
from typing import Any

from lotor.graph import Op, Tensor
from lotor.ops.convolution import Convolution, ConvolutionAttributes


class Conv2D(Convolution):
    """Input [N,H,W,C], weights [O,KH,KW,C/groups], bias [O].

    int8 with int8 or int4 weights and int32 sums; int16 with int64 sums (int32, which wrap, where
    the options name that bias type); float32, summed in the reference's order.
    """

    kind = "CONV_2D"
    inputs = 2
    options = "Conv2DOptions"
    channel_axis = 0

    def read(self, options: Any) -> ConvolutionAttributes:
        return replace(super().read(options), bias_type=options.QuantizedBiasType())

    def macs(self, op: Op) -> int:
        return op.outputs[0].elements * op.input(1).elements // op.input(1).shape[0]

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        filters, group = weights.shape[0], weights.shape[3]
        if x.shape[3] % group == 0 and filters % (x.shape[3] // group) == 0:
            return []
        return [f"{x.shape[3]} input channels and {filters} filters do not split by {group}"]

    def grouping(self, x: Tensor, weights: Tensor) -> dict[str, int]:
        return {"group_c": weights.shape[3]}
