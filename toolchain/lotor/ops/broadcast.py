"""Broadcasting: how tensors of different shapes are walked over together.

The axes are collapsed here, so that kernels see rows and the few loops around them;
`kernels/common/broadcast.h` takes it from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lotor.graph import Array, Tensor
from lotor.ops.operator import KernelCall

_MAX_RANK = 8  # of the reference too
# One array for all: it is emitted once, and a compiler sees that no layer has loops.
_NO_LOOPS = np.zeros(1, np.int32)


@dataclass(frozen=True)
class Walk:
    """A walk over the output, row by row.

    Attributes:
        row: elements of a row.
        steps: of each input in a row: 1, or 0 where one element serves the whole row.
        loops: int32: the number of loops around the rows; for each, innermost first, its turns and
            what the next turn adds to the place in every input.
    """

    row: int
    steps: tuple[int, ...]
    loops: Array


def broadcast_problems(inputs: Sequence[Tensor], y: Tensor) -> list[str]:
    """Return a line if the inputs' shapes do not broadcast to the output's."""
    shapes = " and ".join(str(list(t.shape)) for t in inputs)
    if max(len(t.shape) for t in (*inputs, y)) > _MAX_RANK:
        return [f"shapes {shapes} have more than {_MAX_RANK} axes; reshape them"]
    try:
        shape = np.broadcast_shapes(*(t.shape for t in inputs))
    except ValueError:
        return [f"shapes {shapes} do not broadcast; each axis must be equal or 1"]
    if shape != y.shape:
        return [f"shapes {shapes} broadcast to {list(shape)}, but the output is {list(y.shape)}"]
    return []


def walk(shapes: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> Walk:
    """Return the walk over inputs of some shapes that broadcast to the output's."""
    axes = _collapsed(shapes, output)
    (row, steps), around = axes[0], axes[1:]
    if not around:
        return Walk(row, tuple(steps), _NO_LOOPS)
    loops = [len(around)]
    back = [0] * len(shapes)  # how far the loops inside have moved on
    for turns, strides in around:
        loops += [turns, *(s - b for s, b in zip(strides, back, strict=True))]
        back = [b + (turns - 1) * s for s, b in zip(strides, back, strict=True)]
    return Walk(row, tuple(steps), np.array(loops, np.int32))


def _collapsed(
    shapes: Sequence[tuple[int, ...]], output: tuple[int, ...]
) -> list[tuple[int, list[int]]]:
    """Return sizes and each input's strides, innermost first, with neighbours joined."""
    rank = len(output)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    strides = [1] * len(shapes)  # of the axis at hand, were it not broadcast
    axes: list[tuple[int, list[int]]] = []
    for axis in reversed(range(rank)):
        size = output[axis]
        if size == 1:
            continue
        now = [0 if p[axis] == 1 else s for p, s in zip(padded, strides, strict=True)]
        if axes and now == [size_s * axes[-1][0] for size_s in axes[-1][1]]:
            axes[-1] = (axes[-1][0] * size, axes[-1][1])
        else:
            axes.append((size, now))
        strides = [s * p[axis] for p, s in zip(padded, strides, strict=True)]
    return axes or [(1, [1] * len(shapes))]


def broadcast_call(
    kernel: str,
    function: str,
    inputs: Sequence[Tensor],
    y: Tensor,
    params: Mapping[str, int | float],
) -> KernelCall:
    """Return the call of a kernel that walks over two inputs, or over a condition and two."""
    found = walk([t.shape for t in inputs], y.shape)
    names = ("condition_step", "a_step", "b_step")[-len(inputs) :]
    geometry: dict[str, int | float] = {"row": found.row}
    geometry |= dict(zip(names, found.steps, strict=True))
    constants = {"loops": found.loops}
    return KernelCall(kernel, function, list(inputs), [y], geometry | dict(params), constants)
