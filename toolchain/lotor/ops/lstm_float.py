"""UNIDIRECTIONAL_SEQUENCE_LSTM of float32 activations, with float32 or int8 weights.

Source: `EvalFloat` and `EvalHybrid` of LiteRT's `lstm_eval`; the order of sums is that of Eigen's
products of matrices on x86, which these call.
"""

import math
from dataclasses import dataclass

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.hybrid import row_sum_problems
from lotor.ops.operator import KernelCall, dtype_problems
from lotor.ops.state import constant_problems, optional, state_problems, symmetric_problems

# Places among the inputs; those of the gates are input, forget, cell, output.
_IN_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES = range(1, 5), range(5, 9), range(12, 16)
_PEEPHOLES, _NORMALIZATION = range(9, 12), range(20, 24)
_PROJECTION, _PROJECTION_BIAS, _HIDDEN, _CELLS = range(16, 20)
_GATES = ("input", "forget", "cell", "output")
_PEEPING = ("input", "forget", "output")
_ACTIVATIONS = (1, 2, 3, 4)  # RELU, RELU_N1_TO_1, RELU6, TANH
_SMALL = 20  # Eigen multiplies matrices whose three sizes add up to less one element at a time


@dataclass(frozen=True)
class FloatLstm:
    """The sizes and forms of a layer whose ranks are right.

    Attributes:
        op: the layer.
    """

    op: Op

    @property
    def batches(self) -> int:
        """Sequences side by side."""
        return self.op.input(0).shape[1 if self.op.attrs.time_major else 0]

    @property
    def together(self) -> int:
        """Sequences that the reference computes at once."""
        return self.batches if self.op.attrs.time_major else 1

    @property
    def steps(self) -> int:
        """Length of the sequences."""
        return self.op.input(0).shape[0 if self.op.attrs.time_major else 1]

    @property
    def cells(self) -> int:
        """Cells, from the weights of the output gate."""
        return self.op.input(_IN_WEIGHTS[3]).shape[0]

    @property
    def outputs(self) -> int:
        """Outputs of each step."""
        return self.op.outputs[0].shape[2]

    @property
    def hybrid(self) -> bool:
        """Whether weights are int8, so that activations are quantized at each step."""
        return self.op.input(_IN_WEIGHTS[3]).dtype is DType.INT8

    @property
    def coupled(self) -> bool:
        """Whether the input gate is one less the forget gate."""
        return optional(self.op, _IN_WEIGHTS[0]) is None

    def has(self, place: int) -> bool:
        """Return whether an input is present."""
        return optional(self.op, place) is not None

    @property
    def gates(self) -> range:
        """The gates that have weights."""
        return range(int(self.coupled), 4)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        step = len(self.gates) * self.cells * (self.op.input(0).shape[2] + self.outputs)
        step += self.cells * self.outputs if self.has(_PROJECTION) else 0
        return self.batches * self.steps * step


def float_lstm_problems(op: Op) -> list[str]:
    """Return what stops Lotor from compiling a layer of float32 activations."""
    x, y = op.input(0), op.outputs[0]
    found = dtype_problems([y], DType.FLOAT32)
    if len(x.shape) != 3 or len(y.shape) != 3:
        return [*found, f"input {list(x.shape)} and output {list(y.shape)} need three axes"]
    if len(op.inputs) not in (20, 24):
        return [*found, f"it has {len(op.inputs)} inputs; 20, or 24 with layer normalization"]
    last = optional(op, _IN_WEIGHTS[3])
    if last is None or len(last.shape) != 2:
        return [*found, "lacks its output weights"]
    if last.dtype not in (DType.FLOAT32, DType.INT8) or op.uint8:
        found.append(f"weights '{last.name}' are not float32 or int8; convert it anew")
    if y.shape[:2] != x.shape[:2]:
        found.append(f"output {list(y.shape)} does not follow from input {list(x.shape)}")
    if op.attrs.activation_number not in _ACTIVATIONS:
        found.append(
            f"activation number {op.attrs.activation_number} has no reference; "
            "TANH, RELU, RELU_N1_TO_1 or RELU6 needed"
        )
    for what, clip in (("cell", op.attrs.cell_clip), ("projection", op.attrs.projection_clip)):
        if not (math.isfinite(clip) and clip >= 0):
            found.append(f"{what} clip {clip} is no limit; 0 or a positive number needed")
    lstm = FloatLstm(op)
    found += _weights_problems(lstm) + _vector_problems(lstm)
    for place, size in ((_HIDDEN, lstm.outputs), (_CELLS, lstm.cells)):
        shapes = [(lstm.batches, size), (lstm.batches * size,)]
        found += state_problems(op, place, DType.FLOAT32, shapes)
    return found


