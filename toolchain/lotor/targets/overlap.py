"""How far a kernel's output may lie over its input, from the order in which it reads and writes.

"Diagonal memory optimisation" (Blacker, Bridges and Hadfield, "Diagonal Memory Optimisation for
Machine Learning on Micro-controllers", 2020): a kernel that walks forward has used up the front of
its input when it writes the front of its output, so that the output may begin before the input and
run into what is no longer needed. How many bytes the input must begin behind the output at least is
the clearance: the most by which any element's end lies before what is still to be read then.

A kernel that can also walk backward has a second clearance: how many bytes its output must end
behind the input's end, at least. All functions here are about the portable kernels, and hold for
every element type.

What is moved with `memcpy` must not lie over itself, so that it is still to be read when it is
written. A single element may: it lies in its own place or in another, never partly in both.

A kernel that is missing here begins by writing its whole output, reads where its inputs say, needs
scratch memory, or goes through its input more than once: convolutions of four-bit weights do so for
each output channel.
"""

from collections.abc import Callable, Mapping, Sequence

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
        Clearance(_apart(forward, tensor), _apart(backward, tensor))
        if _mixable(tensor, call.outputs[0])
        else NO_CLEARANCE
        for tensor, forward, backward in pairs
    ]


def _apart(clearance: int | None, tensor: Tensor) -> int | None:
    """Return a clearance no lower than that of an output beyond the input: it may read nothing."""
    return None if clearance is None else max(clearance, -tensor.nbytes)


def _mixable(a: Tensor, b: Tensor) -> bool:
    """Return whether a C compiler sees that two tensors may share memory."""
    return a.data is None and (a.dtype is b.dtype or a.dtype in _BYTES or b.dtype in _BYTES)


def _elementwise(call: KernelCall) -> list[int | None]:
    """One input element for each output element, in their order."""
    x, y = _items(call)
    return [max((y - x) * (call.outputs[0].elements - 1), y - x)]


def _items(call: KernelCall) -> tuple[int, int]:
    """Return the bytes of an element of the first input and of the output."""
    return call.inputs[0].np_dtype.itemsize, call.outputs[0].np_dtype.itemsize


def _integers(call: KernelCall) -> dict[str, int]:
    """Return the parameters that are integers: sizes and steps among them."""
    return {name: n for name, n in call.params.items() if not isinstance(n, float)}


def _walk(ends: Places, reads: Places, item: int) -> int:
    """Return the clearance of outputs that are written one after the other.

    Args:
        ends: where each of them ends, in bytes.
        reads: the first byte that is read for each of them, before it is written.
        item: bytes of an input element.
    """
    if len(ends) == 1:
        return int(ends[0] - reads[0] - item)
    return int((ends[:-1] - _still_read(reads)[1:]).max())


def _one_by_one(call: KernelCall, reads: Places, place: int = 0) -> int:
    """Return the clearance of an input to elements that are written in their order.

    Args:
        call: its output matters.
        reads: for each of its elements, the first of the input that is read.
        place: of the input.
    """
    x, y = call.inputs[place].np_dtype.itemsize, call.outputs[0].np_dtype.itemsize
    return _walk(np.arange(1, reads.size + 1) * y, reads.reshape(-1) * x, x)


def _still_read(reads: Places) -> Places:
    """Return for each place the lowest from there on."""
    return np.minimum.accumulate(reads[::-1])[::-1]


def _moves(call: KernelCall, written: Places, read: Places, run: int) -> int:
    """Return the clearance of runs of bytes that are moved one after the other.

    Args:
        call: moves from its first input to its output.
        written: where each run begins in the output, in bytes.
        read: where it begins in the input.
        run: its bytes.
    """
    item, _ = _items(call)
    if run == item:
        return _walk(written + run, read, item)
    return int((written + run - _still_read(read)).max())


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
    return _walk(ends, reads, in_item)


def _copy(call: KernelCall) -> list[int | None]:
    """Runs in the order of six nested loops."""
    written, read = _copied(call, 6)
    return [_moves(call, written, read, int(call.params["run"]))]


def _copy_table(call: KernelCall) -> list[int | None]:
    """Bytes in the order of three."""
    return [_rows_clearance(*_copied(call, 2), int(call.params["run"]), 1, 1, 1)]


def _copied(call: KernelCall, loops: int) -> tuple[Places, Places]:
    """Return where each run of a copy is written and where it is read, in bytes."""
    p = _integers(call)
    written: Places = np.array([p["out_start"]])
    read: Places = np.array([p["in_start"]])
    for k in range(loops):
        turns = np.arange(p[f"size_{k}"])
        written = (written[:, None] + turns * p[f"out_{k}"]).reshape(-1)
        read = (read[:, None] + turns * p[f"in_{k}"]).reshape(-1)
    return written, read


