"""Which values the channels of int8 tensors can have, whatever the model's input.

A channel is an index of a tensor's last axis. Its range is found layer by layer: requantization and
clamps never turn the order of two sums around, so that the least and the largest sum give the least
and the largest output. Where a sum could leave int32, nothing is said of the output.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Tensor
from lotor.ops import KernelCall, operators
from lotor.ops.binary import Binary
from lotor.ops.convolution import Convolution, constant
from lotor.ops.fixed import requantize_each
from lotor.ops.mean import Mean
from lotor.ops.quantization import activation_range, channel_scales
from lotor.ops.reduction import count
from lotor.ops.weighted import Weighted
from lotor.ops.window import Axis
from lotor.optimize.edit import compiles

_INT32 = np.iinfo(np.int32)
_LONGEST_ROW = 1 << 16  # rows that are longer are no channels
_LIMIT = 1 << 16  # of rounded sums in FULLY_CONNECTED, beyond every int8


@dataclass(frozen=True)
class Range:
    """The least and the largest value of each channel, int64; they can be wider than needed."""

    low: Array
    high: Array

    @property
    def constant(self) -> Array:
        """Whether a channel has one value only, bool."""
        found: Array = self.low == self.high
        return found


Ranges = Mapping[Tensor, Range]


def channel_ranges(graph: Graph) -> dict[Tensor, Range]:
    """Return the range of every int8 tensor that is written or read by a layer."""
    ranges: dict[Tensor, Range] = {}
    for op in graph.ops:
        for read in op.inputs:
            if read is not None and read not in ranges:
                _note(ranges, read, None)
        found = _layer_range(op, ranges)
        for tensor in op.outputs:
            _note(ranges, tensor, found)
    return ranges


def _note(ranges: dict[Tensor, Range], tensor: Tensor, found: Range | None) -> None:
    if tensor.dtype is not DType.INT8 or tensor.elements == 0 or tensor.row > _LONGEST_ROW:
        return
    if tensor.data is not None:
        rows = tensor.data.reshape(-1, tensor.row).astype(np.int64)
        found = Range(rows.min(axis=0), rows.max(axis=0))
    if found is None or found.low.size != tensor.row:
        found = Range(np.full(tensor.row, -128), np.full(tensor.row, 127))
    ranges[tensor] = Range(found.low.clip(-128, 127), found.high.clip(-128, 127))


def _layer_range(op: Op, ranges: Ranges) -> Range | None:
    """Return the range of a layer's only output; None where nothing is known of it."""
    rule = _RULES.get(op.kind)
    if len(op.outputs) != 1 or op.outputs[0].dtype is not DType.INT8 or not op.inputs:
        return None
    x = op.inputs[0]
    known = all(t in ranges for t in op.inputs if t is not None and t.dtype is DType.INT8)
    if x is None or x not in ranges or not known or not compiles(op):
        return None
    if rule is not None:
        return rule(op, ranges)
    calls = operators()[op.kind].lower(op)
    if len(calls) == 1 and calls[0].function == "table":
        return _table(calls[0], ranges[x])
    return None


def reads_padding(x: Tensor, height: Axis, width: Axis) -> bool:
    """Return whether a window over [N,H,W,C] ever lies partly outside its input."""
    return height.pads(x.shape[1]) or width.pads(x.shape[2])


def _clamped(found: Range, op: Op) -> Range | None:
    low, high = activation_range(op)
    if low > high:  # the clamp then turns orders around
        return None
    return Range(found.low.clip(low, high), found.high.clip(low, high))


