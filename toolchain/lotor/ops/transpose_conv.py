"""TRANSPOSE_CONV: a convolution's gradient, which makes images larger."""

from typing import Any

from lotor.graph import DType, Op, Tensor
from lotor.ops.convolution import Convolution, ConvolutionAttributes
from lotor.ops.operator import Stripe
from lotor.ops.weighted import Weighted
from lotor.ops.window import SAME, window_params, window_problems


class TransposeConv(Convolution):
    """Output shape int32[4], weights [O,KH,KW,C], input [N,H,W,C], bias [O] or none.

    The window slides over the output [N,H',W',O]. int8 with int32 sums; int16 with int64 sums
    (int32, which wrap, where the options name that bias type); float32, summed in the reference's
    order. An output shape that is no constant is not read: the program is made for the shape that
    the model file gives the output.
    """

    kind = "TRANSPOSE_CONV"
    inputs = 3
    options = "TransposeConvOptions"
    channel_axis = 0
    weight_types = (DType.INT8,)

    def read(self, options: Any) -> ConvolutionAttributes:
        return ConvolutionAttributes(
            options.Padding() == SAME,
            (options.StrideH(), options.StrideW()),
            (1, 1),
            options.FusedActivationFunction(),
            bias_type=options.QuantizedBiasType(),
        )

    def weighted(self, op: Op) -> Weighted:
        bias = op.inputs[3] if len(op.inputs) > 3 else None
        return Weighted(
            op.input(2),
            op.input(1),
            bias,
            op.outputs[0],
            self.channel_axis,
            op.uint8,
            op.attrs.bias_type,
        )

    def padded(self, op: Op) -> bool:
        return True  # how many inputs reach an output depends on its place

    def window_problems(self, op: Op) -> list[str]:
        w = self.weighted(op)
        found = window_problems(w.y, w.x, *self.window(op))
        if found:
            return [f"{line} (the window slides over the output)" for line in found]
        wanted = op.input(0).data
        if wanted is not None and tuple(wanted.reshape(-1).tolist()) != w.y.shape:
            found.append(f"output is {list(w.y.shape)}, but shape {wanted.tolist()} is asked for")
        return found

    def grouping_problems(self, x: Tensor, weights: Tensor) -> list[str]:
        if x.shape[3] == weights.shape[3]:
            return []
        return [f"filters of {weights.shape[3]} channels do not fit {x.shape[3]} input channels"]

    def macs(self, op: Op) -> int:
        w = self.weighted(op)
        return w.x.elements * w.weights.elements // w.weights.shape[3]

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return None

    def geometry(self, op: Op) -> dict[str, int]:
        w = self.weighted(op)
        found = window_params(w.y, w.x, *self.window(op))
        # The window's input is the layer's output.
        swapped = {"in": "out", "out": "in"}
        named = {
            "_".join(swapped.get(word, word) for word in name.split("_")): value
            for name, value in found.items()
        }
        return named | {"in_step": w.x.step, "out_step": w.y.step}
