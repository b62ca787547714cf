"""SVDF: a dense layer over the last inputs, factored into features and their weights in time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.quantization import Activation, activation_range, factor_problems, fixed_point
from lotor.ops.state import constant_problems, optional, state_problems, symmetric_problems
from lotor.ops.typed import typed_problems

_BIAS, _STATE = 3, 4
# It takes their bytes for int16, reads and writes beyond their ends, and crashes on real models.
_NARROW = (
    "int8 weights in time and an int8 variable have no reference in LiteRT, which takes them for "
    "int16; convert with int16 ones, as its converter writes them"
)


@dataclass(frozen=True)
class SvdfAttributes:
    """Filters of one output; number of the fused activation, which int8 layers do not apply."""

    rank: int
    fused: int


class Svdf(Operator):
    """Input [N,I], features [F,I], weights in time [F,M], bias [F/rank], variable [N,M*F].

    int8 with int16 weights in time and an int16 variable, or all float32. The reference demands
    a fused RELU of int8 layers and does not apply it; nor does Lotor.
    """

    kind = "SVDF"
    inputs = 3
    options = "SVDFOptions"
    stateful = True

    def read(self, options: Any) -> SvdfAttributes:
        return SvdfAttributes(options.Rank(), options.FusedActivationFunction())

    def problems(self, op: Op) -> list[str]:
        x, features, time, y = op.input(0), op.input(1), op.input(2), op.outputs[0]
        found = typed_problems([x, y], DType.INT8, DType.FLOAT32)
        if len(x.shape) != 2 or len(features.shape) != 2 or len(time.shape) != 2:
            return [*found, "input, features and weights in time must have two axes"]
        filters, rank = features.shape[0], op.attrs.rank
        if rank < 1 or filters % rank:
            return [*found, f"{filters} filters are no multiple of rank {rank}"]
        quantized, state = x.dtype is DType.INT8, optional(op, _STATE)
        if quantized and any(t is not None and t.dtype is DType.INT8 for t in (time, state)):
            return [*found, _NARROW]
        batches, memory = x.shape[0], time.shape[1]
        if y.shape != (batches, filters // rank):
            found.append(f"output must be {[batches, filters // rank]}, not {list(y.shape)}")
        wide = DType.INT16 if quantized else DType.FLOAT32
        found += constant_problems("features", features, x.dtype, (filters, x.shape[1]))
        found += constant_problems("weights in time", time, wide, (filters, memory))
        if optional(op, _BIAS) is not None:
            dtype = DType.INT32 if quantized else DType.FLOAT32
            found += constant_problems("bias", optional(op, _BIAS), dtype, (filters // rank,))
        found += state_problems(op, _STATE, wide, [(batches, memory * filters)])
        found += _activation_problems(op.attrs.fused, quantized)
        if found or not quantized:
            return found
        return symmetric_problems(features, time, op.input(_STATE)) or _range_problems(op)

    def macs(self, op: Op) -> int:
        return op.input(0).shape[0] * (op.input(1).elements + op.input(2).elements)

    def lower(self, op: Op) -> list[KernelCall]:
        x, features, time, y = op.input(0), op.input(1), op.input(2), op.outputs[0]
        params: dict[str, int | float] = {
            "batches": x.shape[0],
            "inputs": x.shape[1],
            "filters": features.shape[0],
            "rank": op.attrs.rank,
            "memory": time.shape[1],
        }
        constants = {"bias": _bias_values(op)}
        outputs = [y, op.input(_STATE)]
        inputs = [x, features, time]
        if x.dtype is DType.FLOAT32:
            params |= _limits(Activation(op.attrs.fused))
            return [KernelCall("svdf", "svdf_float", inputs, outputs, params, constants)]
        low, high = activation_range(op)
        to_state, to_output = (fixed_point(factor) for factor in _factors(op))
        params |= {
            "in_offset": -x.q.zero_point,
            "out_offset": y.q.zero_point,
            "out_min": low,
            "out_max": high,
            "feature_multiplier": to_state.multiplier,
            "feature_shift": to_state.shift,
            "out_multiplier": to_output.multiplier,
            "out_shift": to_output.shift,
        }
        return [KernelCall("svdf", "svdf", inputs, outputs, params, constants)]


def _activation_problems(number: int, quantized: bool) -> list[str]:
    if quantized and number != Activation.RELU.value:
        return ["an int8 layer needs a fused RELU, which the reference demands"]
    if number not in {a.value for a in Activation}:
        return [f"fused activation number {number} is not supported; use NONE, RELU or RELU6"]
    return []


def _limits(activation: Activation) -> dict[str, int | float]:
    low, high = {
        Activation.NONE: (None, None),
        Activation.RELU: (0.0, None),
        Activation.RELU6: (0.0, 6.0),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
    }[activation]
    return {
        "has_min": int(low is not None),
        "has_max": int(high is not None),
        "out_min": low or 0.0,
        "out_max": high or 0.0,
    }


def _bias_values(op: Op) -> Array:
    bias: Tensor | None = optional(op, _BIAS)
    if bias is not None and bias.data is not None:
        return bias.data
    dtype = np.int32 if op.input(0).dtype is DType.INT8 else np.float32
    return np.zeros(op.outputs[0].shape[1], dtype)


def _factors(op: Op) -> tuple[float, float]:
    """Return the factors to the variable and to the output; float32, as the reference's."""
    tensors = op.input(0), op.input(1), op.input(_STATE), op.input(2), op.outputs[0]
    x, features, state, time, y = (np.float32(tensor.q.scale) for tensor in tensors)
    with np.errstate(over="ignore"):  # infinity is refused
        return float(x * features / state), float(state * time / y)


def _range_problems(op: Op) -> list[str]:
    features = op.input(1)
    assert features.data is not None
    if int(np.abs(features.data.astype(np.int64)).sum(axis=1).max()) * 255 >= 1 << 31:
        return [f"sums of {features.shape[1]} products may leave int32; smaller features needed"]
    return [line for factor in _factors(op) for line in factor_problems(factor)]
