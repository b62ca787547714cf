"""Float32 activations beside int8 weights: dynamic-range quantization.

LiteRT quantizes the activations of each image while the model runs, then sums integers.
Source: `EvalHybrid`, `EvalHybridPerChannel` of CONV_2D and DEPTHWISE_CONV_2D, and
`PortableSymmetricQuantizeFloats`, `PortableAsymmetricQuantizeFloats` of LiteRT's kernel library.
"""

from math import prod

import numpy as np

from lotor.graph import DType, Tensor
from lotor.ops.operator import KernelCall
from lotor.ops.weighted import Weighted, constant


def is_hybrid(w: Weighted) -> bool:
    """Return whether a layer has float32 activations and weights of 8 bits or fewer."""
    return w.x.dtype is DType.FLOAT32 and w.weights.dtype in (DType.INT8, DType.INT4)


def equal_scales(w: Weighted) -> bool:
    """Return whether one scale serves all weights, which the reference quantizes for otherwise."""
    return bool(np.all(w.weights.q.scales == w.weights.q.scales[0]))


def hybrid_problems(w: Weighted) -> list[str]:
    """Return what is wrong with types and values of a layer with dynamic quantization."""
    weights, bias = w.weights, w.bias
    if w.y.dtype is not DType.FLOAT32:
        return [f"output '{w.y.name}' is {w.y.dtype.value}; float32 needed beside a float32 input"]
    if weights.data is None:
        return [f"weights '{weights.name}' are computed at run time; constants needed"]
    if weights.quant is None or np.any(weights.q.zero_points != 0):
        return [f"weights '{weights.name}' need scales, and zero point 0"]
    found = []
    if weights.q.scales.size not in (1, w.channels) or (
        weights.q.per_channel and weights.q.axis != w.axis
    ):
        found.append(
            f"weights '{weights.name}' have {weights.q.scales.size} scales on axis "
            f"{weights.q.axis}; 1, or {w.channels} on axis {w.axis} needed"
        )
    if bias is not None and (
        bias.data is None
        or bias.dtype is not DType.FLOAT32
        or bias.elements != w.channels
        or not np.all(np.isfinite(bias.data))
    ):
        found.append(f"bias '{bias.name}' must be constant finite float32[{w.channels}]")
    others = tuple(i for i in range(len(weights.shape)) if i != w.axis)
    sums = np.abs(constant(weights).astype(np.int64)).sum(axis=others)
    if int(sums.max()) * 255 >= 1 << 31:
        taps = prod(weights.shape[i] for i in others)
        found.append(f"sums of {taps} products may leave int32; split the layer's input")
    return found


def row_sum_problems(what: str, matrix: Tensor) -> list[str]:
    """Return a line if sums of products with a constant's rows have no reference or leave int32.

    Only for those that the reference computes with `MatrixBatchVectorMultiplyAccumulate`.

    Args:
        what: what the constant is called.
        matrix: a constant of two axes.
    """
    weights = constant(matrix).astype(np.int64)
    if int(weights.min()) == -128:
        # The reference's code for x86 takes it for 128 beside a negative number.
        return [f"{what} '{matrix.name}' hold -128, which the reference miscounts; -127 at least"]
    if int(np.abs(weights).sum(axis=1).max()) * 255 >= 1 << 31:
        return [f"sums of '{matrix.name}' may leave int32; fewer inputs needed"]
    return []


def quantize_call(x: Tensor, symmetric: bool, batches: int) -> KernelCall:
    """Return the call that quantizes every image (or row): int8 numbers, its scale, its zero point.

    Args:
        x: the activations.
        symmetric: from -127 to 127 around zero.
        batches: how many images or rows there are.
    """
    outputs = [
        Tensor(f"{x.name} as int8", x.shape, DType.INT8),
        Tensor(f"{x.name} scales", (batches,), DType.FLOAT32),
        Tensor(f"{x.name} zero points", (batches,), DType.INT32),
    ]
    params = {
        "batches": batches,
        "elements": x.elements // batches,
        "symmetric": int(symmetric),
    }
    return KernelCall("hybrid", "hybrid_quantize", [x], outputs, params)
