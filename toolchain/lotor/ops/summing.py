"""ADD, SUB and their kin: inputs are brought to a common scale with head room, then combined.

Source: the `Prepare` functions of LiteRT's add.cc, sub.cc and squared_difference.cc.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import DType, Op
from lotor.ops.binary import Binary, FusedAttributes, output_range
from lotor.ops.broadcast import broadcast_call
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import fixed_point


@dataclass(frozen=True)
class SummingAttributes(FusedAttributes):
    """Fused activation number, and whether int16 with power-of-two scales is only shifted."""

    pot_scale_int16: bool


class Summing(Binary):
    """A sum or a difference, with a fused activation."""

    clamps = True
    dtypes = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)

    def read(self, options: Any) -> SummingAttributes:
        return SummingAttributes(options.FusedActivationFunction(), bool(options.PotScaleInt16()))

    def limits(self, op: Op) -> list[str]:
        a, b = op.input(0), op.input(1)
        if a.dtype not in (DType.INT8, DType.INT16):
            return []
        shifts = shifts_of_powers(op)
        if shifts is None:
            return sum_problems(output_factor(op, _head(op)))
        if min(shifts) != 0 or max(shifts) > 15:
            return [
                "its power-of-two scales need one input of the output's scale and another that is "
                "smaller by 2^15 at most; convert it without pot_scale_int16"
            ]
        if self.kind == "ADD" and a.shape != b.shape:
            return ["with power-of-two scales the reference has no broadcasting of it"]
        return []

    def lower(self, op: Op) -> list[KernelCall]:
        shifts = shifts_of_powers(op)
        if shifts is None:
            return super().lower(op)
        kernel = self.kind.lower()
        params = {"a_right": shifts[0], "b_right": shifts[1]} | output_range(op)
        inputs = [op.input(0), op.input(1)]
        return [broadcast_call(kernel, f"{kernel}_pot_int16", inputs, op.outputs[0], params)]

    def params(self, op: Op) -> dict[str, int | float]:
        if op.input(0).dtype not in (DType.INT8, DType.INT16):
            return output_range(op)
        return sum_params(op, output_factor(op, _head(op))) | output_range(op)


def _head(op: Op) -> int:
    """Return the bits of head room that the inputs get."""
    return 15 if op.input(0).dtype is DType.INT16 else 20


def twice_larger_scale(op: Op) -> float:
    """Return what both scales of the inputs are divided by; infinity is refused later."""
    a, b = (np.float32(op.input(i).q.scale) for i in (0, 1))
    with np.errstate(over="ignore"):
        return float(np.float32(2) * max(a, b))  # in float32, as the reference


def output_factor(op: Op, head: int) -> float:
    """Return the factor from a sum with head room to the output."""
    with np.errstate(over="ignore"):
        scale = np.float32(1 << head) * np.float32(op.outputs[0].q.scale)
    return twice_larger_scale(op) / float(scale)


def sum_problems(factor: float) -> list[str]:
    """Return a line if the reference does not take the factor to the output."""
    if 0 < factor < 1 and fixed_point(factor).shift <= 0:
        return []
    return [f"its scales give a factor of {factor:g} to the output; below 1 needed"]


def sum_params(op: Op, factor: float) -> dict[str, int | float]:
    """Return offsets, multipliers and shifts of both inputs and the output."""
    a, b, y = op.input(0), op.input(1), op.outputs[0]
    divisor = twice_larger_scale(op)
    params: dict[str, int | float] = {}
    for name, offset, real in (
        ("a", -a.q.zero_point, a.q.scale / divisor),
        ("b", -b.q.zero_point, b.q.scale / divisor),
        ("out", y.q.zero_point, factor),
    ):
        point = fixed_point(real)
        params[f"{name}_offset"] = offset
        params[f"{name}_multiplier"] = point.multiplier
        params[f"{name}_right"] = -point.shift
    return params


def shifts_of_powers(op: Op) -> tuple[int, int] | None:
    """Return how far the inputs of an int16 layer are shifted to the right; None for any scales."""
    if op.input(0).dtype is not DType.INT16 or not op.attrs.pot_scale_int16:
        return None
    logs = []
    for tensor in (op.input(0), op.input(1), op.outputs[0]):
        log = float(np.log2(np.float32(tensor.q.scale)))
        if abs(log - round(log)) >= 1e-3:
            return None
        logs.append(round(log))
    return logs[2] - logs[0], logs[2] - logs[1]
