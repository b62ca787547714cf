"""DEPTHWISE_CONV_2D: each input channel is convolved by itself, with any channel multiplier."""

from lotor.graph import DType, Op, Tensor
from lotor.ops.convolution import Convolution
from lotor.ops.weighted import Weighted


class DepthwiseConv2D(Convolution):
    """Input [N,H,W,C], weights [1,KH,KW,C*M], bias [C*M].

    int8 with int8 or int4 weights and int32 sums; int16 with int64 sums; float32, summed in the
    reference's order; float32 with int8 weights, quantized while it runs.
    """

    kind = "DEPTHWISE_CONV_2D"
    inputs = 2
    options = "DepthwiseConv2DOptions"
    channel_axis = 3
    narrow = False
    hybrid_types = (DType.INT8,)

    def problems(self, op: Op) -> list[str]:
        found = super().problems(op)
        if op.input(0).dtype is DType.INT16 and op.input(1).dtype is DType.INT4:
            # The reference reads two of them as one int8.
            found.append("int4 weights beside int16 activations have no reference; use int8 ones")
        return found

    def hybrid_problems(self, w: Weighted) -> list[str]:
        if w.weights.q.scales.size == w.channels:
            return []
        return ["weights with one scale for all have no reference here; give each channel its own"]

    def macs(self, op: Op) -> int:
        _, height, width, _ = op.input(1).shape
        return op.outputs[0].elements * height * width

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        if weights.shape[0] == 1 and weights.shape[3] % x.shape[3] == 0:
            return []
        return [f"weights {list(weights.shape)} do not fit {x.shape[3]} channels: [1, KH, KW, C*M]"]

    def grouping(self, x: Tensor, weights: Tensor) -> dict[str, int]:
        return {"depth_multiplier": weights.shape[3] // x.shape[3]}
