"""Remove channels that are constant for every input, or that nothing needs.

A channel is an index of a tensor's last axis. First every channel of every activation counts as
unneeded; then each layer says which of its inputs' channels it needs for the channels of its output
that are needed, until nothing changes. A convolution or dense layer needs a channel unless its
weights are zero for all outputs needed, or the channel is constant (`ranges.py`): then its share of
every sum goes into the bias. Layers that work channel by channel need and have the same channels in
input and output. Any other layer needs all.
"""

import abc
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Quantization, Tensor
from lotor.ops import operators
from lotor.ops.binary import Binary
from lotor.ops.convolution import Convolution, constant
from lotor.optimize.edit import Uses, compiles, rewritten
from lotor.optimize.ranges import Ranges, channel_ranges, reads_padding

_INT32_MAX = (1 << 31) - 1
_LARGEST = 255  # magnitude of an int8 input less its zero point


def remove_constant_channels(graph: Graph) -> Graph:
    """Remove channels that are constant for every input, or that nothing needs.

    Tensors that lose channels have no counterpart in the model file any more. A tensor keeps at
    least one channel; inputs and outputs of the model keep all.
    """
    needs = _Needs(graph)
    needs.settle()
    while emptied := [t for t, kept in needs.kept.items() if kept.size and not kept.any()]:
        for tensor in emptied:
            needs.need(tensor, np.arange(tensor.row) == 0)
        needs.settle()
    if all(kept.all() for kept in needs.kept.values()):
        return graph
    smaller = {
        tensor: _without_channels(tensor, kept)
        for tensor, kept in needs.kept.items()
        if not kept.all()
    }
    ops = {
        op: (layer.rebuilt(needs),)
        for op, layer in needs.layers.items()
        if any(t in smaller for t in (*op.inputs, *op.outputs))
    }
    return rewritten(graph, ops, smaller)


def _without_channels(tensor: Tensor, kept: Array) -> Tensor:
    return replace(tensor, shape=(*tensor.shape[:-1], int(kept.sum())), source=None)


class _Needs:
    """Which channels are kept: `kept` has bool[channels] for every activation."""

    def __init__(self, graph: Graph) -> None:
        self.uses = Uses(graph)
        self.kept: dict[Tensor, Array] = {}
        self.layers: dict[Op, _Layer] = {}
        self._waiting: deque[Op] = deque()
        self._queued: set[Op] = set()
        ranges = channel_ranges(graph)
        for op in graph.ops:
            for tensor in (*op.inputs, *op.outputs):
                if tensor is not None and tensor.data is None:
                    self.kept[tensor] = np.zeros(tensor.row, bool)
            self.layers[op] = _layer(op, ranges, self.uses)
        self._queue(*graph.ops)
        for tensor in [*graph.inputs, *graph.outputs]:
            self.need_all(tensor)
        for tensor in self.kept:
            unread = not self.uses.readers(tensor)  # dead layers are another rewrite's affair
            if unread or tensor.variable or tensor.within is not None or not tensor.shape:
                self.need_all(tensor)

    def need(self, tensor: Tensor | None, channels: Array) -> None:
        """Keep channels (bool) of a tensor; constants and absent tensors are none."""
        if tensor is None or tensor not in self.kept:
            return
        kept = self.kept[tensor] | channels
        if np.array_equal(kept, self.kept[tensor]):
            return
        self.kept[tensor] = kept
        producer = self.uses.producer(tensor)
        self._queue(*self.uses.readers(tensor), *([] if producer is None else [producer]))

    def need_all(self, tensor: Tensor | None) -> None:
        """Keep every channel of a tensor."""
        self.need(tensor, np.array(True))

    def of(self, tensor: Tensor) -> Array:
        """Return the channels kept of a tensor; constants keep all."""
        return self.kept.get(tensor, np.ones(tensor.row, bool))

    def settle(self) -> None:
        """Let the layers say what they need until nothing changes."""
        while self._waiting:
            # Needs travel mostly from the outputs to the inputs.
            op = self._waiting.pop()
            self._queued.discard(op)
            self.layers[op].settle(self)

    def _queue(self, *ops: Op) -> None:
        for op in ops:
            if op not in self._queued:
                self._queued.add(op)
                self._waiting.append(op)


class _Layer(abc.ABC):
    """How a layer deals with channels."""

    def __init__(self, op: Op) -> None:
        self.op = op

    @abc.abstractmethod
    def settle(self, needs: _Needs) -> None:
        """Note what it needs, given what is needed of it."""

    def rebuilt(self, needs: _Needs) -> Op:
        """Return the layer for the channels kept; its activations are replaced elsewhere."""
        return self.op


class _Whole(_Layer):
    """A layer of which nothing is known: it needs and has all channels."""

    def settle(self, needs: _Needs) -> None:
        for tensor in (*self.op.inputs, *self.op.outputs):
            needs.need_all(tensor)


