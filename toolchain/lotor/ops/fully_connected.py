"""FULLY_CONNECTED: a dense layer, weights per tensor or per channel."""

from dataclasses import dataclass
from typing import Any

from lotor.graph import Op
from lotor.ops.convolution import bias_values, constant, weights_problems
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.quantization import (
    activation_problems,
    activation_range,
    channel_scales,
)


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """Fused activation number; weights format (0 is the plain one)."""

    activation: int
    weights_format: int


class FullyConnected(Operator):
    """Input [..., K] (flattened to rows of K), weights [O,K], bias [O]; int8.

    Unlike every other operator, LiteRT's reference requantizes it in float64, rounding half away
    from zero; so does the kernel.
    """

    kind = "FULLY_CONNECTED"
    inputs = 2
    options = "FullyConnectedOptions"

    def read(self, options: Any) -> FullyConnectedAttributes:
        return FullyConnectedAttributes(options.FusedActivationFunction(), options.WeightsFormat())

    def problems(self, op: Op) -> list[str]:
        x, weights, y = op.input(0), op.input(1), op.outputs[0]
        if op.attrs.weights_format != 0:
            return ["shuffled weights are not supported; convert without weight shuffling"]
        if len(weights.shape) != 2:
            return [f"weights have shape {list(weights.shape)}; [O, K] needed"]
        outputs, inputs = weights.shape
        found = weights_problems(op, outputs, axis=0)
        if x.elements % inputs or y.elements != x.elements // inputs * outputs:
            found.append(f"weights {list(weights.shape)} do not fit {x.elements} inputs")
        return found + activation_problems(op.attrs.activation)

    def macs(self, op: Op) -> int:
        return op.outputs[0].elements * op.input(1).shape[1]

    def lower(self, op: Op) -> list[KernelCall]:
        x, weights, y = op.input(0), op.input(1), op.outputs[0]
        outputs, inputs = weights.shape
        low, high = activation_range(op)
        params = {
            "batches": x.elements // inputs,
            "inputs": inputs,
            "outputs": outputs,
            "in_offset": -x.q.zero_point,
            "out_offset": y.q.zero_point,
            "out_min": low,
            "out_max": high,
            "scale_step": int(weights.q.per_channel),
        }
        constants = {
            "weights": constant(weights),
            "bias": bias_values(op, outputs),
            "scale": channel_scales(x, weights, y, weights.q.scales.size),
        }
        kernel = "fully_connected"
        return [KernelCall(kernel, kernel, [x], [y], params, constants)]
