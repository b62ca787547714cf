"""A quantized model as the float model that it stands for: to learn from it, or to start from it.

Constants become the real numbers that they stand for, and activations are no longer rounded. What
quantization has cut off stays cut off only where an activation (ReLU6) says so.
"""

from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Quantization, Tensor

_BORDERS = ("QUANTIZE", "DEQUANTIZE")


def dequantized(graph: Graph) -> Graph:
    """Return a graph that computes in float32 what a quantized one stands for.

    An input or output of int8 becomes one of the real numbers.
    """
    real: dict[int, Tensor] = {}

    def of(tensor: Tensor) -> Tensor:
        if id(tensor) not in real:
            real[id(tensor)] = _real(tensor)
        return real[id(tensor)]

    ops: list[Op] = []
    for op in graph.ops:
        if op.kind in _BORDERS:
            real[id(op.outputs[0])] = of(op.input(0))
            continue
        inputs = [None if tensor is None else of(tensor) for tensor in op.inputs]
        outputs = [of(tensor) for tensor in op.outputs]
        ops.append(replace(op, inputs=inputs, outputs=outputs, clamp=None, uint8=False))
    ends = ([of(tensor) for tensor in some] for some in (graph.inputs, graph.outputs))
    return replace(graph, inputs=next(ends), outputs=next(ends), ops=ops)


def _real(tensor: Tensor) -> Tensor:
    quant = tensor.quant
    if quant is None or tensor.dtype is DType.FLOAT32:
        return tensor
    data = None if tensor.data is None else real_values(tensor.data, quant)
    return replace(tensor, dtype=DType.FLOAT32, quant=None, data=data)


def real_values(data: Array, quant: Quantization) -> Array:
    """Return the real numbers that integers stand for, float32 of the same shape."""
    along = [1] * data.ndim
    if quant.per_channel:
        along[quant.axis] = -1
    steps = data.astype(np.float64) - quant.zero_points.reshape(along)
    return np.asarray(steps * quant.scales.astype(np.float64).reshape(along), np.float32)
