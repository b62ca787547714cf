"""Weights of four bits: two to a byte in flash, in kernels of their own around the int8 ones."""

from dataclasses import replace

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
