"""RESIZE_NEAREST_NEIGHBOR: each output is the input nearest to its place."""

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall, dtype_problems
from lotor.ops.resize import Resize, nearest, resize_params

_TYPES = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.FLOAT32, DType.BOOL)


class ResizeNearestNeighbor(Resize):
    """Input [N,H,W,C], size int32[2] constant; any type of 1, 2 or 4 bytes. Elements are copied."""

    kind = "RESIZE_NEAREST_NEIGHBOR"
    options = "ResizeNearestNeighborOptions"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = dtype_problems([x], *_TYPES) or dtype_problems([y], x.dtype)
        return found + super().problems(op)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        size = x.np_dtype.itemsize
        params = resize_params(x, y) | {
            "pixel": x.shape[3] * size,
            "in_step": x.step * size,
            "out_step": y.step * size,
        }
        constants = {
            "rows": nearest(x.shape[1], y.shape[1], op.attrs),
            "columns": nearest(x.shape[2], y.shape[2], op.attrs),
        }
        kernel = "resize_nearest_neighbor"
        return [KernelCall(kernel, kernel, [x], [y], params, constants)]
