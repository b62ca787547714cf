"""CONV_2D: 2-D convolution, grouped too."""

from dataclasses import replace
from typing import Any

from lotor.graph import DType, Op, Tensor
from lotor.ops.convolution import Convolution, ConvolutionAttributes
from lotor.ops.hybrid import equal_scales
from lotor.ops.weighted import Weighted


class Conv2D(Convolution):
    """Input [N,H,W,C], weights [O,KH,KW,C/groups], bias [O].

    int8 with int8 or int4 weights and int32 sums; int16 with int64 sums (int32, which wrap, where
    the options name that bias type); float32, summed in the reference's order; float32 with int8
    or int4 weights, quantized while it runs.
    """

    kind = "CONV_2D"
    inputs = 2
    options = "Conv2DOptions"
    channel_axis = 0
    hybrid_types = (DType.INT8, DType.INT4)

    def read(self, options: Any) -> ConvolutionAttributes:
        return replace(super().read(options), bias_type=options.QuantizedBiasType())

    def macs(self, op: Op) -> int:
        return op.outputs[0].elements * op.input(1).elements // op.input(1).shape[0]

    def hybrid_problems(self, w: Weighted) -> list[str]:
        if w.x.shape[3] == w.weights.shape[3] or not equal_scales(w):
            return []
        return ["groups with one scale for all have no reference; give each filter its scale"]

    def hybrid_params(self, w: Weighted) -> dict[str, int]:
        return {"joint": int(equal_scales(w))}

    def hybrid_symmetric(self, w: Weighted) -> bool:
        return equal_scales(w)

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        filters, group = weights.shape[0], weights.shape[3]
        if x.shape[3] % group == 0 and filters % (x.shape[3] // group) == 0:
            return []
        return [f"{x.shape[3]} input channels and {filters} filters do not split by {group}"]

    def grouping(self, x: Tensor, weights: Tensor) -> dict[str, int]:
        return {"group_c": weights.shape[3]}
