"""CUMSUM: running sums along an axis."""

import math
from dataclasses import dataclass
from typing import Any

from lotor.graph import DType, Op
from lotor.ops.convolution import constant
from lotor.ops.operator import KernelCall, Operator, dtype_problems
from lotor.ops.typed import suffix


@dataclass(frozen=True)
class CumsumAttributes:
    """Whether a number's own sum leaves it out, and whether the last number comes first."""

    exclusive: bool
    reverse: bool


class Cumsum(Operator):
    """Input of any rank > 0, axis a constant int32; int32, which wraps, and float32."""

    kind = "CUMSUM"
    inputs = 2
    options = "CumsumOptions"

    def read(self, options: Any) -> CumsumAttributes:
        return CumsumAttributes(bool(options.Exclusive()), bool(options.Reverse()))

    def problems(self, op: Op) -> list[str]:
        x, axis, y = op.input(0), op.input(1), op.outputs[0]
        found = dtype_problems([x], DType.INT32, DType.FLOAT32) or dtype_problems([y], x.dtype)
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if axis.data is None or axis.dtype is not DType.INT32 or axis.elements != 1:
            return [*found, f"axis '{axis.name}' must be one constant int32"]
        if not -len(x.shape) <= int(axis.data.reshape(())) < len(x.shape):
            found.append(f"axis {axis.data.tolist()} is outside of {len(x.shape)} dimensions")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        axis = int(constant(op.input(1)).reshape(())) % len(x.shape)
        params = {
            "outer": math.prod(x.shape[:axis]),
            "size": x.shape[axis],
            "inner": math.prod(x.shape[axis + 1 :]),
            "exclusive": int(op.attrs.exclusive),
            "reverse": int(op.attrs.reverse),
        }
        return [KernelCall("cumsum", "cumsum" + suffix(x.dtype), [x], [y], params)]
