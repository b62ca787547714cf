"""GELU: x times the normal distribution function of x."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.lookup import Function, erfc, table8, table16, tanh
from lotor.ops.operator import KernelCall
from lotor.ops.unary import Unary, plain_call, table16_call


@dataclass(frozen=True)
class GeluAttributes:
    """Whether the approximation by a hyperbolic tangent is meant."""

    approximate: bool


class Gelu(Unary):
    """int8, int16 by interpolation, float32 within 16 ulp of the result plus 4 ulp of the input."""

    kind = "GELU"
    options = "GeluOptions"
    dtypes = (DType.INT8, DType.INT16, DType.FLOAT32)
    uint8 = True

    def read(self, options: Any) -> GeluAttributes:
        return GeluAttributes(options.Approximate())

    def table(self, op: Op) -> Array:
        return table8(_function(op), op.input(0).q, op.outputs[0].q)

    def call(self, op: Op) -> KernelCall:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            name = "gelu_tanh_float" if op.attrs.approximate else "gelu_float"
            return plain_call(op, "elementwise", name)
        return table16_call(op, table16(_function(op), x.q.scale, 0, y.q.scale))


def _function(op: Op) -> Function:
    # Every intermediate is a float32, in the reference's order.
    half, one = np.float32(0.5), np.float32(1)
    if not op.attrs.approximate:
        root = np.float32(-math.sqrt(0.5))
        return lambda x: half * x * erfc(x * root)
    root, cubic = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)
    return lambda x: half * x * (one + tanh(root * (x + cubic * x * x * x)))
