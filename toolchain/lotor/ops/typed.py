"""Checks of operators that take several element types."""

from collections.abc import Sequence

from lotor.graph import DType, Tensor
from lotor.ops.operator import dtype_problems, int8_problems


def typed_problems(tensors: Sequence[Tensor], *allowed: DType) -> list[str]:
    """Return a line for each tensor of another type than the first, or of one not allowed.

    int8 and int16 tensors need one scale; the zero point of int16 is 0.
    """
    dtype = tensors[0].dtype
    found = dtype_problems(tensors[:1], *allowed) or dtype_problems(tensors, dtype)
    if found:
        return found
    if dtype is DType.INT8:
        return int8_problems(*tensors)
    if dtype is DType.INT16:
        return [line for tensor in tensors for line in _int16_problems(tensor)]
    return []


def _int16_problems(tensor: Tensor) -> list[str]:
    if tensor.quant is None or tensor.quant.per_channel:
        return [f"activation '{tensor.name}' needs one scale and zero point"]
    if tensor.q.zero_point != 0:
        return [f"int16 '{tensor.name}' has zero point {tensor.q.zero_point}; 0 needed"]
    return []


def suffix(dtype: DType) -> str:
    """Return the end of a kernel function's name for a type; int8's has none."""
    return {DType.INT8: "", DType.FLOAT32: "_float"}.get(dtype, f"_{dtype.value}")