class _ByChannel(_Layer):
    """A layer that treats each channel alike and by itself: its tensors have the same channels."""

    def settle(self, needs: _Needs) -> None:
        tensors = [t for t in (self.op.inputs[0], *self.op.outputs) if t is not None]
        for tensor in tensors:
            for other in tensors:
                needs.need(tensor, needs.of(other))


class _Elementwise(_Layer):
    """The same of several inputs, constants too; a row of one element is for all channels."""

    def settle(self, needs: _Needs) -> None:
        row = self.op.outputs[0].row
        given = [t for t in (*self.op.inputs, *self.op.outputs) if t is not None]
        tensors = [t for t in given if t.row == row and t.data is None]
        needed = np.logical_or.reduce([needs.of(tensor) for tensor in tensors])
        for tensor in tensors:
            needs.need(tensor, needed)

    def rebuilt(self, needs: _Needs) -> Op:
        kept = needs.of(self.op.outputs[0])
        return replace(self.op, inputs=[_sliced(tensor, kept) for tensor in self.op.inputs])


class _Reshape(_Layer):
    """The same bytes with rows that are a whole number of times as long or as short."""

    def settle(self, needs: _Needs) -> None:
        short, long = sorted([self.op.input(0), self.op.outputs[0]], key=lambda t: t.row)
        times = long.row // short.row
        used = np.asarray(needs.of(long).reshape(times, short.row).any(axis=0))
        needs.need(short, used)
        needs.need(long, np.tile(needs.of(short), times))

    def rebuilt(self, needs: _Needs) -> Op:
        # Its new shape is the output's.
        return replace(self.op, kind="RESHAPE", inputs=self.op.inputs[:1], attrs=None)


class _Weighted(_Layer):
    """A convolution or dense layer that needs an input channel for some outputs.

    Its weights count as [outputs, taps, channels].
    """

    def __init__(self, op: Op, ranges: Ranges) -> None:
        super().__init__(op)
        found = ranges[op.input(0)]
        self.nonzero = np.asarray(self._weights().any(axis=1))
        self.offset: Array = found.low - op.input(0).q.zero_point  # of channels that are constant
        self.absorbed: Array = found.constant & self._allowed()

    def _weights(self) -> Array:
        """Return the weights less their zero point, so that 0 means no share in the sum."""
        weights = self.op.input(1)
        wide = constant(weights).astype(np.int16) - np.int16(weights.q.zero_point)
        return wide.reshape(weights.shape[0], -1, self.op.input(0).row)

    def _shares(self, channels: Array) -> Array:
        """Return int64[outputs]: what some constant channels (bool) add to each sum."""
        weights = self._weights()[:, :, channels].sum(axis=1, dtype=np.int64)
        shares: Array = weights @ self.offset[channels]
        return shares

    def _allowed(self) -> Array:
        """Return the channels (bool) whose share may go into the bias if they are constant."""
        op = self.op
        operator = operators()[op.kind]
        harmless: Array = self.offset == 0
        if isinstance(operator, Convolution) and reads_padding(op.input(0), *operator.window(op)):
            return harmless
        weights = np.abs(self._weights())
        largest = weights.sum(axis=(1, 2), dtype=np.int64) * _LARGEST
        bias = np.abs(_bias(op, len(weights)).astype(np.int64))
        fits = bool((bias + 2 * largest <= _INT32_MAX).all())
        return np.ones_like(harmless) if fits else harmless

    def settle(self, needs: _Needs) -> None:
        used = np.asarray(self.nonzero[needs.of(self.op.outputs[0])].any(axis=0))
        needs.need(self.op.input(0), used & ~self.absorbed)

    def rebuilt(self, needs: _Needs) -> Op:
        op, weights = self.op, self.op.input(1)
        outputs, inputs = needs.of(op.outputs[0]), needs.of(op.input(0))
        rows = constant(weights).reshape(weights.shape[0], -1, inputs.size)
        data = rows[outputs][:, :, inputs]
        if len(weights.shape) == 2:
            data = data.reshape(len(data), -1)
        else:
            data = data.reshape(len(data), *weights.shape[1:3], -1)
        # A channel that is not constant is dropped only where its weights are zero.
        return _with_constants(op, outputs, data, self._shares(~inputs))


class _Depthwise(_Layer):
    """A depthwise convolution: each input channel belongs to some neighbouring output channels."""

    def settle(self, needs: _Needs) -> None:
        x, y = self.op.input(0), self.op.outputs[0]
        multiple = y.row // x.row
        used = np.asarray(needs.of(y).reshape(-1, multiple).any(axis=1))
        needs.need(x, used)
        needs.need(y, np.repeat(needs.of(x), multiple))

    def rebuilt(self, needs: _Needs) -> Op:
        kept = needs.of(self.op.outputs[0])
        data = constant(self.op.input(1))[..., kept]
        return _with_constants(self.op, kept, data, np.zeros(kept.size, np.int64))


