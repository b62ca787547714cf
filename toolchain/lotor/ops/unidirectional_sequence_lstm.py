"""UNIDIRECTIONAL_SEQUENCE_LSTM: long short-term memory, int8 with int16 cells, or float32."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.lstm_float import FloatLstm, float_lstm_problems, lower_float_lstm
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import FixedPoint, factor_problems, fixed_point
from lotor.ops.sigmoid16 import binary_exponent
from lotor.ops.state import constant_problems, optional, state_problems, symmetric_problems

# Places among the inputs; those of the gates are input, forget, cell, output.
_IN_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_HIDDEN, _CELLS = 18, 19
_REFUSED = {
    range(9, 12): "peephole weights",
    range(16, 18): "a projection",
    range(20, 24): "layer normalization",
}
_GATES = ("input", "forget", "cell", "output")
_HIDDEN_SCALE = 4  # among the intermediate tensors
_TANH = 4  # its number among the fused activations


@dataclass(frozen=True)
class LstmAttributes:
    """Options of the layer.

    Attributes:
        time_major: time is the first axis.
        cell_clip: limit of the cells; 0 for none.
        activation_number: the cells' function.
        projection_clip: limit of the projection; 0 for none.
        asymmetric: float32 is quantized with a zero point, where weights are int8.
    """

    time_major: bool
    cell_clip: float
    activation_number: int
    projection_clip: float
    asymmetric: bool


class UnidirectionalSequenceLstm(Operator):
    """Input [N,T,I] (or [T,N,I]), output [N,T,O], variables [N,O] and [N,C]; int8, float32.

    int8 with int16 cells: four gates with weights [C,I] and [C,C] and int32 biases [C]; no
    peepholes, projection, layer normalization or coupled gates. float32, with weights of float32
    or int8 (see `lstm_float.py`): all of these. The outputs have no clamp that others may be
    folded into.
    """

    kind = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    options = "UnidirectionalSequenceLSTMOptions"
    stateful = True

    def read(self, options: Any) -> LstmAttributes:
        return LstmAttributes(
            bool(options.TimeMajor()),
            options.CellClip(),
            options.FusedActivationFunction(),
            options.ProjClip(),
            bool(options.AsymmetricQuantizeInputs()),
        )

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return float_lstm_problems(op)
        found = int8_problems(x, y)
        if len(x.shape) != 3 or len(y.shape) != 3:
            return [*found, f"input {list(x.shape)} and output {list(y.shape)} need three axes"]
        if y.shape[:2] != x.shape[:2]:
            found.append(f"output {list(y.shape)} does not follow from input {list(x.shape)}")
        for places, name in _REFUSED.items():
            if any(optional(op, place) is not None for place in places):
                found.append(f"{name} is not supported; convert a plain LSTM layer")
        if op.attrs.activation_number != _TANH:
            found.append(f"activation {op.attrs.activation_number} is not supported; tanh needed")
        found += self._weights_problems(op) + self._state_problems(op)
        return found or _range_problems(op)

    @staticmethod
    def _weights_problems(op: Op) -> list[str]:
        inputs, cells = op.input(0).shape[2], op.outputs[0].shape[2]
        found = []
        for gate, a, b, c in zip(_GATES, _IN_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES, strict=True):
            weights = optional(op, a), optional(op, b)
            if gate == "input" and weights == (None, None):
                found.append("coupled input and forget gates are not supported")
                continue
            found += constant_problems(f"{gate} weights", weights[0], DType.INT8, (cells, inputs))
            found += constant_problems(
                f"recurrent {gate} weights", weights[1], DType.INT8, (cells, cells)
            )
            found += constant_problems(f"{gate} bias", optional(op, c), DType.INT32, (cells,))
            found += symmetric_problems(*(w for w in weights if w is not None))
        return found

    @staticmethod
    def _state_problems(op: Op) -> list[str]:
        x, cells = op.input(0), op.outputs[0].shape[2]
        batches = _batches(op)[0]
        shapes = [(batches, cells), (batches * cells,)]
        found = state_problems(op, _HIDDEN, DType.INT8, shapes)
        found += state_problems(op, _CELLS, DType.INT16, shapes)
        if found:
            return found
        found = int8_problems(op.input(_HIDDEN)) + symmetric_problems(op.input(_CELLS))
        if len(op.intermediates) <= _HIDDEN_SCALE:
            found.append("lacks the intermediate tensors that hold its scales; convert it anew")
        elif (hidden := op.intermediates[_HIDDEN_SCALE]).quant is None:
            found.append(f"intermediate tensor '{hidden.name}' lacks its scale; convert it anew")
        if not found and not -15 <= (_cell_exponent(op) or 0) <= -9:
            scale = op.input(_CELLS).q.scale
            found.append(f"cells have scale {scale:g}; a power of two from 2^-15 to 2^-9 needed")
        if not math.isfinite(op.attrs.cell_clip):
            found.append(f"cell clip {op.attrs.cell_clip} is no number")
        return found + ([] if x.elements else ["no input"])

    def macs(self, op: Op) -> int:
        x, cells = op.input(0), op.outputs[0].shape[2]
        if x.dtype is DType.FLOAT32:
            return FloatLstm(op).macs
        return x.shape[0] * x.shape[1] * 4 * cells * (x.shape[2] + cells)

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        if x.dtype is DType.FLOAT32:
            return lower_float_lstm(op)
        hidden, cells = op.input(_HIDDEN), op.input(_CELLS)
        batches, steps = _batches(op)
        factors = [fixed_point(factor) for factor in _factors(op)]
        out = _hidden_factor(op)
        params = {
            "batches": batches,
            "steps": steps,
            "inputs": x.shape[2],
            "cells": y.shape[2],
            "batch_stride": 1 if op.attrs.time_major else steps,
            "step_stride": batches if op.attrs.time_major else 1,
            "cell_bits": 15 + (_cell_exponent(op) or 0),
            "cell_clip": _cell_clip(op),
            "out_multiplier": out.multiplier,
            "out_shift": out.shift,
            "out_offset": op.intermediates[_HIDDEN_SCALE].q.zero_point,
        }
        in_weights, hidden_weights, biases = (
            np.stack([_data(op.input(place)) for place in places])
            for places in (_IN_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES)
        )
        constants = {
            "in_weights": in_weights,
            "hidden_weights": hidden_weights,
            "in_bias": _less_zero_point(biases, in_weights, x),
            "hidden_bias": _less_zero_point(np.zeros_like(biases), hidden_weights, hidden),
            "multiplier": np.array([f.multiplier for f in factors], np.int32),
            "shift": np.array([f.shift for f in factors], np.int8),
        }
        kernel = "unidirectional_sequence_lstm"
        return [KernelCall(kernel, "lstm", [x], [y, hidden, cells], params, constants)]


def _batches(op: Op) -> tuple[int, int]:
    """Return batches and steps of time."""
    first, second = op.input(0).shape[:2]
    return (second, first) if op.attrs.time_major else (first, second)


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


def _less_zero_point(bias: Array, weights: Array, x: Tensor) -> Array:
    """Return biases with the zero point of what is multiplied in them; int32, wrapping."""
    folded = bias.astype(np.int64) - x.q.zero_point * weights.astype(np.int64).sum(axis=2)
    wrapped: Array = folded.astype(np.int32)
    return wrapped


def _cell_exponent(op: Op) -> int | None:
    return binary_exponent(op.input(_CELLS).q.scale)


def _cell_clip(op: Op) -> int:
    """Return the limit of the cells as they are quantized; 0 for none."""
    if not op.attrs.cell_clip > 0:
        return 0
    with np.errstate(over="ignore"):
        ratio = np.float32(op.attrs.cell_clip) / np.float32(op.input(_CELLS).q.scale)
    return int(min(float(ratio), 32767.0))


def _factors(op: Op) -> list[float]:
    """Return the factors from sums to gates in Q3.12, of inputs and outputs in turn; float32."""
    one = np.float32(2.0**-12)
    found = []
    for a, b in zip(_IN_WEIGHTS, _HIDDEN_WEIGHTS, strict=True):
        for place, scale in ((a, op.input(0).q.scale), (b, op.input(_HIDDEN).q.scale)):
            with np.errstate(over="ignore"):  # infinity is refused
                factor = np.float32(op.input(place).q.scale) * np.float32(scale) / one
            found.append(float(factor))
    return found


def _hidden_factor(op: Op) -> FixedPoint:
    """Return the factor from gate times tanh of the cell to the output."""
    real = 2.0**-15 / op.intermediates[_HIDDEN_SCALE].q.scale * 2.0**-15
    with np.errstate(over="ignore"):
        return fixed_point(float(np.float32(real)))


def _range_problems(op: Op) -> list[str]:
    """Return a line if sums or factors leave what the arithmetic holds."""
    found = [line for factor in _factors(op) for line in factor_problems(factor)]
    scale = op.intermediates[_HIDDEN_SCALE].q.scale
    found += factor_problems(2.0**-30 / scale)
    for place in (*_IN_WEIGHTS, *_HIDDEN_WEIGHTS):
        weights = _data(op.input(place)).astype(np.int64)
        if int(np.abs(weights).sum(axis=1).max()) * 128 >= 1 << 31:
            found.append(f"sums of '{op.input(place).name}' may leave int32; fewer inputs needed")
    return found
