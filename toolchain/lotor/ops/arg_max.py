"""ARG_MAX: where the largest number lies along an axis."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tflite

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall, Operator, dtype_problems
from lotor.ops.typed import suffix

_INDEX_TYPES = {tflite.TensorType.INT32: DType.INT32, tflite.TensorType.INT64: DType.INT64}


@dataclass(frozen=True)
class ArgMaxAttributes:
    """The type of the indices, None if it is none for indices."""

    output: DType | None


class ArgMax(Operator):
    """Input of any rank > 0, axis a constant int32 or int64; int8, int32, float32.

    The first of equal numbers is taken; not-a-number comes after every number.
    """

    kind = "ARG_MAX"
    inputs = 2
    options = "ArgMaxOptions"
    largest: ClassVar[bool] = True

    def read(self, options: Any) -> ArgMaxAttributes:
        return ArgMaxAttributes(_INDEX_TYPES.get(options.OutputType()))

    def problems(self, op: Op) -> list[str]:
        x, axis, y = op.input(0), op.input(1), op.outputs[0]
        found = dtype_problems([x], DType.INT8, DType.INT32, DType.FLOAT32)
        if op.attrs.output is None or y.dtype is not op.attrs.output:
            found.append(f"output '{y.name}' is {y.dtype.value}; int32 or int64 indices needed")
        at = _axis(op)
        if at is None:
            return [*found, f"axis '{axis.name}' must be one constant integer within the input"]
        want = x.shape[:at] + x.shape[at + 1 :]
        if y.shape != want:
            found.append(f"output shape {list(y.shape)} does not follow from the axis: {want}")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        at = _axis(op)
        assert at is not None  # as `problems` has found
        params = {
            "outer": math.prod(x.shape[:at]),
            "size": x.shape[at],
            "inner": math.prod(x.shape[at + 1 :]),
            "largest": int(self.largest),
            "wide": int(y.dtype is DType.INT64),
        }
        return [KernelCall("arg_max", "arg_max" + suffix(x.dtype), [x], [y], params)]

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y, at = op.input(0), op.outputs[0], _axis(op)
        if x.data is None or at is None or x.dtype not in (DType.INT8, DType.INT32):
            return None
        found = (np.argmax if self.largest else np.argmin)(x.data, at)
        return [np.asarray(found).astype(y.np_dtype)]


def _axis(op: Op) -> int | None:
    """Return the axis, counted from the front; None if it is no constant within the input."""
    axis, rank = op.input(1), len(op.input(0).shape)
    if axis.data is None or axis.dtype not in (DType.INT32, DType.INT64) or axis.elements != 1:
        return None
    value = int(axis.data.reshape(()))
    return value % rank if -rank <= value < rank else None
