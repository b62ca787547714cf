"""GATHER: slices of an axis, chosen by indices."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.copy import Copy, View, axis_of
from lotor.ops.movement import Mover, wrong_shape
from lotor.ops.operator import KernelCall, dtype_problems


@dataclass(frozen=True)
class GatherAttributes:
    """Axis, number of leading axes that input and indices share."""

    axis: int
    batch_dims: int


def index_problems(indices: Tensor) -> list[str]:
    """Return a line if indices are no integers that the reference takes."""
    return dtype_problems([indices], DType.INT16, DType.INT32, DType.INT64)


class Gather(Mover):
    """Any input; indices int16, int32 or int64, constant or not.

    At an index outside the axis the reference stops with an error; a constant one is refused, one
    that comes at run time gives zeros.
    """

    kind = "GATHER"
    inputs = 2
    options = "GatherOptions"

    def read(self, options: Any) -> GatherAttributes:
        return GatherAttributes(options.Axis(), options.BatchDims())

    def _axes(self, op: Op) -> tuple[int, int] | None:
        """Return axis and batch dimensions, None if they do not fit."""
        shape, indices, a = op.input(0).shape, op.input(1).shape, op.attrs
        axis = axis_of(a.axis, len(shape))
        batch = a.batch_dims + len(indices) if a.batch_dims < 0 else a.batch_dims
        if axis is None or not 0 <= batch <= min(axis, len(indices)):
            return None
        return (axis, batch) if shape[:batch] == indices[:batch] else None

    def form_problems(self, op: Op) -> list[str]:
        x, indices = op.input(0), op.input(1)
        axes = self._axes(op)
        if axes is None:
            a = op.attrs
            return [
                f"axis {a.axis} and {a.batch_dims} batch dimensions do not fit {list(x.shape)} "
                f"and indices {list(indices.shape)}"
            ]
        axis, batch = axes
        want = (*x.shape[:axis], *indices.shape[batch:], *x.shape[axis + 1 :])
        found = index_problems(indices) or wrong_shape(op.outputs[0], want)
        data = indices.data
        if found or data is None or data.size == 0:
            return found
        if data.min() < 0 or data.max() >= x.shape[axis]:
            return [f"indices '{indices.name}' leave the {x.shape[axis]} of axis {axis}"]
        return []

    def _sizes(self, op: Op) -> tuple[int, int, int, int, int]:
        """Return batch, outer, axis, count and inner sizes."""
        axis, batch = self._axes(op) or (0, 0)
        shape, indices = op.input(0).shape, op.input(1).shape
        return (
            math.prod(shape[:batch]),
            math.prod(shape[batch:axis]),
            shape[axis],
            math.prod(indices[batch:]),
            math.prod(shape[axis + 1 :]),
        )

    def evaluate(self, op: Op) -> list[Array] | None:
        x, indices = op.input(0).data, op.input(1).data
        if self.flaws(op) or x is None or indices is None:
            return None
        batch, outer, axis, count, inner = self._sizes(op)
        places = indices.reshape(batch, 1, count, 1).astype(np.int64)
        taken = np.take_along_axis(x.reshape(batch, outer, axis, inner), places, 2)
        return [taken.reshape(op.outputs[0].shape)]

    def lower(self, op: Op) -> list[KernelCall]:
        x, indices, y = op.input(0), op.input(1), op.outputs[0]
        batch, outer, axis, count, inner = self._sizes(op)
        copy = _as_copy(op, batch * outer, inner) if indices.data is not None else None
        if copy is not None and (batch == 1 or count == 1 == batch):
            return copy.calls()
        params = {
            "batch": batch,
            "outer": outer,
            "axis": axis,
            "count": count,
            "index_bytes": indices.np_dtype.itemsize,
            "run": inner * x.np_dtype.itemsize,
        }
        return [KernelCall("gather", "gather", [x, indices], [y], params)]


def _as_copy(op: Op, outer: int, inner: int) -> Copy | None:
    """Return the one copy that constant indices in equal steps are; None if they are not."""
    x, indices, y = op.input(0), op.input(1), op.outputs[0]
    if indices.data is None or indices.elements == 0:
        return None
    places = indices.data.reshape(-1).astype(np.int64)
    steps = np.unique(np.diff(places))
    if steps.size > 1 or not (x.dense and y.dense):
        return None
    step = int(steps[0]) if steps.size else 0
    count, size = places.size, x.elements // (outer * inner)
    shape = (outer, count, inner)
    source = View(x, shape, (size * inner, step * inner, 1), int(places[0]) * inner)
    return Copy(source, View(y, shape, (count * inner, inner, 1)))