def sums(weights: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the least and the largest sum of products for each output.

    Args:
        weights: [outputs, taps, channels], integers.
        low: [channels], the least factor of a channel.
        high: [channels], the largest.

    Returns:
        float64[outputs] twice; whole numbers and exact, as sums of int8 products fit 53 bits.
    """
    wide = weights.astype(np.float64)
    above, below = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    return above @ low + below @ high, above @ high + below @ low


def _convolution(op: Op, ranges: Ranges) -> Range | None:
    operator = operators()[op.kind]
    assert isinstance(operator, Convolution)
    w = operator.weighted(op)
    if w.x.dtype is not DType.INT8:
        return None
    x = ranges[w.x]
    low, high = x.low + w.in_offset, x.high + w.in_offset
    if reads_padding(w.x, *operator.window(op)):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    weights = constant(w.weights).astype(np.int64) + w.weights_offset
    if op.kind == "DEPTHWISE_CONV_2D":
        multiple = w.channels // w.x.row
        taps = weights.reshape(-1, w.channels)
        above, below = np.maximum(taps, 0).sum(axis=0), np.minimum(taps, 0).sum(axis=0)
        low, high = np.repeat(low, multiple), np.repeat(high, multiple)
        least, most = above * low + below * high, above * high + below * low
    else:
        group = w.weights.shape[3]
        groups = w.x.row // group
        parts = [
            sums(part.reshape(len(part), -1, group), low[i : i + group], high[i : i + group])
            for i, part in zip(range(0, w.x.row, group), np.split(weights, groups), strict=True)
        ]
        least, most = (np.concatenate(side).astype(np.int64) for side in zip(*parts, strict=True))
    return _requantized(op, w, least, most)


def _requantized(op: Op, w: Weighted, least: Array, most: Array) -> Range | None:
    factors = w.requantization()
    multiplier, shift = (factors[name].astype(np.int64) for name in ("multiplier", "shift"))
    bias, zero_point = w.bias_values().astype(np.int64), w.y.q.zero_point
    least, most = least + bias, most + bias
    scale = np.int64(1) << np.maximum(shift, 0)
    fits = (least * scale >= _INT32.min) & (most * scale <= _INT32.max)
    low, high = (requantize_each(n, multiplier, shift) + zero_point for n in (least, most))
    found = _clamped(Range(low, high), op)
    if found is None:
        return None
    return Range(np.where(fits, found.low, -128), np.where(fits, found.high, 127))


def _fully_connected(op: Op, ranges: Ranges) -> Range | None:
    x, weights, y = op.input(0), op.input(1), op.outputs[0]
    outputs, inputs = weights.shape
    if weights.data is None or weights.quant is None or inputs % x.row or y.row != outputs:
        return None
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    added = 0 if bias is None else constant(bias).reshape(outputs).astype(np.int64)
    wide = weights.data.astype(np.int64) - weights.q.zero_point
    offset = -x.q.zero_point
    least, most = sums(
        wide.reshape(outputs, -1, x.row), ranges[x].low + offset, ranges[x].high + offset
    )
    least, most = least + added, most + added
    fits = (least >= _INT32.min) & (most <= _INT32.max)
    scales = channel_scales(x, weights, y, outputs)
    low, high = (_rounded(n * scales).astype(np.int64) + y.q.zero_point for n in (least, most))
    found = _clamped(Range(low, high), op)
    if found is None:
        return None
    return Range(np.where(fits, found.low, -128), np.where(fits, found.high, 127))


def _rounded(x: Array) -> Array:
    """Round float64 half away from zero, within limits that no int8 output reaches."""
    near = np.clip(x, -_LIMIT, _LIMIT)
    rounded: Array = np.copysign(np.floor(np.abs(near) + 0.5), near)
    return rounded


def _pool(op: Op, ranges: Ranges) -> Range | None:
    # Mean and maximum of numbers lie between the least and the largest of them.
    return _clamped(ranges[op.input(0)], op)


def _mean(op: Op, ranges: Ranges) -> Range | None:
    x, y = op.input(0), op.outputs[0]
    operator = operators()["MEAN"]
    assert isinstance(operator, Mean)
    if y.row != x.row or _reduces_channels(op):
        return None
    multiplier, shift = (np.array(n, np.int64) for n in operator.factor(op))
    low, high = (
        requantize_each((n - x.q.zero_point) * count(op), multiplier, shift) + y.q.zero_point
        for n in (ranges[x].low, ranges[x].high)
    )
    return _clamped(Range(low, high), op)


def _reduces_channels(op: Op) -> bool:
    rank = len(op.input(0).shape)
    return any(int(axis) % rank == rank - 1 for axis in constant(op.input(1)).flat)


def _pad(op: Op, ranges: Ranges) -> Range | None:
    x, y = op.input(0), op.outputs[0]
    if x.row != y.row:
        return None
    value = 0 if y.quant is None else y.q.zero_point
    return Range(np.minimum(ranges[x].low, value), np.maximum(ranges[x].high, value))


def _sum(op: Op, ranges: Ranges) -> Range | None:
    a, b, p = *_operands(op, ranges), _parameters(op)

    def value(x: Array, y: Array) -> Array:
        parts = [
            requantize_each((n + p[f"{name}_offset"]) << 20, p[f"{name}_multiplier"], -p[right])
            for n, name, right in ((x, "a", "a_right"), (y, "b", "b_right"))
        ]
        total = parts[0] - parts[1] if op.kind == "SUB" else parts[0] + parts[1]
        return requantize_each(total, p["out_multiplier"], -p["out_right"]) + p["out_offset"]

    if op.kind == "SUB":
        return _clamped(Range(value(a.low, b.high), value(a.high, b.low)), op)
    return _clamped(Range(value(a.low, b.low), value(a.high, b.high)), op)


def _product(op: Op, ranges: Ranges) -> Range | None:
    a, b, p = *_operands(op, ranges), _parameters(op)
    products = np.stack(
        [
            (x + p["a_offset"]) * (y + p["b_offset"])
            for x in (a.low, a.high)
            for y in (b.low, b.high)
        ]
    )
    # Factors are below 2^14, so that no product leaves int32 when it is shifted to the left.
    low, high = (
        requantize_each(n, p["multiplier"], p["shift"]) + p["out_offset"]
        for n in (products.min(axis=0), products.max(axis=0))
    )
    return _clamped(Range(low, high), op)


def _extreme(op: Op, ranges: Ranges) -> Range | None:
    a, b = _operands(op, ranges)
    larger = np.maximum if op.kind == "MAXIMUM" else np.minimum
    return Range(larger(a.low, b.low), larger(a.high, b.high))


def _operands(op: Op, ranges: Ranges) -> tuple[Range, Range]:
    """Return the ranges of two inputs; rows of one element are broadcast."""
    row = op.outputs[0].row
    a, b = (
        Range(*(np.broadcast_to(n, (row,)) for n in (ranges[x].low, ranges[x].high)))
        for x in (op.input(0), op.input(1))
    )
    return a, b


def _parameters(op: Op) -> dict[str, Array]:
    operator = operators()[op.kind]
    assert isinstance(operator, Binary)
    return {name: np.array(value, np.int64) for name, value in operator.params(op).items()}


def _reshape(op: Op, ranges: Ranges) -> Range | None:
    found, row = ranges[op.input(0)], op.outputs[0].row
    if row % found.low.size == 0:
        times = row // found.low.size
        return Range(np.tile(found.low, times), np.tile(found.high, times))
    if found.low.size % row == 0:
        low, high = found.low.reshape(-1, row), found.high.reshape(-1, row)
        return Range(low.min(axis=0), high.max(axis=0))
    return Range(np.full(row, found.low.min()), np.full(row, found.high.max()))


def _table(call: KernelCall, x: Range) -> Range:
    """Return the range of values that a table has for the values from low to high."""
    values = next(iter(call.constants.values())).astype(np.int64)
    pairs, where = np.unique(np.stack([x.low, x.high]) + 128, axis=1, return_inverse=True)
    parts = [values[low : high + 1] for low, high in pairs.T.tolist()]
    low, high = (np.array([f(part) for part in parts]) for f in (np.min, np.max))
    index = where.reshape(-1)
    return Range(low[index], high[index])


_RULES: dict[str, Callable[[Op, Ranges], Range | None]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "PAD": _pad,
    "ADD": _sum,
    "SUB": _sum,
    "MUL": _product,
    "MAXIMUM": _extreme,
    "MINIMUM": _extreme,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
}
