"""What operators share that keep something from one run to the next."""

from collections.abc import Sequence

from lotor.graph import DType, Op, Tensor


def state_problems(
    op: Op, index: int, dtype: DType, shapes: Sequence[tuple[int, ...]]
) -> list[str]:
    """Return what is wrong with a variable that a layer reads and writes.

    Args:
        op: the layer.
        index: of the variable among the inputs.
        dtype: the type that it must have.
        shapes: the shapes that it may have.
    """
    state = optional(op, index)
    if state is None or not state.variable or state.data is not None:
        return [f"input {index} must be a variable, which the layer keeps between runs"]
    found = []
    if state.dtype is not dtype:
        found.append(f"variable '{state.name}' is {state.dtype.value}; {dtype.value} needed")
    if state.shape not in shapes:
        names = " or ".join(str(list(shape)) for shape in shapes)
        found.append(f"variable '{state.name}' has shape {list(state.shape)}; {names} needed")
    return found


def optional(op: Op, index: int) -> Tensor | None:
    """Return an input that may be absent."""
    return op.inputs[index] if index < len(op.inputs) else None


def constant_problems(
    what: str, tensor: Tensor | None, dtype: DType, shape: tuple[int, ...]
) -> list[str]:
    """Return a line if an input is not a constant of a type and a shape."""
    if tensor is None:
        return [f"lacks its {what}"]
    if tensor.data is None or tensor.dtype is not dtype or tensor.shape != shape:
        return [f"{what} '{tensor.name}' must be a constant {dtype.value}{list(shape)}"]
    return []


def symmetric_problems(*tensors: Tensor) -> list[str]:
    """Return a line for each quantized tensor without exactly one scale and zero point 0."""
    return [
        f"'{tensor.name}' needs one scale and zero point 0"
        for tensor in tensors
        if tensor.quant is None or tensor.quant.per_channel or tensor.q.zero_point != 0
    ]
