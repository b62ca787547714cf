"""What reductions share: which axes vanish, and how the kernels walk through the input."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall, Operator, same_quantization_problems
from lotor.ops.typed import suffix, typed_problems


@dataclass(frozen=True)
class ReductionAttributes:
    """Whether reduced axes stay with size 1."""

    keep_dims: bool


class Reduction(Operator):
    """Input of any rank > 0, axes a constant int32; negative and repeated ones are as in NumPy.

    Attributes:
        dtypes: the types that it takes.
        kernel: folder and name of its kernel functions, which end with the type.
    """

    inputs = 2
    options = "ReducerOptions"
    dtypes: ClassVar[tuple[DType, ...]]
    kernel: ClassVar[tuple[str, str]]

    def read(self, options: Any) -> ReductionAttributes:
        return ReductionAttributes(options.KeepDims())

    def problems(self, op: Op) -> list[str]:
        x, axes, y = op.input(0), op.input(1), op.outputs[0]
        found = typed_problems([x, y], *self.dtypes)
        if axes.data is None or axes.dtype is not DType.INT32:
            return [*found, f"axes '{axes.name}' must be an int32 constant"]
        reduced = _reduced(op)
        if reduced is None:
            rank = len(x.shape)
            return [*found, f"axes {axes.data.tolist()} are outside an input of {rank} dimensions"]
        want = _kept(op, reduced)
        if y.shape != want:
            found.append(f"output shape {list(y.shape)} does not follow from the axes: {want}")
        return found or self.limits(op)

    def limits(self, op: Op) -> list[str]:
        """Return what else stops a layer whose types, axes and shapes are in order."""
        x, y = op.input(0), op.outputs[0]
        return [] if x.quant is None or y.quant is None else same_quantization_problems(x, y)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        folder, name = self.kernel
        params = {**_geometry(op), **self.arithmetic(op)}
        return [KernelCall(folder, name + suffix(x.dtype), [x], [y], params)]

    def arithmetic(self, op: Op) -> dict[str, int | float]:
        """Return the fields of the parameter structure that are not geometry."""
        return {}

    def evaluate(self, op: Op) -> list[Array] | None:
        x, axes, y = op.input(0), op.input(1), op.outputs[0]
        if x.data is None or x.data.size == 0 or axes.data is None or x.dtype is not y.dtype:
            return None
        reduced = _reduced(op)
        if axes.dtype is not DType.INT32 or reduced is None or _kept(op, reduced) != y.shape:
            return None
        gone = [i for i, r in enumerate(reduced) if r]
        lines = np.moveaxis(x.data, gone, range(len(gone))).reshape(count(op), -1)
        found = self.fold(op, lines)
        return None if found is None else [found.astype(x.np_dtype).reshape(y.shape)]

    def fold(self, op: Op, lines: Array) -> Array | None:
        """Return what each column of a constant [inputs, outputs] becomes, exactly; or None."""
        return None


def count(op: Op) -> int:
    """Return how many inputs one output is made of."""
    return op.input(0).elements // op.outputs[0].elements


def whole(op: Op) -> bool:
    """Return whether every axis is reduced, which the reference does in a way of its own."""
    reduced = _reduced(op)
    return reduced is not None and all(reduced)


def running(lines: Array, initial: float) -> Array:
    """Return float32 sums of columns after `initial`, added one after the other."""
    first = np.full((1, lines.shape[1]), initial, np.float32)
    sums = np.add.accumulate(np.concatenate([first, lines]), axis=0, dtype=np.float32)
    return np.asarray(sums[-1])


def _reduced(op: Op) -> list[bool] | None:
    """Return whether each axis of the input is reduced; None if axes are outside of it."""
    rank, axes = len(op.input(0).shape), op.input(1).data
    if axes is None or any(not -rank <= axis < rank for axis in axes.reshape(-1).tolist()):
        return None
    gone = {axis % rank for axis in axes.reshape(-1).tolist()}
    return [axis in gone for axis in range(rank)]


def _kept(op: Op, reduced: list[bool]) -> tuple[int, ...]:
    """Return the output's shape."""
    sizes = zip(op.input(0).shape, reduced, strict=True)
    if op.attrs.keep_dims:
        return tuple(1 if gone else size for size, gone in sizes)
    return tuple(size for size, gone in sizes if not gone)


def _runs(shape: tuple[int, ...], reduced: list[bool]) -> list[tuple[bool, int]]:
    """Merge neighbouring axes: whether each group is reduced, and its size; in turn."""
    axes = [(gone, size) for size, gone in zip(shape, reduced, strict=True) if size != 1]
    groups = itertools.groupby(axes, lambda axis: axis[0])
    return [(gone, math.prod(size for _, size in group)) for gone, group in groups]


def _geometry(op: Op) -> dict[str, int]:
    """Return the fields of `struct lotor_reduction`.

    The format's 8 dimensions are at most four groups of kept axes and four of reduced ones.
    """
    reduced = _reduced(op)
    assert reduced is not None  # as `problems` has found
    kept: list[tuple[int, int]] = []
    gone: list[tuple[int, int]] = []
    step = 1
    for is_gone, size in reversed(_runs(op.input(0).shape, reduced)):
        (gone if is_gone else kept).insert(0, (size, step))
        step *= size
    kept, gone = ([(1, 0)] * (4 - len(axes)) + axes for axes in (kept, gone))
    fields = {"at.outputs": op.outputs[0].elements}
    fields |= {f"at.kept_{i}": kept[i][0] for i in (1, 2, 3)}
    fields |= {f"at.kept_step_{i}": kept[i][1] for i in range(4)}
    fields |= {f"at.size_{i}": gone[i][0] for i in range(4)}
    return fields | {f"at.step_{i}": gone[i][1] for i in range(4)}
