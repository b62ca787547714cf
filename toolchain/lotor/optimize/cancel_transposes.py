"""Let TRANSPOSE layers meet and cancel.

A transposed tensor is not computed where the model says so: it is remembered as another one in some
order of axes. Orders compose, and the original order costs nothing. Layers that work in any order
of axes (elementwise ones, PAD, CONCATENATION, means and other reductions, new shapes that only add
or drop axes of size 1) are computed in the order of their input, and their output is remembered
likewise. Any other layer, and the model's outputs, need the tensor as the model has it: there it is
transposed.

Transposes that are connected in this way form a region. A region stays as the model has it unless
fewer bytes are transposed than before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Tensor
from lotor.ops import operators
from lotor.ops.binary import Binary
from lotor.ops.convolution import constant
from lotor.ops.unary import Unary
from lotor.optimize.edit import compiles, with_tensors

Order = tuple[int, ...]

_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL")
_OF_ROWS = ("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
_NEW_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_FREE, _NO_GROWTH, _FIXED = range(3)  # how much a TRANSPOSE may be moved
_ROUNDS = 8


def cancel_transposes(graph: Graph) -> Graph:
    """Let TRANSPOSE layers meet and cancel; those that only move axes of size 1 become RESHAPE.

    Inputs and outputs of the model keep their shape. Only what lowers the number of bytes that are
    transposed is changed.
    """
    transposes = [op for op in graph.ops if op.kind == "TRANSPOSE"]
    limits = dict.fromkeys(transposes, _FREE)
    for _ in range(_ROUNDS if transposes else 0):
        layout = _Layout(graph, limits)
        layout.run()
        in_vain = layout.in_vain()
        if not in_vain:
            return layout.result()
        for op in in_vain:
            limits[op] += 1
    return graph


def order_of(op: Op) -> Order:
    """Return the order of axes of a TRANSPOSE that compiles."""
    rank = len(op.input(0).shape)
    return tuple(int(axis) % rank for axis in constant(op.input(1)).flat)


def moves_nothing(shape: Sequence[int], order: Order) -> bool:
    """Return whether the bytes stay as they are when axes of a shape are put in another order."""
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


@dataclass(frozen=True)
class _Turned:
    """A tensor as another one with its axes in some order.

    Attributes:
        tensor: what is stored.
        order: axis i is axis `order[i]` of what is stored.
        region: a TRANSPOSE that stands for those connected with it.
    """

    tensor: Tensor
    order: Order
    region: Op

    @property
    def same(self) -> bool:
        """Whether it is the tensor itself."""
        return self.order == tuple(range(len(self.order)))


class _Layout:
    """One walk through the graph."""

    def __init__(self, graph: Graph, limits: dict[Op, int]) -> None:
        self.graph = graph
        self.limits = limits
        self.outputs = set(graph.outputs)
        self.turned: dict[Tensor, _Turned] = {}
        self.made: dict[Tensor, Tensor] = {}  # what is read instead of a turned tensor
        self.ops: list[Op] = []
        self.regions: dict[Op, Op] = {}
        self.before: dict[Op, int] = {}
        self.after: dict[Op, int] = {}

    def run(self) -> None:
        for op in self.graph.ops:
            if op.kind == "TRANSPOSE" and self.turn(op):
                continue
            if not self.push(op):
                reads = {t: self.needed(t) for t in op.inputs if t is not None}
                self.ops.append(with_tensors(op, reads))

    def result(self) -> Graph:
        """Return the graph with the layers that were made, the given one if these are its own."""
        return self.graph if self.ops == self.graph.ops else replace(self.graph, ops=self.ops)

    def in_vain(self) -> list[Op]:
        """Return the TRANSPOSE layers of regions that were changed and gained nothing."""
        found = []
        for op in self.before:
            region = self.region(op)
            members = [o for o in self.before if self.region(o) is region]
            gain = sum(self.before[o] for o in members) - self.after.get(region, 0)
            if gain <= 0:
                found.append(op)
        return found

    def turn(self, op: Op) -> bool:
        """Remember the output of a TRANSPOSE instead of computing it; whether that is possible."""
        x, y = op.input(0), op.outputs[0]
        if not compiles(op) or x.data is not None or x.variable or not _same_numbers(x, y):
            return False
        order = order_of(op)
        if x not in self.turned and moves_nothing(x.shape, order):
            self.ops.append(_reshape(op.name, self.needed(x), y))
            return True
        if self.limits[op] == _FIXED:
            return False
        self.before[op] = 0 if moves_nothing(x.shape, order) else y.nbytes
        if x in self.turned:
            source = self.turned[x]
            self.join(op, source.region)
            order = tuple(source.order[axis] for axis in order)
            self.remember(y, _Turned(source.tensor, order, op))
        else:
            self.remember(y, _Turned(x, order, op))
        return True

    def remember(self, tensor: Tensor, turned: _Turned) -> None:
        self.turned[tensor] = turned
        if tensor in self.outputs:
            self.compute(tensor)

    def needed(self, tensor: Tensor) -> Tensor:
        """Return the tensor to read for one that may be turned, and see that it is computed."""
        if tensor not in self.turned:
            return tensor
        if tensor not in self.made:
            turned = self.turned[tensor]
            if turned.same:
                return turned.tensor
            self.compute(tensor)
        return self.made[tensor]

    def compute(self, tensor: Tensor) -> None:
        """Transpose into a tensor."""
        turned = self.turned[tensor]
        self.made[tensor] = tensor
        if moves_nothing(turned.tensor.shape, turned.order):
            self.ops.append(_reshape(tensor.name, turned.tensor, tensor))
            return
        region = self.region(turned.region)
        self.after[region] = self.after.get(region, 0) + tensor.nbytes
        axes = _integers(f"{tensor.name} (axes)", np.array(turned.order))
        self.ops.append(Op("TRANSPOSE", tensor.name, [turned.tensor, axes], [tensor]))

    def push(self, op: Op) -> bool:
        """Compute a layer in the order of its input; whether that is possible."""
        orders = {self.turned[t].order for t in op.inputs if t in self.turned}
        rule = _rule(op)
        if len(orders) != 1 or rule is None or len(op.outputs) != 1 or not compiles(op):
            return False
        (order,) = orders
        sources = [self.turned[t] for t in op.inputs if t in self.turned]
        given = [t for t in op.inputs if t is not None and t.data is None]
        if any(t.elements > 1 and t not in self.turned for t in given):
            return False
        if all(turned.same for turned in sources):
            return False
        y = op.outputs[0]
        inputs = [None if t is None else self.stored(t) for t in op.inputs]
        pushed = rule(replace(op, inputs=inputs), order)
        if pushed is None:
            return False
        new, order = pushed
        if not compiles(new):
            return False
        grows = y.nbytes > sum(turned.tensor.nbytes for turned in sources)
        for turned in sources:
            if grows and self.limits[turned.region] == _NO_GROWTH:
                return False
        for turned in sources[1:]:
            self.join(turned.region, sources[0].region)
        self.ops.append(new)
        self.remember(y, _Turned(new.outputs[0], order, sources[0].region))
        return True

    def stored(self, tensor: Tensor) -> Tensor:
        """Return what is stored of a tensor that may be turned."""
        return self.turned[tensor].tensor if tensor in self.turned else tensor

    def region(self, op: Op) -> Op:
        """Return what stands for all transposes connected with one."""
        while op in self.regions:
            op = self.regions[op]
        return op

    def join(self, a: Op, b: Op) -> None:
        a, b = self.region(a), self.region(b)
        if a is not b:
            self.regions[a] = b
            self.after[b] = self.after.get(b, 0) + self.after.pop(a, 0)


# Gets a layer with the stored inputs and the old output; returns the one that writes a new tensor,
# and the order of axes in which that is the old output.
_Rule = Callable[[Op, Order], tuple[Op, Order] | None]


def _rule(op: Op) -> _Rule | None:
    operator = operators().get(op.kind)
    if isinstance(operator, Unary) or op.kind in ("QUANTIZE", "DEQUANTIZE", "CAST"):
        return _unary
    if isinstance(operator, Binary) or op.kind == "PRELU":
        return _binary
    if op.kind in _REDUCTIONS:
        return _reduction
    if op.kind in _OF_ROWS:
        return _rows
    if op.kind in _NEW_SHAPES:
        return _new_shape
    return {"PAD": _pad, "PADV2": _pad, "MIRROR_PAD": _pad, "CONCATENATION": _concatenation}.get(
        op.kind
    )


def _writing(op: Op, shape: Sequence[int]) -> Op:
    """Return a layer that writes a new tensor of another shape."""
    y = op.outputs[0]
    return replace(op, outputs=[Tensor(y.name, tuple(shape), y.dtype, y.quant)])


def _unary(op: Op, order: Order) -> tuple[Op, Order] | None:
    return _writing(op, op.input(0).shape), order


def _rows(op: Op, order: Order) -> tuple[Op, Order] | None:
    return _unary(op, order) if order[-1] == len(order) - 1 else None


def _binary(op: Op, order: Order) -> tuple[Op, Order] | None:
    inputs = [
        _turned_back(t, order) if t is not None and t.data is not None and t.elements > 1 else t
        for t in op.inputs
    ]
    shape = np.broadcast_shapes(*[t.shape for t in inputs if t is not None])
    return _writing(replace(op, inputs=inputs), shape), order


def _turned_back(tensor: Tensor, order: Order) -> Tensor:
    """Return a constant for the stored order of the tensor that it is combined with."""
    missing = len(order) - len(tensor.shape)
    data = constant(tensor).reshape((1,) * missing + tensor.shape)
    data = np.ascontiguousarray(data.transpose(np.argsort(order)))
    return replace(tensor, shape=data.shape, data=data, source=None)


def _pad(op: Op, order: Order) -> tuple[Op, Order] | None:
    x, y = op.input(0), op.outputs[0]
    paddings = constant(op.input(1))
    inverse = np.argsort(order)
    moved = replace(op.input(1), data=np.ascontiguousarray(paddings[inverse]), source=None)
    shape = [y.shape[axis] for axis in inverse]
    assert len(shape) == len(x.shape)
    return _writing(replace(op, inputs=[x, moved, *op.inputs[2:]]), shape), order


def _concatenation(op: Op, order: Order) -> tuple[Op, Order] | None:
    if any(t is None or t.data is not None for t in op.inputs):
        return None
    shape = [op.outputs[0].shape[axis] for axis in np.argsort(order)]
    attrs = replace(op.attrs, axis=order[op.attrs.axis % len(order)])
    return _writing(replace(op, attrs=attrs), shape), order


def _reduction(op: Op, order: Order) -> tuple[Op, Order] | None:
    x = op.input(0)
    if x.dtype is DType.FLOAT32:  # whose sums depend on the order
        return None
    rank = len(order)
    gone = sorted({order[int(axis) % rank] for axis in constant(op.input(1)).flat})
    new = replace(op, inputs=[x, _integers(op.input(1).name, np.array(gone))])
    if op.attrs.keep_dims:
        return _writing(new, [1 if i in gone else n for i, n in enumerate(x.shape)]), order
    kept = [i for i in range(rank) if i not in gone]
    places = {axis: place for place, axis in enumerate(kept)}
    rest = tuple(places[axis] for axis in order if axis in places)
    return _writing(new, [x.shape[axis] for axis in kept]), rest


def _new_shape(op: Op, order: Order) -> tuple[Op, Order] | None:
    """A new shape that has the same axes but for those of size 1."""
    x, y = op.input(0), op.outputs[0]
    axes = [axis for axis in order if x.shape[axis] != 1]
    places = [place for place, n in enumerate(y.shape) if n != 1]
    if [x.shape[axis] for axis in axes] != [y.shape[place] for place in places]:
        return None
    # The output's axes in the order in which they are stored; those of size 1 stay in place.
    stored = list(range(len(y.shape)))
    for place, (_, axis) in zip(places, sorted(zip(axes, places, strict=True)), strict=True):
        stored[place] = axis
    new = replace(op, kind="RESHAPE", inputs=[x], attrs=None)
    return _writing(new, [y.shape[place] for place in stored]), tuple(
        int(place) for place in np.argsort(stored)
    )


def _reshape(name: str, x: Tensor, y: Tensor) -> Op:
    return Op("RESHAPE", name, [x], [y])


def _integers(name: str, values: Array) -> Tensor:
    return Tensor(name, values.shape, DType.INT32, None, values.astype(np.int32))


def _same_numbers(x: Tensor, y: Tensor) -> bool:
    """Return whether equal integers stand for equal numbers in both."""
    if x.quant is None or y.quant is None:
        return x.quant is y.quant
    scales = np.array_equal(x.q.scales, y.q.scales)
    return scales and np.array_equal(x.q.zero_points, y.q.zero_points) and not x.q.per_channel
