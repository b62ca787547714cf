"""CAST: the same numbers in another type."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall, Operator, Stripe, dtype_problems, elementwise_stripe

# In the order of `enum lotor_number`.
_TYPES = (
    DType.BOOL,
    DType.INT8,
    DType.UINT8,
    DType.INT16,
    DType.INT32,
    DType.INT64,
    DType.FLOAT32,
)


class Cast(Operator):
    """Between bool, int8, uint8, int16, int32, int64 and float32.

    Integers keep their lowest bits. Floats lose their fraction and saturate; not-a-number becomes
    the highest integer.
    """

    kind = "CAST"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = dtype_problems([x, y], *_TYPES)
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        return found

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y = op.inputs[0], op.outputs[0]
        if x is None or x.data is None or y.dtype not in _TYPES:
            return None
        if x.dtype in (DType.FLOAT32, DType.FLOAT16) and y.dtype not in (DType.FLOAT32, DType.BOOL):
            limits = np.iinfo(y.np_dtype)
            low, high = int(limits.min), int(limits.max)
            # Python's integers are exact, where numpy's conversion of large floats is not defined.
            values = [
                high if v != v else max(low, min(high, int(max(-1e19, min(1e19, v)))))
                for v in x.data.astype(np.float64).flat
            ]
            return [np.array(values, y.np_dtype).reshape(x.shape)]
        if x.dtype in (*_TYPES, DType.FLOAT16):
            return [x.data.astype(y.np_dtype)]
        return None

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is y.dtype and x.data is None and y.within is None:
            return [KernelCall("", "", [x], [y], alias=True)]
        params = {
            "elements": y.elements,
            "from": _TYPES.index(x.dtype),
            "to": _TYPES.index(y.dtype),
        }
        return [KernelCall("cast", "cast", [x], [y], params)]
