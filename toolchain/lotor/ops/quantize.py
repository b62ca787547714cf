"""QUANTIZE: float32 to integers, or integers to another scale and size."""

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.fixed import requantize
from lotor.ops.lookup import BYTES, clamped8, quantized
from lotor.ops.operator import (
    KernelCall,
    Operator,
    Stripe,
    dtype_problems,
    elementwise_stripe,
    int8_problems,
)
from lotor.ops.quantization import factor_problems, fixed_point, same_numbers
from lotor.ops.unary import Tabulated, table_call

# What the reference takes: output types by the input's type.
_FORMS = {
    DType.FLOAT32: (DType.INT8, DType.INT16),
    DType.INT8: (DType.INT8, DType.INT16),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT32: (DType.INT8, DType.INT16),
}


class Quantize(Operator, Tabulated):
    """Input float32, int8, int16 or int32; output int8, int16 or (of int16) int32, of one shape.

    Between uint8 and int8, the real numbers stay the same.
    """

    kind = "QUANTIZE"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        shapes = f"input {list(x.shape)} and output {list(y.shape)} differ in shape"
        found = [] if x.shape == y.shape else [shapes]
        if same_numbers(x, y):
            return found
        found += dtype_problems([x], *_FORMS)
        if not found:
            found += dtype_problems([y], *_FORMS[x.dtype])
        for tensor in (y,) if x.dtype is DType.FLOAT32 else (x, y):
            found += _quantization_problems(tensor)
        if x.dtype is y.dtype is DType.INT16 and not found:
            found += [
                f"int16 '{t.name}' has zero point {t.q.zero_point}; 0 needed"
                for t in (x, y)
                if t.q.zero_point != 0
            ]
        if not found and x.dtype is not DType.FLOAT32:
            found = factor_problems(x.q.scale / y.q.scale)
        return found

    def table(self, op: Op) -> Array:
        return clamped8(_requantized(op, BYTES))

    def evaluate(self, op: Op) -> list[Array] | None:
        x, y = op.inputs[0], op.outputs[0]
        if x is None or x.data is None or self.problems(op):
            return None
        if same_numbers(x, y):
            return [(x.data.view(np.uint8) ^ np.uint8(128)).view(y.np_dtype)]
        if x.dtype is DType.FLOAT32:
            return [quantized(x.data, y.q, y.np_dtype)]
        limits = np.iinfo(y.np_dtype)
        values = _requantized(op, x.data.astype(np.int64))
        return [np.clip(values, limits.min, limits.max).astype(y.np_dtype)]

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        if same_numbers(x, y):
            return [KernelCall("quantize", "change_sign", [x], [y], {"elements": y.elements})]
        if x.dtype is DType.FLOAT32:
            params = {"elements": y.elements, "scale": y.q.scale, "zero_point": y.q.zero_point}
            function = "quantize" if y.dtype is DType.INT8 else "quantize_int16"
            return [KernelCall("quantize", function, [x], [y], params)]
        if x.dtype is y.dtype is DType.INT8:
            return [table_call(op, self.table(op))]
        factor = fixed_point(x.q.scale / y.q.scale)
        limits = np.iinfo(y.np_dtype)
        requantize_mixed = {
            "elements": y.elements,
            "in_bytes": x.np_dtype.itemsize,
            "out_bytes": y.np_dtype.itemsize,
            "in_zero_point": x.q.zero_point,
            "out_zero_point": y.q.zero_point,
            "multiplier": factor.multiplier,
            "shift": factor.shift,
            "out_min": int(limits.min),
            "out_max": int(limits.max),
        }
        return [KernelCall("quantize", "requantize_mixed", [x], [y], requantize_mixed)]


def _requantized(op: Op, values: Array) -> Array:
    """Return integers on the output's scale, before they are clamped."""
    x, y = op.input(0), op.outputs[0]
    centred = (values - x.q.zero_point).astype(np.int32).astype(np.int64)
    return requantize(centred, fixed_point(x.q.scale / y.q.scale)) + y.q.zero_point


def _quantization_problems(tensor: Tensor) -> list[str]:
    if tensor.dtype is DType.INT8:
        return int8_problems(tensor)
    if tensor.quant is None or tensor.quant.per_channel:
        return [f"tensor '{tensor.name}' needs one scale and zero point"]
    if tensor.dtype in (DType.INT16, DType.INT32):
        limits = np.iinfo(tensor.np_dtype)
        if not limits.min <= tensor.q.zero_point <= limits.max:
            type_name = tensor.dtype.value
            return [f"'{tensor.name}' has zero point {tensor.q.zero_point}, no {type_name} value"]
    return []
