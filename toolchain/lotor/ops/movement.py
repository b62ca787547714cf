"""What operators that only move data share."""

import abc

import numpy as np

from lotor.graph import Array, Op, Tensor
from lotor.ops.copy import Copy, View, calls_problems, movable_problems, stored_problems
from lotor.ops.operator import KernelCall, Operator


class Mover(Operator):
    """Inputs and outputs of one type, of any type: bytes are moved.

    As in the reference, quantization does not matter unless an operator says so.
    """

    def moved(self, op: Op) -> list[Tensor]:
        """Return the tensors whose elements are moved."""
        return [op.input(0), *op.outputs]

    def problems(self, op: Op) -> list[str]:
        return self.flaws(op) or stored_problems(self.moved(op))

    def flaws(self, op: Op) -> list[str]:
        """Return what stops a layer from being folded, too."""
        found = [f"input {i} is missing" for i, t in enumerate(op.inputs) if t is None]
        return found or movable_problems(self.moved(op)) or self.form_problems(op)

    @abc.abstractmethod
    def form_problems(self, op: Op) -> list[str]:
        """Return what is wrong with shapes, axes and indices."""


class Movement(Mover):
    """An operator that is nothing but copies."""

    @abc.abstractmethod
    def copies(self, op: Op) -> list[Copy]:
        """Return the copies that the layer is, in order; only after `form_problems`."""

    def flaws(self, op: Op) -> list[str]:
        return super().flaws(op) or calls_problems(self.copies(op))

    def strided(self, op: Op) -> bool:
        return True

    def evaluate(self, op: Op) -> list[Array] | None:
        if self.flaws(op):
            return None
        results = {y: np.zeros(y.shape, y.np_dtype) for y in op.outputs}
        for copy in self.copies(op):
            if copy.source.tensor.data is None:
                return None
            copy.apply(copy.source.tensor.data, results[copy.target.tensor])
        return [results[y] for y in op.outputs]

    def lower(self, op: Op) -> list[KernelCall]:
        copies = self.copies(op)
        x, y = copies[0].source.tensor, op.outputs[0]
        # A tensor that was given a place cannot be another one's bytes.
        if len(copies) == 1 and copies[0].whole and x.data is None and y.within is None:
            return [alias_call(x, y)]
        left = [copy for copy in copies if not copy.in_place]
        if not left:
            return [KernelCall("", "", self.moved(op)[: -len(op.outputs)], [], alias=True)]
        return [call for copy in left for call in copy.calls()]


class NewShape(Mover):
    """The same bytes under another shape: a copy, until `alias_shapes` makes it none."""

    def form_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.elements != y.elements:
            return [f"{list(x.shape)} cannot become {list(y.shape)}"]
        return self.shape_problems(op)

    @abc.abstractmethod
    def shape_problems(self, op: Op) -> list[str]:
        """Return a line if the attributes ask for another shape than the output's."""

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y = op.input(0), op.outputs[0]
        return None if x.data is None or self.flaws(op) else [x.data.reshape(y.shape)]

    def lower(self, op: Op) -> list[KernelCall]:
        source, target = (View(t, (t.elements,), (1,)) for t in (op.input(0), op.outputs[0]))
        return Copy(source, target).calls()


def alias_call(x: Tensor, y: Tensor) -> KernelCall:
    """Return the call that stands for one tensor being another's bytes."""
    return KernelCall("", "", [x], [y], alias=True)


def constant_calls(values: Array, y: Tensor) -> list[KernelCall]:
    """Return the calls that write constant values."""
    source = Tensor(y.name, y.shape, y.dtype, data=np.ascontiguousarray(values).reshape(y.shape))
    return Copy(View.of(source), View.of(y)).calls()


def wrong_shape(y: Tensor, want: tuple[int, ...]) -> list[str]:
    """Return a line if an output has another shape than follows from the layer."""
    if y.shape == want:
        return []
    return [f"output '{y.name}' is {list(y.shape)}; {list(want)} follows from the layer"]
