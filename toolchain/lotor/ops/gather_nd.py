"""GATHER_ND: slices of a tensor, chosen by several coordinates each."""

import math

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.gather import index_problems
from lotor.ops.movement import Mover, wrong_shape
from lotor.ops.operator import KernelCall

_DEPTH = 6  # coordinates that the kernel takes


class GatherNd(Mover):
    """Any input of rank >= 1; indices [..., depth] int16, int32 or int64, constant or not.

    At coordinates outside the input the reference stops with an error; constant ones are refused,
    those that come at run time give zeros.
    """

    kind = "GATHER_ND"
    inputs = 2

    def form_problems(self, op: Op) -> list[str]:
        x, indices = op.input(0), op.input(1)
        depth = indices.shape[-1] if indices.shape else -1
        if not 1 <= depth <= min(len(x.shape), _DEPTH):
            return [
                f"indices {list(indices.shape)} do not choose out of {list(x.shape)}; at most "
                f"{_DEPTH} coordinates are supported"
            ]
        found = index_problems(indices)
        found += wrong_shape(op.outputs[0], indices.shape[:-1] + x.shape[depth:])
        data = indices.data
        if found or data is None:
            return found
        if (data < 0).any() or (data >= np.array(x.shape[:depth])).any():
            return [f"indices '{indices.name}' leave {list(x.shape[:depth])}"]
        return []

    def evaluate(self, op: Op) -> list[Array] | None:
        x, indices = op.input(0).data, op.input(1).data
        if self.flaws(op) or x is None or indices is None:
            return None
        return [np.ascontiguousarray(x[tuple(np.moveaxis(indices.astype(np.int64), -1, 0))])]

    def lower(self, op: Op) -> list[KernelCall]:
        x, indices, y = op.input(0), op.input(1), op.outputs[0]
        depth, item = indices.shape[-1], x.np_dtype.itemsize
        params = {
            "count": math.prod(indices.shape[:-1]),
            "depth": depth,
            "index_bytes": indices.np_dtype.itemsize,
            "run": math.prod(x.shape[depth:]) * item,
        }
        for axis in range(_DEPTH):
            inside = axis < depth
            params[f"size_{axis}"] = x.shape[axis] if inside else 1
            params[f"stride_{axis}"] = math.prod(x.shape[axis + 1 :]) * item if inside else 0
        return [KernelCall("gather", "gather_nd", [x, indices], [y], params)]
