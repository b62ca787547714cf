"""SOFTMAX over the last axis."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import double_table16
from lotor.ops.operator import KernelCall, Operator, dtype_problems
from lotor.ops.quantization import fixed_point
from lotor.ops.typed import typed_problems

MAX_CLASSES = 4095  # the sum of exponentials is Q12.19
_MAX_CLASSES_16 = 65535  # there it is Q16.15
_DIFF_INTEGER_BITS = 5  # differences to the maximum are Q5.26
_LOWEST = 10.0  # of int16: exponentials of less count as those of -10


@dataclass(frozen=True)
class SoftmaxAttributes:
    """The factor on the logits before the exponential."""

    beta: float


class Softmax(Operator):
    """Input and output [..., C]; int8, int8 to int16, int16, float32 within 2 ulp of exponentials.

    int8 with output scale 1/256 and zero point -128 (uint8 models: any, as the reference takes no
    notice of it); int8 to int16; int16 with output scale 2^-15; float32, where each exponential is
    within 2 ulp.
    """

    kind = "SOFTMAX"
    options = "SoftmaxOptions"

    def read(self, options: Any) -> SoftmaxAttributes:
        return SoftmaxAttributes(options.Beta())

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = typed_problems([x], DType.INT8, DType.INT16, DType.FLOAT32)
        if not found and (x.dtype, y.dtype) != (DType.INT8, DType.INT16):
            found = dtype_problems([y], x.dtype) or typed_problems([y], x.dtype)
        if found:
            return found
        found = row_problems(op, _MAX_CLASSES_16 if x.dtype is DType.INT16 else MAX_CLASSES)
        if x.dtype is DType.FLOAT32:
            return found
        if x.dtype is DType.INT16:
            if abs(y.q.scale - 2.0**-15) > 0.001 * 2.0**-15:
                found.append("output needs scale 2^-15")
            if not 0 < _factor16(op) < 1 << 15:
                found.append(f"input scale {x.q.scale:g} x beta {op.attrs.beta:g} must be below 5")
            return found
        fits = y.q.zero_point == -128 and abs(y.q.scale - 1 / 256) <= 0.001 / 256
        if y.dtype is DType.INT8 and not op.uint8 and not fits:
            found.append("output needs scale 1/256 and zero point -128")
        return found + difference_problems(x.q.scale, op.attrs.beta)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params: dict[str, int | float] = {
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
        }
        if x.dtype is DType.FLOAT32:
            params["beta"] = float(op.attrs.beta)
            return [KernelCall("softmax", "softmax_float", [x], [y], params)]
        if x.dtype is DType.INT16:
            factor = fixed_point(_factor16(op))
            params |= {"multiplier": factor.multiplier, "shift": factor.shift}
            return [KernelCall("softmax", "softmax_int16", [x], [y], params, _tables16())]
        params |= difference_params(x.q.scale, op.attrs.beta)
        function = "softmax" if y.dtype is DType.INT8 else "softmax_to_int16"
        return [KernelCall("softmax", function, [x], [y], params)]


def row_problems(op: Op, classes: int) -> list[str]:
    """Return lines if input and output are not rows of at most so many classes."""
    x, y = op.input(0), op.outputs[0]
    found = []
    if not x.shape:
        found.append("a single number has no axis to sum over; [..., C] needed")
    if x.shape != y.shape:
        found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
    if x.shape and x.shape[-1] > classes and x.dtype is not DType.FLOAT32:
        found.append(f"{x.shape[-1]} classes; at most {classes}, so that the sum fits its type")
    return found


def difference_problems(scale: float, beta: float) -> list[str]:
    """Return a line if the factor from int8 differences to Q5.26 is not above 1."""
    if _factor(scale, beta) > 1.0:
        return []
    return [
        f"input scale {scale:g} x beta {beta:g} is below 2^-26; "
        "calibrate the model with inputs that give different logits"
    ]


def difference_params(scale: float, beta: float) -> dict[str, int]:
    """Return the factor from int8 differences to Q5.26, and the lowest difference that counts."""
    factor = fixed_point(_factor(scale, beta))
    radius = ((1 << _DIFF_INTEGER_BITS) - 1) * (1 << (31 - _DIFF_INTEGER_BITS))
    return {
        "multiplier": factor.multiplier,
        "left_shift": factor.shift,
        "diff_min": -math.floor(radius / (1 << factor.shift)),
    }


def _factor(scale: float, beta: float) -> float:
    return float(min(beta * scale * (1 << (31 - _DIFF_INTEGER_BITS)), (1 << 31) - 1.0))


def _factor16(op: Op) -> float:
    """Return the factor from int16 differences to those of the table of exponentials."""
    product = np.float32(op.input(0).q.scale) * np.float32(op.attrs.beta)
    return float(product) / (_LOWEST / 65535.0)


def _tables16() -> dict[str, Array]:
    """Return e^x for x in [-10, 0] and 1 / (1 + x) for x in [0, 1], in steps of 2^-15."""

    def exps(x: Array) -> Array:
        return np.array([math.exp(v) for v in x.tolist()])

    return {
        "exps": double_table16(exps, _LOWEST / 65535, 32767, 2.0 / 65535),
        "reciprocals": double_table16(lambda x: 1 / (1 + x), 1.0 / 65535, -32768, 2.0 / 65535),
    }