def _gather(call: KernelCall) -> list[int | None]:
    """Slices; where indices come at run time, each may be the first of its axis."""
    p, indices = _integers(call), call.inputs[1]
    shape = (p["batch"], p["outer"], p["count"])
    chosen = np.zeros((p["batch"], 1, p["count"]), np.int64)
    if indices.data is not None:
        chosen += indices.data.reshape(chosen.shape)
    blocks = np.arange(p["batch"] * p["outer"]).reshape(p["batch"], -1, 1)
    read = (blocks * p["axis"] + chosen).reshape(-1) * p["run"]
    written = np.arange(len(read)) * p["run"]
    looked_up = np.arange(chosen.size).reshape(chosen.shape) * p["index_bytes"]
    return [
        _moves(call, written, read, p["run"]),
        _walk(written + p["run"], np.broadcast_to(looked_up, shape).reshape(-1), p["index_bytes"]),
    ]


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
    p = _integers(call)
    return [_image(call, _first_inputs(p, "h"), _first_inputs(p, "w"), channels)]


def _image(call: KernelCall, tops: Places, lefts: Places, channels: Sequence[int]) -> int:
    """Return the clearance of images, pixel by pixel.

    Args:
        call: has the sizes and steps of input and output.
        tops: for each row of the output, the first one of the input that it reads; or `_NOTHING`.
        lefts: the same of columns.
        channels: for each output channel, the first input channel that it reads.
    """
    p = _integers(call)
    return _pixels(call, _image_reads(p, tops, lefts), p["out_step"], channels)


def _image_reads(p: Mapping[str, int], tops: Places, lefts: Places) -> Places:
    """Return for each output pixel the first element of the input that it reads; or `_NOTHING`."""
    images = np.arange(p["batches"]) * p["in_h"]
    rows = np.where(tops < _NOTHING, images[:, None] + tops, _NOTHING).reshape(-1)
    reads = rows[:, None] * p["in_w"] + lefts
    empty = (rows[:, None] >= _NOTHING) | (lefts >= _NOTHING)
    return np.where(empty, _NOTHING, reads * p["in_step"]).reshape(-1)


def image_reads(call: KernelCall) -> Places:
    """Return for each pixel of a sliding window's output the first element that it reads."""
    p = _integers(call)
    return _image_reads(p, _first_inputs(p, "h"), _first_inputs(p, "w"))


def block_clearance(ends: Places, reads: Places, x: Tensor) -> int:
    """Return the forward clearance of blocks, each of which is read before it is written.

    Args:
        ends: where each block ends in the output, in bytes.
        reads: the first byte of the input that it needs.
        x: the input.
    """
    later = _still_read(np.append(reads[1:], _NOTHING))
    return max(int((ends - later).max()), -x.nbytes)


def _pixels(call: KernelCall, reads: Places, out_step: int, channels: Sequence[int]) -> int:
    """Return the clearance of pixels or rows one after the other, in each channel by channel.

    Args:
        call: its first input and its output matter.
        reads: for each pixel, the first element of the input that its window holds; or `_NOTHING`.
        out_step: elements from one pixel of the output to the next.
        channels: for each output channel, how far from there the first element lies that it reads.
    """
    x, y = _items(call)
    first = np.array(channels, np.int64)
    # Of one channel and the next of the same pixel, then of the last one and the next pixel.
    written = np.arange(1, len(first)) * y
    within = int((written - _still_read(first)[1:] * x).max(initial=-_NOTHING))
    starts = np.arange(len(reads)) * out_step * y
    reads = np.where(reads < _NOTHING, reads * x, _NOTHING)
    found = [int((starts - reads).max()) + within] if within > -_NOTHING else []
    if len(starts) > 1:
        ends = starts[:-1] + len(first) * y
        found.append(int((ends - (_still_read(reads)[1:] + int(first.min()) * x)).max()))
    if not found:  # a single number: it is read before it is written
        return int(y - x - reads[0]) if reads[0] < _NOTHING else 0
    return max(found)


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
    p = _integers(call)
    bottoms, rights = _last_inputs(p, "h"), _last_inputs(p, "w")
    images = np.arange(p["batches"]) * p["in_h"]
    rows = np.where(bottoms >= 0, images[:, None] + bottoms, -_NOTHING).reshape(-1)
    empty = (rows[:, None] < 0) | (rights < 0)
    reads = np.where(empty, -_NOTHING, (rows[:, None] * p["in_w"] + rights) * p["in_step"])
    reads = reads.reshape(-1)
    x, y = _items(call)
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


def _transpose_conv(call: KernelCall) -> list[int | None]:
    """Each output collects the inputs whose filters reach it."""
    p = _integers(call)
    return [_image(call, _reaching(p, "h"), _reaching(p, "w"), [0] * p["out_c"])]


