"""ADD: elementwise sum of two tensors of one shape."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Op
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import (
    activation_problems,
    activation_range,
    factor_problems,
    fixed_point,
)

_LEFT_SHIFT = 20  # head room that both inputs get before they are scaled to a common scale


@dataclass(frozen=True)
class AddAttributes:
    """Fused activation number."""

    activation: int


class Add(Operator):
    """Two inputs and the output of one shape, each with its own quantization; int8."""

    kind = "ADD"
    inputs = 2
    options = "AddOptions"

    def read(self, options: Any) -> AddAttributes:
        return AddAttributes(options.FusedActivationFunction())

    def problems(self, op: Op) -> list[str]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        found = int8_problems(a, b, y)
        if not a.shape == b.shape == y.shape:
            found.append(
                f"broadcasting {list(a.shape)} and {list(b.shape)} is not supported; "
                "give both inputs one shape"
            )
        if not found:
            twice_max, scale = _common_scales(op)
            found = factor_problems(twice_max / scale)
        return found + activation_problems(op.attrs.activation)

    def lower(self, op: Op) -> list[KernelCall]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        twice_max, scale = _common_scales(op)
        low, high = activation_range(op)
        params = {"elements": y.elements, "left_shift": _LEFT_SHIFT}
        for name, tensor in (("a", a), ("b", b)):
            factor = fixed_point(tensor.q.scale / twice_max)
            params |= {
                f"{name}_offset": -tensor.q.zero_point,
                f"{name}_multiplier": factor.multiplier,
                f"{name}_shift": factor.shift,
            }
        factor = fixed_point(twice_max / scale)
        params |= {
            "out_offset": y.q.zero_point,
            "out_multiplier": factor.multiplier,
            "out_shift": factor.shift,
            "out_min": low,
            "out_max": high,
        }
        return [KernelCall("add", "add", [a, b], [y], params)]


def _common_scales(op: Op) -> tuple[float, float]:
    """Return what both inputs are scaled by, and the output's scale with the head room."""
    a, b, y = op.input(0), op.input(1), op.outputs[0]
    # float32 up to here, float64 after, as in the reference.
    with np.errstate(over="ignore"):  # infinity is refused
        twice_max = float(np.float32(2) * max(np.float32(a.q.scale), np.float32(b.q.scale)))
        return twice_max, float(np.float32(1 << _LEFT_SHIFT) * np.float32(y.q.scale))
