"""DEQUANTIZE: integers to float32."""

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall, Operator, Stripe, dtype_problems, elementwise_stripe
from lotor.ops.typed import typed_problems

_CONSTANTS = (DType.INT4, DType.INT8, DType.UINT8, DType.INT16)


class Dequantize(Operator):
    """Input int8 or int16, output float32 of the same shape.

    Constants of int4, int8, uint8, int16 (per channel, too) and float16 are converted by the
    compiler.
    """

    kind = "DEQUANTIZE"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = dtype_problems([y], DType.FLOAT32)
        found += typed_problems([x], DType.INT8, DType.INT16)
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        return found

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y = op.inputs[0], op.outputs[0]
        if x is None or x.data is None or y.dtype is not DType.FLOAT32 or x.shape != y.shape:
            return None
        if x.dtype is DType.FLOAT16:
            return [x.data.astype(np.float32)]
        if x.dtype not in _CONSTANTS or x.quant is None:
            return None
        scales, zero_points = x.q.scales, x.q.zero_points
        if x.q.per_channel:
            if not 0 <= x.q.axis < len(x.shape) or x.shape[x.q.axis] != scales.size:
                return None
            along = [1] * len(x.shape)
            along[x.q.axis] = scales.size
            scales, zero_points = scales.reshape(along), zero_points.reshape(along)
        steps = x.data.astype(np.int64) - zero_points
        return [scales.astype(np.float32) * steps.astype(np.float32)]

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params = {"elements": y.elements, "scale": x.q.scale}
        if x.dtype is DType.INT16:
            return [KernelCall("dequantize", "dequantize_int16", [x], [y], params)]
        params["zero_point"] = x.q.zero_point
        return [KernelCall("dequantize", "dequantize", [x], [y], params)]