def _sliced(tensor: Tensor | None, kept: Array) -> Tensor | None:
    """Return a constant with the channels kept; anything else as it is."""
    if tensor is None or tensor.data is None or tensor.row != kept.size or not tensor.shape:
        return tensor
    data = np.ascontiguousarray(tensor.data[..., kept])
    return replace(tensor, shape=data.shape, data=data, source=None)


def _bias(op: Op, outputs: int) -> Array:
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    if bias is None:
        return np.zeros(outputs, np.int32)
    return constant(bias).reshape(outputs)


def _with_constants(op: Op, kept: Array, data: Array, shares: Array) -> Op:
    """Return a layer with other weights, and what is kept of a bias to which shares are added."""
    weights = op.input(1)
    inputs: list[Tensor | None] = [
        op.inputs[0],
        replace(
            weights,
            shape=data.shape,
            data=np.ascontiguousarray(data),
            quant=_of_channels(weights.quant, kept),
            source=None,
        ),
    ]
    old = op.inputs[2] if len(op.inputs) > 2 else None
    if old is not None or shares.any():
        values = (_bias(op, kept.size).astype(np.int64) + shares)[kept].astype(np.int32)
        quant = None if old is None else _of_channels(old.quant, kept)
        name = f"{weights.name} (bias)" if old is None else old.name
        inputs.append(Tensor(name, values.shape, DType.INT32, quant, values))
    return replace(op, inputs=inputs)


def _of_channels(quant: Quantization | None, kept: Array) -> Quantization | None:
    if quant is None or quant.scales.size != kept.size:
        return quant
    return replace(quant, scales=quant.scales[kept], zero_points=quant.zero_points[kept])


def _layer(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    """Return how a layer deals with channels."""
    rule = _RULES.get(op.kind)
    x, y = op.inputs[0] if op.inputs else None, op.outputs[0]
    if x is None or len(op.outputs) != 1 or not compiles(op):
        return _Whole(op)
    if rule is not None and x.data is None:
        return rule(op, ranges, uses)
    if isinstance(operators()[op.kind], Binary) or op.kind == "PRELU":
        return _elementwise(op, uses)
    if x.data is None and x.shape == y.shape and len(op.inputs) == 1:
        calls = operators()[op.kind].lower(op)
        if len(calls) == 1 and calls[0].function == "table":
            return _ByChannel(op)
    return _Whole(op)


def _weights_are_its_own(op: Op, uses: Uses) -> bool:
    """Whether weights are an int8 constant that no other layer reads: a changed copy would cost."""
    x, weights, y = op.input(0), op.input(1), op.outputs[0]
    alone = len(uses.readers(weights)) == 1 and weights.data is not None
    return alone and x.dtype is y.dtype is DType.INT8 and weights.quant is not None


def _convolution(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    grouped = op.input(1).shape[3] != op.input(0).row
    if grouped or op.input(0) not in ranges or not _weights_are_its_own(op, uses):
        return _Whole(op)
    return _Weighted(op, ranges)


def _depthwise(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    if not _weights_are_its_own(op, uses):
        return _Whole(op)
    return _Depthwise(op)


def _fully_connected(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    outputs, inputs = op.input(1).shape
    fits = inputs % op.input(0).row == 0 and op.outputs[0].row == outputs
    if not fits or op.input(0) not in ranges or not _weights_are_its_own(op, uses):
        return _Whole(op)
    return _Weighted(op, ranges)


def _elementwise(op: Op, uses: Uses) -> _Layer:
    row = op.outputs[0].row
    for tensor in op.inputs:
        if tensor is None or tensor.row not in (1, row):
            return _Whole(op)
        if tensor.data is not None and tensor.row == row and len(uses.readers(tensor)) > 1:
            return _Whole(op)  # a second copy could cost more than is saved
    return _Elementwise(op)


def _by_channel(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    return _ByChannel(op)


def _mean(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    rank = len(op.input(0).shape)
    kept = all(int(axis) % rank != rank - 1 for axis in constant(op.input(1)).flat)
    return _ByChannel(op) if kept and op.outputs[0].row == op.input(0).row else _Whole(op)


def _pad(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    return _ByChannel(op) if op.outputs[0].row == op.input(0).row else _Whole(op)


def _reshape(op: Op, ranges: Ranges, uses: Uses) -> _Layer:
    short, long = sorted([op.input(0).row, op.outputs[0].row])
    return _Whole(op) if long % short else _Reshape(op)


_RULES: dict[str, Callable[[Op, Ranges, Uses], _Layer]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _by_channel,
    "MAX_POOL_2D": _by_channel,
    "MEAN": _mean,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "QUANTIZE": _by_channel,
    "DEQUANTIZE": _by_channel,
}
