"""Sliding windows: the geometry that convolution and pooling share."""

from dataclasses import dataclass, replace

from lotor.graph import Op, Tensor
from lotor.ops.operator import Stripe

SAME = 0
_MAX_EXTENT = 1 << 28  # window positions in the generated C are int32


@dataclass(frozen=True)
class Axis:
    """A window along one axis, sizes in elements.

    Attributes:
        kernel: taps.
        stride: step between outputs.
        dilation: step between taps.
        same: SAME padding (output = input / stride, rounded up), else VALID.
        explicit: inputs of padding (before, after) where a rewrite has decided them; then `same`
            has no meaning.
    """

    kernel: int
    stride: int
    dilation: int
    same: bool
    explicit: tuple[int, int] | None = None

    @property
    def extent(self) -> int:
        """Inputs that the window spans."""
        return (self.kernel - 1) * self.dilation + 1

    def output(self, size: int) -> int:
        """Return how many outputs an input of this size gives."""
        if self.explicit is not None:
            size += sum(self.explicit)
        span = size if self.same and self.explicit is None else size - self.extent + 1
        return -(-span // self.stride)

    def padding(self, size: int) -> int:
        """Return the padding before the first input; SAME puts the odd one after the last."""
        if self.explicit is not None:
            return self.explicit[0]
        if not self.same:
            return 0
        total = (self.output(size) - 1) * self.stride + self.extent - size
        return max(total, 0) // 2

    def rows(self, size: int, first: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return what the outputs from `first` to `end` need of an input of this size.

        That is the inputs (first, end), and the padding (before, after) that is left around them.
        """
        start = first * self.stride - self.padding(size)
        stop = (end - 1) * self.stride + self.extent - self.padding(size)
        low, high = max(start, 0), min(stop, size)
        return (low, high), (low - start, stop - high)

    def pads(self, size: int) -> bool:
        """Return whether a window reaches beyond the input."""
        start = self.padding(size)
        return start > 0 or (self.output(size) - 1) * self.stride + self.extent > size


def window_problems(x: Tensor, y: Tensor, height: Axis, width: Axis) -> list[str]:
    """Return a line if a 4-D input [N,H,W,C] and output do not fit the window."""
    if len(x.shape) != 4 or len(y.shape) != 4:
        return [f"input {list(x.shape)} and output {list(y.shape)} must be [N, H, W, C]"]
    if min(height.kernel, height.stride, height.dilation) < 1:
        return ["window height, stride and dilation must be at least 1"]
    if min(width.kernel, width.stride, width.dilation) < 1:
        return ["window width, stride and dilation must be at least 1"]
    if max(height.extent, width.extent) > _MAX_EXTENT:
        return [f"window spans {height.extent} x {width.extent}; at most 2^28 supported"]
    want = (x.shape[0], height.output(x.shape[1]), width.output(x.shape[2]))
    if want != y.shape[:3]:
        return [f"output shape {list(y.shape)} does not follow from the input: {list(want)} + [C]"]
    return []


def window_stripe(op: Op, window: tuple[Axis, Axis], first: int, end: int) -> Stripe | None:
    """Return what rows of a layer need whose attributes have `pads` for its window."""
    height, width = window
    x = op.input(0)
    rows, above = height.rows(x.shape[1], first, end)
    if rows[0] >= rows[1]:
        return None  # windows over nothing but padding
    beside = width.rows(x.shape[2], 0, op.outputs[0].shape[2])[1]
    others = [None] * (len(op.inputs) - 1)
    return Stripe((rows, *others), replace(op.attrs, pads=(above, beside)))


def window_params(x: Tensor, y: Tensor, height: Axis, width: Axis) -> dict[str, int]:
    """Return the fields of the kernels' parameter structures that describe the window."""
    return {
        "batches": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": x.shape[3],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": y.shape[3],
        "kernel_h": height.kernel,
        "kernel_w": width.kernel,
        "stride_h": height.stride,
        "stride_w": width.stride,
        "pad_h": height.padding(x.shape[1]),
        "pad_w": width.padding(x.shape[2]),
    }
