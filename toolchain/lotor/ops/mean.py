"""MEAN: the mean over any axes."""

from typing import ClassVar

import numpy as np

from lotor.graph import Array, DType, Op
from lotor.ops.quantization import activation_range, factor_problems, fixed_point
from lotor.ops.reduction import Reduction, count, running

# Inputs of one output whose distances to the zero point are sure to add up within int32.
_MOST = {DType.INT8: (1 << 23) - 1, DType.INT16: (1 << 16) - 1}


class Mean(Reduction):
    """int8 and int16, the division folded into the scale; int32 towards zero; float32."""

    kind = "MEAN"
    dtypes: ClassVar[tuple[DType, ...]] = (
        DType.INT8,
        DType.INT16,
        DType.INT32,
        DType.FLOAT32,
    )
    kernel = ("mean", "mean")
    clamps = True

    def limits(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.dtype not in _MOST:
            return []
        found = factor_problems(x.q.scale / y.q.scale)
        if count(op) > _MOST[x.dtype]:
            found.append(
                f"{count(op)} inputs of one output; at most {_MOST[x.dtype]}, as sums are int32"
            )
        return found

    def arithmetic(self, op: Op) -> dict[str, int | float]:
        x = op.input(0)
        if x.dtype is DType.INT32:
            return {"count": self.divisor(op)}
        if x.dtype is DType.FLOAT32:
            return {"count": float(self.divisor(op)), "initial": self.initial(op)}
        multiplier, shift = self.factor(op)
        low, high = activation_range(op)
        return {
            "in_zero_points": x.q.zero_point * count(op),
            "out_offset": op.outputs[0].q.zero_point,
            "multiplier": multiplier,
            "shift": shift,
            "out_min": low,
            "out_max": high,
        }

    def factor(self, op: Op) -> tuple[int, int]:
        """Return multiplier and shift from a sum to the quantized output."""
        factor = fixed_point(op.input(0).q.scale / op.outputs[0].q.scale)
        # The reference folds 1/count into the multiplier, keeping as many bits as fit.
        shift = min(count(op).bit_length() - 1, 32, 31 + factor.shift)
        return (factor.multiplier << shift) // count(op), factor.shift - shift

    def divisor(self, op: Op) -> int:
        """Return by what a sum of int32 or float32 is divided."""
        return count(op)

    def initial(self, op: Op) -> float:
        """Return what a sum of float32 begins with."""
        return 0.0

    def fold(self, op: Op, lines: Array) -> Array | None:
        if lines.dtype == np.int32:
            sums = lines.astype(np.int64).sum(axis=0)
            means = np.abs(sums) // self.divisor(op) * np.sign(sums)
            return np.asarray(means.astype(np.uint32).view(np.int32))
        if lines.dtype == np.float32:
            with np.errstate(all="ignore"):
                return np.asarray(running(lines, self.initial(op)) / np.float32(self.divisor(op)))
        return None
