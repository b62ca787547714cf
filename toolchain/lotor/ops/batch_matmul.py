"""BATCH_MATMUL: the product of matrices, batch axes broadcast."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from lotor.graph import DType, Op, Tensor
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.quantization import FixedPoint, factor_problems, fixed_point
from lotor.ops.typed import suffix, typed_problems

_BATCH_AXES = 3
_WIDE_FACTOR = 1 << 7
_WIDE_SUM = 1 << 47
_REDUCED_ONE = 0x7FFF  # the largest multiplier of 64-bit sums


@dataclass(frozen=True)
class BatchMatMulAttributes:
    """Whether the last two axes of the first and the second input change places."""

    adjoint_a: bool
    adjoint_b: bool


@dataclass(frozen=True)
class _Matrices:
    """An input as matrices: sizes of its batch axes, rows and columns, and their steps."""

    batches: tuple[int, ...]
    steps: tuple[int, ...]
    rows: int
    columns: int
    row_step: int
    column_step: int


class BatchMatMul(Operator):
    """Inputs [..., M, K] and [..., K, N] of 2 to 5 axes, output [..., M, N].

    All int8, all int16 (64-bit sums) or all float32 (summed in the reference's order); either
    input may be a constant. There is no fused activation and no clamp to fold in.
    """

    kind = "BATCH_MATMUL"
    inputs = 2
    options = "BatchMatMulOptions"

    def read(self, options: Any) -> BatchMatMulAttributes:
        return BatchMatMulAttributes(bool(options.AdjX()), bool(options.AdjY()))

    def problems(self, op: Op) -> list[str]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        found = typed_problems([a, b, y], DType.INT8, DType.INT16, DType.FLOAT32)
        shapes = f"{list(a.shape)} and {list(b.shape)}"
        if not all(2 <= len(t.shape) <= _BATCH_AXES + 2 for t in (a, b)):
            return [*found, f"inputs {shapes}; 2 to {_BATCH_AXES + 2} axes needed"]
        left, right = _operands(op)
        try:
            batches = np.broadcast_shapes(left.batches, right.batches)
        except ValueError:
            return [*found, f"batch axes of {shapes} do not broadcast; equal or 1 needed"]
        if left.columns != right.rows:
            return [*found, f"matrices of {shapes} do not fit: {left.columns} and {right.rows}"]
        rank = max(len(a.shape), len(b.shape))
        want = (*batches, left.rows, right.columns)[-rank:]
        if want != y.shape:
            found.append(f"output shape {list(y.shape)} does not follow from {shapes}")
        return found or _range_problems(op, left.columns)

    def macs(self, op: Op) -> int:
        return op.outputs[0].elements * _operands(op)[0].columns

    def lower(self, op: Op) -> list[KernelCall]:
        a, b, y = op.input(0), op.input(1), op.outputs[0]
        left, right = _operands(op)
        batches = np.broadcast_shapes(left.batches, right.batches)
        params = {f"batches_{axis}": batches[axis] for axis in range(_BATCH_AXES)}
        params |= {"rows": left.rows, "columns": right.columns, "depth": left.columns}
        params |= {f"a_step_{axis}": left.steps[axis] for axis in range(_BATCH_AXES)}
        params |= {"a_row": left.row_step, "a_depth": left.column_step}
        params |= {f"b_step_{axis}": right.steps[axis] for axis in range(_BATCH_AXES)}
        params |= {"b_column": right.column_step, "b_depth": right.row_step}
        if a.dtype is DType.INT8:
            params |= {
                "a_offset": -a.q.zero_point,
                "b_offset": -b.q.zero_point,
                "out_offset": y.q.zero_point,
            }
        if a.dtype is not DType.FLOAT32:
            factor = fixed_point(_factor(op))
            if a.dtype is DType.INT16:
                factor = _wide(factor)
            params |= {"multiplier": factor.multiplier, "shift": factor.shift}
        kernel = "batch_matmul"
        return [KernelCall(kernel, kernel + suffix(a.dtype), [a, b], [y], params)]


def _operands(op: Op) -> tuple[_Matrices, _Matrices]:
    a, b = op.input(0), op.input(1)
    return _matrices(a, op.attrs.adjoint_a), _matrices(b, op.attrs.adjoint_b)


def _matrices(tensor: Tensor, adjoint: bool) -> _Matrices:
    shape = (1,) * (_BATCH_AXES + 2 - len(tensor.shape)) + tensor.shape
    batches = shape[:_BATCH_AXES]
    steps = tuple(0 if size == 1 else prod(shape[axis + 1 :]) for axis, size in enumerate(batches))
    rows, columns = shape[_BATCH_AXES:]
    if adjoint:
        return _Matrices(batches, steps, columns, rows, 1, columns)
    return _Matrices(batches, steps, rows, columns, columns, 1)


def _factor(op: Op) -> float:
    """Return the factor to the output; the inputs' scales are multiplied in float32."""
    a, b, y = op.input(0), op.input(1), op.outputs[0]
    with np.errstate(over="ignore"):  # infinity is refused
        product = np.float32(a.q.scale) * np.float32(b.q.scale)
    return float(product) / y.q.scale


def _wide(factor: FixedPoint) -> FixedPoint:
    """Return a factor for 64-bit sums: a multiplier of 15 bits, a shift to the right."""
    multiplier = min((factor.multiplier + (1 << 15)) >> 16, _REDUCED_ONE)
    return FixedPoint(multiplier, 15 - factor.shift)


def _range_problems(op: Op, depth: int) -> list[str]:
    """Return a line if the sums or the factor leave what the arithmetic holds."""
    if op.input(0).dtype is DType.FLOAT32:
        return []
    factor, wide = _factor(op), op.input(0).dtype is DType.INT16
    if depth * (1 << 30 if wide else 255 * 255) >= (_WIDE_SUM if wide else 1 << 31):
        return [f"sums of {depth} products may overflow; split the inputs"]
    if wide and not factor < _WIDE_FACTOR:
        return [f"its scales give a factor of {factor:g} to the output; below 2^7 needed"]
    return factor_problems(factor)
