"""How far a kernel's output may lie over its input, from the order in which it reads and writes.

"Diagonal memory optimisation" (Blacker, Bridges and Hadfield, "Diagonal Memory Optimisation for
Machine Learning on Micro-controllers", 2020): a kernel that walks forward has used up the front of
its input when it writes the front of its output, so that the output may begin before the input and
run into what is no longer needed. How many bytes the input must begin behind the output at least is
the clearance: the most by which any element's end lies before what is still to be read then.

A kernel that can also walk backward has a second clearance: how many bytes its output must end
behind the input's end, at least. All functions here are about the portable kernels, and hold for
every element type.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lotor.graph import DType, Tensor
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall

Places = npt.NDArray[np.int64]
_NOTHING = np.int64(1) << 40  # the place of what is never read
_MOST = 1 << 22  # elements of an output; to walk through more takes long, and no device has them
_BYTES = (DType.INT8, DType.UINT8, DType.BOOL)  # which C lets lie over any other type


def portable_clearances(call: KernelCall) -> list[Clearance]:
    """Return the clearances of each input of a call to its first output."""
    order = _ORDERS.get(call.function) or _KERNELS.get(call.kernel)
    if order is None or len(call.outputs) != 1 or call.outputs[0].elements > _MOST:
        return [NO_CLEARANCE] * len(call.inputs)
    pairs = zip(call.inputs, order(call), _backward(call), strict=True)
    return [
        Clearance(forward, backward) if _mixable(tensor, call.outputs[0]) else NO_CLEARANCE
        for tensor, forward, backward in pairs
    ]


def _mixable(a: Tensor, b: Tensor) -> bool:
    """Return whether a C compiler sees that two tensors may share memory."""
    return a.data is None and (a.dtype is b.dtype or a.dtype in _BYTES or b.dtype in _BYTES)


def _elementwise(call: KernelCall) -> list[int | None]:
    """One input element for each output element, in their order."""
    x, y = call.inputs[0].np_dtype.itemsize, call.outputs[0].np_dtype.itemsize
    elements = int(call.params["elements"])
    return [max((y - x) * (elements - 1), y - x)]


def _table(call: KernelCall) -> list[int | None]:
    """The same in rows that may have gaps."""
    p = call.params
    rows = np.arange(int(p["rows"]))
    row = int(p["row"])
    starts = rows * int(p["out_step"]), rows * int(p["in_step"])
    return [_rows_clearance(*starts, row, 1, 1, 1)]


def _rows_clearance(
    out: Places, read: Places, row: int, step: int, out_item: int, in_item: int
) -> int:
    """Return the clearance of rows of elements, each read just before it is written.

    Args:
        out: where each row begins in the output, in elements.
        read: where it begins in the input.
        row: elements of a row.
        step: from one input element of a row to the next; 0 where one serves them all.
        out_item: bytes of an output element.
        in_item: bytes of an input element.
    """
    columns = np.arange(row)
    ends = ((out[:, None] + columns + 1) * out_item).reshape(-1)
    reads = ((read[:, None] + columns * step) * in_item).reshape(-1)
    later = np.minimum.accumulate(reads[::-1])[::-1]
    if len(ends) == 1:
        return int(ends[0] - reads[0] - in_item)
    return int((ends[:-1] - later[1:]).max())


def _broadcast(call: KernelCall) -> list[int | None]:
    """Rows as `kernels/common/broadcast.h` walks through them."""
    p, loops = call.params, call.constants["loops"].astype(np.int64)
    names = ("condition_step", "a_step", "b_step")[-len(call.inputs) :]
    starts = _starts(loops, len(call.inputs) + 1)
    y = call.outputs[0].np_dtype.itemsize
    return [
        _rows_clearance(
            starts[:, -1], starts[:, i], int(p["row"]), int(p[name]), y, x.np_dtype.itemsize
        )
        for i, (name, x) in enumerate(zip(names, call.inputs, strict=True))
    ]


def _starts(loops: Places, tensors: int) -> Places:
    """Return where each row begins in every tensor: [rows, tensors]."""
    starts = np.zeros((1, tensors), np.int64)
    for turns, *adds in loops[1:].reshape(-1, tensors + 1)[: int(loops[0])]:
        # A turn goes on from where the loops inside have ended.
        ahead = starts[-1] + np.array(adds) - starts[0]
        steps = np.arange(turns)[:, None, None] * ahead
        starts = (steps + starts).reshape(-1, tensors)
    return starts


def _window(call: KernelCall, channels: Sequence[int]) -> list[int | None]:
    """Pixel by pixel, and in each the channels one after the other.

    Args:
        call: has the parameters of a sliding window.
        channels: for each output channel, the first input channel that it reads.
    """
    p = {name: int(value) for name, value in call.params.items()}
    tops = _first_inputs(p, "h")
    lefts = _first_inputs(p, "w")
    images = np.arange(p["batches"]) * p["in_h"]
    rows = np.where(tops < _NOTHING, images[:, None] + tops, _NOTHING).reshape(-1)
    reads = rows[:, None] * p["in_w"] + lefts
    empty = (rows[:, None] >= _NOTHING) | (lefts >= _NOTHING)
    reads = np.where(empty, _NOTHING, reads * p["in_step"]).reshape(-1)
    starts = np.arange(len(reads)) * p["out_step"]
    x, y = call.inputs[0].np_dtype.itemsize, call.outputs[0].np_dtype.itemsize
    first = np.array(channels, np.int64)
    # Of one channel and the next of the same pixel, then of the last one and the next pixel.
    written = np.arange(1, len(first)) * y
    later = np.minimum.accumulate(first[::-1])[::-1][1:] * x
    within = int((written - later).max(initial=-_NOTHING))
    starts, reads = starts * y, np.where(reads < _NOTHING, reads * x, _NOTHING)
    next_ = np.minimum.accumulate(reads[::-1])[::-1]
    found = [int((starts - reads).max()) + within] if within > -_NOTHING else []
    if len(starts) > 1:
        between = starts[:-1] + len(first) * y - (next_[1:] + int(first.min()) * x)
        found.append(int(between.max()))
    if not found:  # a single number: it is read before it is written
        return [int(y - x - reads[0]) if reads[0] < _NOTHING else 0]
    return [max(found)]


def _first_inputs(p: dict[str, int], axis: str) -> Places:
    """Return for each output of an axis the first input inside; `_NOTHING` if there is none."""
    starts, dilation = _window_starts(p, axis)
    taps = np.maximum(0, -(starts // dilation))  # those before the first input are passed over
    first = starts + taps * dilation
    inside = (taps < p[f"kernel_{axis}"]) & (first < p[f"in_{axis}"])
    return np.where(inside, first, _NOTHING)


def _last_inputs(p: dict[str, int], axis: str) -> Places:
    """Return for each output of an axis the last input inside; `-_NOTHING` if there is none."""
    starts, dilation = _window_starts(p, axis)
    room = p[f"in_{axis}"] - 1 - starts
    taps = np.minimum(p[f"kernel_{axis}"] - 1, room // dilation)
    last = starts + taps * dilation
    return np.where((taps >= 0) & (last >= 0), last, -_NOTHING)


def _window_starts(p: dict[str, int], axis: str) -> tuple[Places, int]:
    starts = np.arange(p[f"out_{axis}"]) * p[f"stride_{axis}"] - p[f"pad_{axis}"]
    return starts, p.get(f"dilation_{axis}", 1)


def _window_backward(call: KernelCall, channels: Sequence[int], group: int) -> int:
    """Return how many bytes the output must end behind the input's end in a walk backward.

    Pixel by pixel from the last one, and in each the channels forward.

    Args:
        call: has the parameters of a sliding window.
        channels: for each output channel, the first input channel that it reads.
        group: how many it reads.
    """
    p = {name: int(value) for name, value in call.params.items()}
    bottoms, rights = _last_inputs(p, "h"), _last_inputs(p, "w")
    images = np.arange(p["batches"]) * p["in_h"]
    rows = np.where(bottoms >= 0, images[:, None] + bottoms, -_NOTHING).reshape(-1)
    empty = (rows[:, None] < 0) | (rights < 0)
    reads = np.where(empty, -_NOTHING, (rows[:, None] * p["in_w"] + rights) * p["in_step"])
    reads = reads.reshape(-1)
    x, y = call.inputs[0].np_dtype.itemsize, call.outputs[0].np_dtype.itemsize
    starts = np.arange(len(reads)) * p["out_step"] * y
    reads = np.where(reads > -_NOTHING, reads * x, -_NOTHING)
    ends = (np.array(channels, np.int64) + group) * x
    # When a channel is written, the later ones of its pixel and all earlier pixels are to be read.
    later = np.maximum.accumulate(ends[::-1])[::-1][1:]
    found = []
    if len(later):
        found.append(int((reads - starts).max() + (later - np.arange(len(later)) * y).max()))
    if len(starts) > 1:
        found.append(int((np.maximum.accumulate(reads)[:-1] + ends.max() - starts[1:]).max()))
    if not found:
        found.append(0)
    return max(found) + call.outputs[0].nbytes - call.inputs[0].nbytes


def _convolution(call: KernelCall) -> list[int | None]:
    return _window(call, _groups(call))


def _groups(call: KernelCall) -> list[int]:
    """Return for each output channel of a convolution the first input channel that it reads."""
    p = {name: int(call.params[name]) for name in ("in_c", "out_c", "group_c")}
    filters = p["out_c"] // (p["in_c"] // p["group_c"])
    return [c // filters * p["group_c"] for c in range(p["out_c"])]


def _depthwise(call: KernelCall) -> list[int | None]:
    channels = range(int(call.params["out_c"]))
    return _window(call, [c // int(call.params["depth_multiplier"]) for c in channels])


def _pool(call: KernelCall) -> list[int | None]:
    return _window(call, range(int(call.params["in_c"])))


def _backward(call: KernelCall) -> list[int | None]:
    """Return how many bytes the output must end behind each input's end; None: it cannot."""
    none: list[int | None] = [None] * len(call.inputs)
    p = call.params
    if not (call.inputs[0].dense and call.outputs[0].dense):
        return none
    if call.function in _CONVOLUTIONS:
        return [_window_backward(call, _groups(call), int(p["group_c"])), *none[1:]]
    if call.function in _DEPTHWISE:
        channels = [c // int(p["depth_multiplier"]) for c in range(int(p["out_c"]))]
        return [_window_backward(call, channels, 1), *none[1:]]
    return none


_CONVOLUTIONS = ("conv_2d", "conv_2d_int16", "conv_2d_float")
_DEPTHWISE = ("depthwise_conv_2d", "depthwise_conv_2d_int16", "depthwise_conv_2d_float")
_ORDERS: dict[str, Callable[[KernelCall], list[int | None]]] = {
    "table": _table,
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys(_DEPTHWISE, _depthwise),
    **dict.fromkeys(("quantize", "quantize_int16", "requantize", "change_sign"), _elementwise),
    **dict.fromkeys(("table_int16", "dequantize", "dequantize_int16"), _elementwise),
}
_KERNELS: dict[str, Callable[[KernelCall], list[int | None]]] = {
    **dict.fromkeys(("average_pool_2d", "max_pool_2d", "l2_pool_2d"), _pool),
    **dict.fromkeys(("relu", "leaky_relu", "hard_swish", "elementwise"), _elementwise),
    **dict.fromkeys(
        (
            *("add", "sub", "mul", "div", "maximum", "minimum", "squared_difference"),
            *("floor_div", "floor_mod", "pow", "comparison", "select"),
        ),
        _broadcast,
    ),
}
