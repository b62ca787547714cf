"""Weights of four bits: two to a byte in flash, in kernels of their own around the int8 ones."""

from dataclasses import replace

import numpy as np

from lotor.graph import DType, Tensor
from lotor.ops.operator import KernelCall


def with_packed_weights(call: KernelCall, weights: Tensor, scratch: int = 0) -> KernelCall:
    """Return a call of an int8 kernel, or if the weights are int4, of the one that unpacks them.

    Args:
        call: takes the weights as constant `weights`.
        weights: a constant.
        scratch: bytes that the kernel unpacks into, as its last argument; 0 for no such argument.
    """
    if weights.dtype is not DType.INT4:
        return call
    filters = [Tensor(f"{weights.name} unpacked", (scratch,), DType.INT8)] if scratch else []
    return replace(
        call,
        kernel="int4",
        function=f"{call.function}_int4",
        structure=call.function,
        constants={**call.constants, "weights": weights.packed},
        outputs=[*call.outputs, *filters],
    )


def unpacked(call: KernelCall) -> KernelCall:
    """Return the call of the int8 kernel that a convolution's call of int4 weights stands for."""
    p = call.params
    shape = (p["out_c"], p["kernel_h"], p["kernel_w"], p["group_c"])
    rows = call.constants["weights"].reshape(shape[0], -1)
    halves = np.stack([rows << 4 >> 4, rows >> 4], axis=-1).reshape(shape[0], -1)
    weights = halves[:, : shape[1] * shape[2] * shape[3]].reshape(shape)
    return replace(
        call,
        kernel=str(call.structure),
        function=str(call.structure),
        structure=None,
        constants={**call.constants, "weights": weights},
        outputs=call.outputs[:1],
    )
