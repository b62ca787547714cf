"""What pooling shares."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lotor.graph import DType, Op
from lotor.ops.activation import float_activation_range
from lotor.ops.operator import KernelCall, Operator, Stripe, same_quantization_problems
from lotor.ops.quantization import activation_problems, activation_range
from lotor.ops.typed import suffix, typed_problems
from lotor.ops.window import SAME, Axis, window_params, window_problems, window_stripe


@dataclass(frozen=True)
class Pool2DAttributes:
    """Padding, window and strides (height, width), fused activation number.

    `pads` (before, after) of height and width replace `same` in a part of a layer.
    """

    same: bool
    window: tuple[int, int]
    stride: tuple[int, int]
    activation: int
    pads: tuple[tuple[int, int], tuple[int, int]] | None = None


class Pool2D(Operator):
    """Input and output [N,H,W,C] of one quantization; int8, uint8, int16, float32."""

    options = "Pool2DOptions"
    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.FLOAT32)
    clamps = True

    def read(self, options: Any) -> Pool2DAttributes:
        return Pool2DAttributes(
            options.Padding() == SAME,
            (options.FilterHeight(), options.FilterWidth()),
            (options.StrideH(), options.StrideW()),
            options.FusedActivationFunction(),
        )

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = typed_problems([x, y], *self.dtypes)
        if not found and x.dtype is not DType.FLOAT32:
            found = same_quantization_problems(x, y)
        found += window_problems(x, y, *_window(op))
        if not found and x.shape[3] != y.shape[3]:
            found.append(f"{x.shape[3]} input channels cannot give {y.shape[3]} output channels")
        return found + activation_problems(op.attrs.activation)

    def strided(self, op: Op) -> bool:
        return True

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params: dict[str, int | float] = {**window_params(x, y, *_window(op))}
        del params["out_c"]
        params |= {"in_step": x.step, "out_step": y.step}
        floats = y.dtype is DType.FLOAT32
        low, high = float_activation_range(op) if floats else activation_range(op)
        params |= {"out_min": low, "out_max": high, **self.arithmetic(op)}
        kernel = self.kind.lower()
        return [KernelCall(kernel, kernel + suffix(x.dtype), [x], [y], params)]

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return window_stripe(op, _window(op), first, end)

    def arithmetic(self, op: Op) -> dict[str, int]:
        """Return further fields of the parameter structure."""
        return {}


def window_elements(op: Op) -> int:
    """Return how many inputs one output sees at most."""
    height, width = _window(op)
    shape = op.input(0).shape
    return min(height.kernel, shape[1]) * min(width.kernel, shape[2])


def _window(op: Op) -> tuple[Axis, Axis]:
    a = op.attrs
    above, beside = a.pads or (None, None)
    height = Axis(a.window[0], a.stride[0], 1, a.same, above)
    return height, Axis(a.window[1], a.stride[1], 1, a.same, beside)