def _weights_problems(lstm: FloatLstm) -> list[str]:
    op, dtype = lstm.op, DType.INT8 if lstm.hybrid else DType.FLOAT32
    inputs, cells, outputs = op.input(0).shape[2], lstm.cells, lstm.outputs
    found, matrices = [], []
    if lstm.coupled and any(lstm.has(p) for p in (_HIDDEN_WEIGHTS[0], _BIASES[0])):
        found.append("its input gate lacks weights but has others; give it all or none of them")
    for gate in lstm.gates:
        name = _GATES[gate]
        a, b = (optional(op, places[gate]) for places in (_IN_WEIGHTS, _HIDDEN_WEIGHTS))
        matrices += [(f"{name} weights", a, (cells, inputs))]
        if b is not None and len(b.shape) == 1:
            found.append(f"recurrent {name} weights '{b.name}' are a diagonal; a matrix needed")
        else:
            matrices += [(f"recurrent {name} weights", b, (cells, outputs))]
    if lstm.has(_PROJECTION):
        matrices.append(("projection", optional(op, _PROJECTION), (outputs, cells)))
    elif outputs != cells:
        found.append(f"{cells} cells give {outputs} outputs without a projection; one needed")
    for what, matrix, shape in matrices:
        wrong = constant_problems(what, matrix, dtype, shape)
        if lstm.hybrid and matrix is not None and not wrong:
            wrong = symmetric_problems(matrix) or row_sum_problems(what, matrix)
        found += wrong
    return found


def _vector_problems(lstm: FloatLstm) -> list[str]:
    op, cells = lstm.op, (lstm.cells,)
    wanted = [(f"{_GATES[g]} bias", _BIASES[g], DType.FLOAT32, cells) for g in lstm.gates]
    if any(map(lstm.has, _PEEPHOLES)):
        dtype = DType.INT8 if lstm.hybrid else DType.FLOAT32
        names = zip(_PEEPING, _PEEPHOLES, strict=True)
        peepholes = [(f"{name} peepholes", place, dtype, cells) for name, place in names]
        wanted += peepholes[int(lstm.coupled) :]
    if any(map(lstm.has, _NORMALIZATION)):
        wanted += [
            (f"{_GATES[g]} normalization", _NORMALIZATION[g], DType.FLOAT32, cells)
            for g in lstm.gates
        ]
    if lstm.has(_PROJECTION_BIAS):
        wanted.append(("projection bias", _PROJECTION_BIAS, DType.FLOAT32, (lstm.outputs,)))
    found = []
    if lstm.has(_PROJECTION_BIAS) and not lstm.has(_PROJECTION):
        found.append("has a projection bias without a projection; remove it")
    for what, place, dtype, shape in wanted:
        wrong = constant_problems(what, optional(op, place), dtype, shape)
        if not wrong and dtype is DType.INT8:
            wrong = symmetric_problems(op.input(place))
        found += wrong
    return found


