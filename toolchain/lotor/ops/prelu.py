"""PRELU: negative values times factors that the model holds."""

import math

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.operator import KernelCall, Operator, Stripe, elementwise_stripe, int8_problems
from lotor.ops.quantization import factor_problems, fixed_point
from lotor.ops.typed import typed_problems

_FUNCTIONS = {
    DType.INT8: "prelu",
    DType.INT16: "prelu_int16",
    DType.FLOAT32: "prelu_float",
}


class Prelu(Operator):
    """x if x >= 0 else alpha x; alpha is constant and broadcast.

    int8, int16 with int8 alpha, float32.
    """

    kind = "PRELU"
    inputs = 2

    def problems(self, op: Op) -> list[str]:
        x, alpha, y = op.input(0), op.input(1), op.outputs[0]
        found = typed_problems([x, y], *_FUNCTIONS)
        if x.dtype is DType.FLOAT32:
            found += typed_problems([alpha], DType.FLOAT32)
        else:
            found += int8_problems(alpha)
        if alpha.data is None:
            found.append(f"alpha '{alpha.name}' is computed by the model; a constant needed")
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if not _fits(alpha, x):
            found.append(f"alpha {list(alpha.shape)} cannot be broadcast to {list(x.shape)}")
        if found or x.dtype is DType.FLOAT32:
            return found
        positive, negative = _factors(op)
        return factor_problems(positive) + factor_problems(negative)

    def stripe(self, op: Op, first: int, end: int) -> Stripe | None:
        return elementwise_stripe(op, first, end)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        alpha = _period(op.input(1), x)
        params: dict[str, int | float] = {"periods": x.elements // alpha.size, "period": alpha.size}
        if x.dtype is not DType.FLOAT32:
            positive, negative = map(fixed_point, _factors(op))
            params |= {
                "in_offset": -x.q.zero_point,
                "alpha_offset": -op.input(1).q.zero_point,
                "multiplier": positive.multiplier,
                "shift": positive.shift,
                "alpha_multiplier": negative.multiplier,
                "alpha_shift": negative.shift,
            }
        if x.dtype is DType.INT8:
            params |= {
                "low": -128 - y.q.zero_point,
                "high": 127 - y.q.zero_point,
                "out_offset": y.q.zero_point,
            }
        return [KernelCall("prelu", _FUNCTIONS[x.dtype], [x], [y], params, {"alpha": alpha})]


def _fits(alpha: Tensor, x: Tensor) -> bool:
    """Return whether alpha is broadcast to x and adds no axis."""
    if len(alpha.shape) > len(x.shape):
        return False
    trailing = x.shape[len(x.shape) - len(alpha.shape) :]
    return all(a in (1, n) for a, n in zip(alpha.shape, trailing, strict=True))


def _period(alpha: Tensor, x: Tensor) -> Array:
    """Return the factors of the shortest piece of x after which they repeat."""
    values = np.asarray(alpha.data)
    shape = (1,) * (len(x.shape) - len(alpha.shape)) + alpha.shape
    # Leading axes of size 1 are what repeats.
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    piece = np.broadcast_to(values.reshape(shape[first:]), x.shape[first:])
    return np.ascontiguousarray(piece).reshape(math.prod(x.shape[first:]))


def _factors(op: Op) -> tuple[float, float]:
    """Return the factors of positive and of negative values; float32, as in the reference."""
    x, alpha, y = (np.float32(t.q.scale) for t in (op.input(0), op.input(1), op.outputs[0]))
    with np.errstate(over="ignore"):  # infinity is refused
        return float(x / y), float(x * alpha / y)
