"""SOFTMAX over the last axis, in fixed point."""

import math
from dataclasses import dataclass
from typing import Any

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import fixed_point

_MAX_CLASSES = 4095
_DIFF_INTEGER_BITS = 5  # differences to the maximum are Q5.26


@dataclass(frozen=True)
class SoftmaxAttributes:
    """The factor on the logits before the exponential."""

    beta: float


class Softmax(Operator):
    """Input [..., C]; output of the same shape with scale 1/256 and zero point -128; int8."""

    kind = "SOFTMAX"
    options = "SoftmaxOptions"

    def read(self, options: Any) -> SoftmaxAttributes:
        return SoftmaxAttributes(options.Beta())

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = int8_problems(x, y)
        if found:
            return found
        if not x.shape:
            found.append("a single number has no axis to sum over; [..., C] needed")
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if y.q.zero_point != -128 or abs(y.q.scale - 1 / 256) > 0.001 / 256:
            found.append("output needs scale 1/256 and zero point -128")
        if x.shape and x.shape[-1] > _MAX_CLASSES:
            found.append(f"{x.shape[-1]} classes; at most {_MAX_CLASSES}, as the sum is Q12.19")
        if self._factor(op) <= 1.0:
            found.append(
                f"input scale {x.q.scale:g} x beta {op.attrs.beta:g} is below 2^-26; "
                "calibrate the model with inputs that give different logits"
            )
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        factor = fixed_point(self._factor(op))
        radius = ((1 << _DIFF_INTEGER_BITS) - 1) * (1 << (31 - _DIFF_INTEGER_BITS))
        params = {
            "rows": x.elements // x.shape[-1],
            "depth": x.shape[-1],
            "multiplier": factor.multiplier,
            "left_shift": factor.shift,
            "diff_min": -math.floor(radius / (1 << factor.shift)),
        }
        return [KernelCall("softmax", "softmax", [x], [y], params)]

    @staticmethod
    def _factor(op: Op) -> float:
        real = op.attrs.beta * op.input(0).q.scale * (1 << (31 - _DIFF_INTEGER_BITS))
        return float(min(real, (1 << 31) - 1.0))