def lower_float_lstm(op: Op) -> list[KernelCall]:
    """Return the kernel call of a layer without problems."""
    lstm, y = FloatLstm(op), op.outputs[0]
    x, hidden, cells = op.input(0), op.input(_HIDDEN), op.input(_CELLS)
    peepholes, normalized = any(map(lstm.has, _PEEPHOLES)), any(map(lstm.has, _NORMALIZATION))
    params: dict[str, int | float] = {
        "batches": lstm.batches,
        "steps": lstm.steps,
        "inputs": x.shape[2],
        "cells": lstm.cells,
        "outputs": lstm.outputs,
        "batch_stride": 1 if op.attrs.time_major else lstm.steps,
        "step_stride": lstm.batches if op.attrs.time_major else 1,
        "activation": op.attrs.activation_number,
        "coupled": int(lstm.coupled),
        "peepholes": int(peepholes),
        "normalized": int(normalized),
        "projected": int(lstm.has(_PROJECTION)),
        "cell_clip": op.attrs.cell_clip,
        "proj_clip": op.attrs.projection_clip,
        "together": int(lstm.together > 1),
    }
    weights = {
        "in_weights": _stacked(op, [_IN_WEIGHTS[g] for g in lstm.gates]),
        "hidden_weights": _stacked(op, [_HIDDEN_WEIGHTS[g] for g in lstm.gates]),
    }
    vectors = {
        "bias": _stacked(op, [_BIASES[g] for g in lstm.gates]),
        "peepholes": _recovered(op, _PEEPHOLES[int(lstm.coupled) :] if peepholes else ()),
        "normalization": _stacked(
            op, [_NORMALIZATION[g] for g in lstm.gates] if normalized else ()
        ),
    }
    bias = optional(op, _PROJECTION_BIAS)
    projection_bias = np.zeros(lstm.outputs, np.float32) if bias is None else _data(bias)
    if not lstm.has(_PROJECTION):
        projection_bias = np.zeros(1, np.float32)
    gates = Tensor(f"{y.name} gates", (4 * lstm.cells,), DType.FLOAT32)
    outputs = [y, hidden, cells, gates]
    kernel = "unidirectional_sequence_lstm"
    projection = [_PROJECTION] if lstm.has(_PROJECTION) else []
    if lstm.hybrid:
        places = [p for g in lstm.gates for p in (_IN_WEIGHTS[g], _HIDDEN_WEIGHTS[g])]
        scales = [op.input(place).q.scale for place in places + projection]
        params["symmetric"] = int(not op.attrs.asymmetric)
        size = max(x.shape[2] + lstm.outputs, lstm.cells if projection else 0)
        outputs.append(Tensor(f"{y.name} quantized", (size,), DType.INT8))
        constants = {
            **weights,
            "projection": _stacked(op, projection, np.int8),
            "scales": np.array(scales, np.float32),
            **vectors,
            "projection_bias": projection_bias,
        }
        return [KernelCall(kernel, "lstm_hybrid", [x], outputs, params, constants)]
    params |= _orders(lstm)
    constants = {
        **weights,
        **vectors,
        "projection": _stacked(op, projection),
        "projection_bias": projection_bias,
    }
    return [KernelCall(kernel, "lstm_float", [x], outputs, params, constants)]


def _orders(lstm: FloatLstm) -> dict[str, int]:
    """Return the orders in which the reference sums on x86, as `lotor_lstm_order` knows them.

    It multiplies with one sequence at a time or, where time is the first axis, with all of them.
    """

    def order(rows: int, columns: int) -> int:
        if lstm.together == 1:
            return 16 if rows == 1 else 4
        return 4 if rows == 1 or rows + columns + lstm.together < _SMALL else 0

    return {
        "in_order": order(lstm.cells, lstm.op.input(0).shape[2]),
        "hidden_order": order(lstm.cells, lstm.outputs),
        "projection_order": order(lstm.outputs, lstm.cells),
    }


def _data(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return tensor.data


def _stacked(op: Op, places: list[int] | tuple[()], dtype: type = np.float32) -> Array:
    """Return the constants of several gates; a single zero for none."""
    if not places:
        return np.zeros(1, dtype)
    return np.stack([_data(op.input(place)) for place in places])


def _recovered(op: Op, places: range | tuple[()]) -> Array:
    """Return peepholes as float32; those of int8 times their scales."""
    if not places:
        return np.zeros(1, np.float32)
    found = []
    for tensor in map(op.input, places):
        scale = np.float32(tensor.q.scale if tensor.dtype is DType.INT8 else 1)
        found.append(_data(tensor).astype(np.float32) * scale)
    return np.stack(found)
