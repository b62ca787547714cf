"""MEAN: the mean over any axes."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

from lotor.graph import DType, Op
from lotor.ops.convolution import constant
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import factor_problems, fixed_point


@dataclass(frozen=True)
class MeanAttributes:
    """Whether reduced axes stay with size 1."""

    keep_dims: bool


class Mean(Operator):
    """Input of any rank <= 5, axes int32 constant; int8, the division folded into the scale."""

    kind = "MEAN"
    inputs = 2
    options = "ReducerOptions"

    def read(self, options: Any) -> MeanAttributes:
        return MeanAttributes(options.KeepDims())

    def problems(self, op: Op) -> list[str]:
        x, axes, y = op.input(0), op.input(1), op.outputs[0]
        found = int8_problems(x, y)
        if axes.data is None or axes.dtype is not DType.INT32:
            return [*found, f"axes '{axes.name}' must be an int32 constant"]
        found = found or factor_problems(x.q.scale / y.q.scale)
        rank = len(x.shape)
        if any(not -rank <= int(a) < rank for a in axes.data.flat):
            return [*found, f"axes {axes.data.tolist()} are outside an input of {rank} dimensions"]
        reduced = self._reduced(op)
        if y.elements != math.prod(s for s, r in zip(x.shape, reduced, strict=True) if not r):
            found.append(f"output shape {list(y.shape)} does not follow from the axes")
        if len(_runs(x.shape, reduced)) > 5:
            found.append(
                f"axes {axes.data.tolist()} of {list(x.shape)} are three separate groups; "
                "take the mean in two steps"
            )
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        sizes = _runs(x.shape, self._reduced(op))
        outer, reduce_0, middle, reduce_1, inner = sizes + [1] * (5 - len(sizes))
        count = reduce_0 * reduce_1
        factor = fixed_point(x.q.scale / y.q.scale)
        # The reference folds 1/count into the multiplier, keeping as many bits as fit.
        shift = min(count.bit_length() - 1, 32, 31 + factor.shift)
        params = {
            "outer": outer,
            "reduce_0": reduce_0,
            "middle": middle,
            "reduce_1": reduce_1,
            "inner": inner,
            "in_zero_points": x.q.zero_point * count,
            "out_offset": y.q.zero_point,
            "multiplier": (factor.multiplier << shift) // count,
            "shift": factor.shift - shift,
        }
        return [KernelCall("mean", "mean", [x], [y], params)]

    @staticmethod
    def _reduced(op: Op) -> list[bool]:
        rank = len(op.input(0).shape)
        axes = {int(a) % rank for a in constant(op.input(1)).flat}
        return [axis in axes for axis in range(rank)]


def _runs(shape: tuple[int, ...], reduced: list[bool]) -> list[int]:
    """Merge neighbouring axes: sizes of kept, reduced, kept, reduced, ... axes in turn."""
    axes = [(r, s) for s, r in zip(shape, reduced, strict=True) if s != 1]
    runs = [(r, math.prod(s for _, s in run)) for r, run in itertools.groupby(axes, lambda a: a[0])]
    if runs and runs[0][0]:
        runs.insert(0, (False, 1))
    return [size for _, size in runs]