def _reaching(p: dict[str, int], axis: str) -> Places:
    """Return for each output of an axis the first input whose filter reaches it; or `_NOTHING`."""
    ends, stride = np.arange(p[f"out_{axis}"]) + p[f"pad_{axis}"], p[f"stride_{axis}"]
    first = np.maximum(0, (ends - p[f"kernel_{axis}"]) // stride + 1)
    reaches = (first < p[f"in_{axis}"]) & (first * stride <= ends)
    return np.where(reaches, first, _NOTHING)


def _resize_bilinear(call: KernelCall) -> list[int | None]:
    """As a window of two by two around each place."""
    rows, columns = (
        call.constants[name].astype(np.int64).reshape(-1, 2).min(axis=1)
        for name in ("rows", "columns")
    )
    return [_image(call, rows, columns, range(int(call.params["channels"])))]


def _resize_nearest_neighbor(call: KernelCall) -> list[int | None]:
    """Pixels, moved one by one."""
    p = _integers(call)
    rows, columns = (call.constants[name].astype(np.int64) for name in ("rows", "columns"))
    images = np.arange(p["batches"])[:, None] * p["in_h"]
    read = ((images + rows).reshape(-1, 1) * p["in_w"] + columns).reshape(-1) * p["in_step"]
    written = np.arange(len(read)) * p["out_step"]
    return [_moves(call, written, read, p["pixel"])]


def _fully_connected(call: KernelCall) -> list[int | None]:
    """Row by row; the input's row is read for each output, and so are all weights for each row."""
    p = _integers(call)
    rows = np.arange(p["batches"]) * p["inputs"]
    found: list[int | None] = [_pixels(call, rows, p["outputs"], [0] * p["outputs"])]
    for place in range(1, len(call.inputs)):
        weights = np.tile(np.arange(p["outputs"]) * p["inputs"], p["batches"])
        found.append(_one_by_one(call, weights, place))
    return found


def _batch_matmul(call: KernelCall) -> list[int | None]:
    """Row by row of each product: a row of the first matrix, all of the second."""
    p = _integers(call)
    batches = (p["batches_0"], p["batches_1"], p["batches_2"], p["rows"], p["columns"])
    found: list[int | None] = []
    for place, name in enumerate("ab"):
        steps = [p[f"{name}_step_{axis}"] for axis in range(3)]
        steps += [p["a_row"], 0] if name == "a" else [0, p["b_column"]]
        at = np.indices(batches, sparse=True)
        reads = sum(i * step for i, step in zip(at, steps, strict=True))
        found.append(_one_by_one(call, np.broadcast_to(reads, batches), place))
    return found


def _reduction(call: KernelCall) -> list[int | None]:
    """One output after the other; `kernels/common/reduction.h` says where its inputs begin."""
    at = {name.removeprefix("at."): value for name, value in _integers(call).items()}
    rest, reads = np.arange(at["outputs"]), np.zeros(at["outputs"], np.int64)
    for k in (3, 2, 1):
        reads += rest % at[f"kept_{k}"] * at[f"kept_step_{k}"]
        rest = rest // at[f"kept_{k}"]
    return [_one_by_one(call, reads + rest * at["kept_step_0"])]


def _arg_max(call: KernelCall) -> list[int | None]:
    """One index after the other."""
    p = _integers(call)
    lines = np.arange(p["outer"])[:, None] * p["size"] * p["inner"]
    return [_one_by_one(call, lines + np.arange(p["inner"]))]


def _cumsum(call: KernelCall) -> list[int | None]:
    """Line by line, each from its beginning or from its end."""
    p = _integers(call)
    along = np.arange(p["size"])[:: -1 if p["reverse"] else 1] * p["inner"]
    lines = np.arange(p["outer"])[:, None] * p["size"] * p["inner"] + np.arange(p["inner"])
    at = (lines[:, :, None] + along).reshape(-1)
    x, y = _items(call)
    return [_walk((at + 1) * y, at * x, x)]


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
_DENSE_INT4 = ("fully_connected_int4", "fully_connected_double_int4", "fully_connected_int16_int4")
_ORDERS: dict[str, Callable[[KernelCall], list[int | None]]] = {
    "table": _table,
    "copy": _copy,
    "copy_table": _copy_table,
    "gather": _gather,
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys(_DEPTHWISE, _depthwise),
    **dict.fromkeys(_DENSE_INT4, _fully_connected),
    **dict.fromkeys(("table_int16", "logical_not"), _elementwise),
}
_KERNELS: dict[str, Callable[[KernelCall], list[int | None]]] = {
    "transpose_conv": _transpose_conv,
    "resize_bilinear": _resize_bilinear,
    "resize_nearest_neighbor": _resize_nearest_neighbor,
    "fully_connected": _fully_connected,
    "batch_matmul": _batch_matmul,
    "arg_max": _arg_max,
    "cumsum": _cumsum,
    **dict.fromkeys(("mean", "reduce"), _reduction),
    **dict.fromkeys(("average_pool_2d", "max_pool_2d", "l2_pool_2d"), _pool),
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "hard_swish", "elementwise"), _elementwise),
    **dict.fromkeys(("quantize", "dequantize", "cast"), _elementwise),
    # They read a row as often as they like, then element by element, and write each in its turn.
    **dict.fromkeys(("softmax", "log_softmax", "l2_normalization"), _elementwise),
    **dict.fromkeys(
        (
            *("add", "sub", "mul", "div", "maximum", "minimum", "squared_difference"),
            *("floor_div", "floor_mod", "pow", "comparison", "select", "logical"),
        ),
        _broadcast,
    ),
}
