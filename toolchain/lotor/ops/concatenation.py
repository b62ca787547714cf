"""CONCATENATION: inputs one after the other along an axis; uint8 inputs are rescaled."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.copy import Copy, View, axis_of
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.quantization import Activation


@dataclass(frozen=True)
class ConcatenationAttributes:
    """Axis, fused activation number."""

    axis: int
    activation: int


class Concatenation(Movement):
    """One or more inputs that differ in the axis alone.

    int8 inputs share the output's quantization, int16 ones have a zero point of 0. There is no
    fused activation, as in the reference.
    """

    kind = "CONCATENATION"
    options = "ConcatenationOptions"

    def read(self, options: Any) -> ConcatenationAttributes:
        return ConcatenationAttributes(options.Axis(), options.FusedActivationFunction())

    def moved(self, op: Op) -> list[Tensor]:
        return [*(t for t in op.inputs if t is not None), *op.outputs]

    def form_problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        axis = axis_of(op.attrs.axis, len(x.shape))
        if axis is None:
            return [f"axis {op.attrs.axis} does not exist in {len(x.shape)} dimensions"]
        for t in self.moved(op):
            same = t.shape[:axis] + t.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]
            if len(t.shape) != len(x.shape) or not same:
                return [f"'{t.name}' {list(t.shape)} differs from {list(x.shape)} off axis {axis}"]
        if op.attrs.activation != Activation.NONE.value:
            return ["has a fused activation, which the reference refuses; use a layer of its own"]
        total = sum(t.shape[axis] for t in self.moved(op)[:-1])
        shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
        return wrong_shape(y, shape) or self._quantization_problems(op)

    def _quantization_problems(self, op: Op) -> list[str]:
        y = op.outputs[0]
        found = []
        for t in self.moved(op):
            quants = _quantization(t), _quantization(y)
            if t.dtype is DType.INT8 and not op.uint8 and quants[0] != quants[1]:
                found.append(f"'{t.name}' must have scale and zero point of '{y.name}'")
            if t.dtype is DType.INT16 and quants[0][1] != 0:
                found.append(f"int16 '{t.name}' has zero point {quants[0][1]}; 0 needed")
        return found

    def copies(self, op: Op) -> list[Copy]:
        y = op.outputs[0]
        axis = op.attrs.axis % len(y.shape)
        found, start = [], 0
        for x in self.moved(op)[:-1]:
            size = x.shape[axis]
            target = View.of(y).part(axis, start, size)
            found.append(Copy(View.of(x), target, _table(x, y)))
            start += size
        return found


def _quantization(t: Tensor) -> tuple[float, int]:
    """Return scale and zero point as the reference sees them: (0, 0) where there are none."""
    return (0.0, 0) if t.quant is None else (t.q.scale, t.q.zero_point)


def _table(x: Tensor, y: Tensor) -> Array | None:
    """Return uint8[256]: what the bytes of an input become, None if they stay.

    In float32, half away from zero, as `ConcatenationWithScaling` of LiteRT's reference kernels.
    """
    if x.dtype not in (DType.UINT8, DType.INT8) or _quantization(x) == _quantization(y):
        return None
    flip = 128 if x.dtype is DType.INT8 else 0  # the reference has uint8 with 128 more
    scale = np.float32(x.q.scale) * (np.float32(1) / np.float32(y.q.scale))
    values = np.arange(256).astype(np.float32)
    real = values * scale + np.float32(-(x.q.zero_point + flip)) * scale
    exact = real.astype(np.float64)
    steps = np.copysign(np.floor(np.abs(exact) + 0.5), exact)
    result = np.clip(steps + y.q.zero_point + flip, 0, 255).astype(np.uint8)
    table: Array = result[np.arange(256) ^ flip] ^ np.uint8(flip)
    return table
