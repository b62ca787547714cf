"""What average and maximum pooling share."""

from dataclasses import dataclass
from typing import Any

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator, int8_problems, same_quantization_problems
from lotor.ops.quantization import activation_problems, activation_range
from lotor.ops.window import SAME, Axis, window_params, window_problems


@dataclass(frozen=True)
class Pool2DAttributes:
    """Padding, window and strides (height, width), fused activation number."""

    same: bool
    window: tuple[int, int]
    stride: tuple[int, int]
    activation: int


class Pool2D(Operator):
    """Input and output [N,H,W,C] of one quantization; int8."""

    options = "Pool2DOptions"

    def read(self, options: Any) -> Pool2DAttributes:
        return Pool2DAttributes(
            options.Padding() == SAME,
            (options.FilterHeight(), options.FilterWidth()),
            (options.StrideH(), options.StrideW()),
            options.FusedActivationFunction(),
        )

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = int8_problems(x, y) or same_quantization_problems(x, y)
        found += window_problems(x, y, *_window(op))
        if not found and x.shape[3] != y.shape[3]:
            found.append(f"{x.shape[3]} input channels cannot give {y.shape[3]} output channels")
        return found + activation_problems(op.attrs.activation)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        low, high = activation_range(op)
        params = window_params(x, y, *_window(op)) | {"out_min": low, "out_max": high}
        del params["out_c"]
        kernel = self.kind.lower()
        return [KernelCall(kernel, kernel, [x], [y], params)]


def _window(op: Op) -> tuple[Axis, Axis]:
    a = op.attrs
    height = Axis(a.window[0], a.stride[0], 1, a.same)
    return height, Axis(a.window[1], a.stride[1], 1, a.same)
