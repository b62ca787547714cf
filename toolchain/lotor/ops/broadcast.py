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
class Operand:
    """What a walk goes over.

    Attributes:
        shape: dimensions, outermost first.
        step: elements from one row of the last axis to the next in memory.
    """

    shape: tuple[int, ...]
    step: int

    @classmethod
    def of(cls, tensor: Tensor) -> "Operand":
        """Return a tensor as it lies in memory."""
        return cls(tensor.shape, tensor.step)

    def strides(self, rank: int) -> list[int]:
        """Return the elements from one to the next on every axis, 0 where one serves them all."""
        shape = (1,) * (rank - len(self.shape)) + self.shape
        found, stride = [], 1
        for axis in reversed(range(rank)):
            found.append(0 if shape[axis] == 1 else stride)
            stride = self.step if axis == rank - 1 else stride * shape[axis]
        return found[::-1]


@dataclass(frozen=True)
class Walk:
    """A walk over the output, row by row; in a row the outputs lie side by side.

    Attributes:
        row: elements of a row.
        steps: of each input in a row; 0 where one element serves the whole row.
        loops: int32: the number of loops around the rows; for each, innermost first, its turns and
            what the next turn adds to the place in every input and in the output.
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


def walk(inputs: Sequence[Operand], output: Operand) -> Walk:
    """Return the walk over inputs whose shapes broadcast to the output's."""
    axes = _collapsed([*inputs, output], output.shape)
    if axes[0][1][-1] != 1:  # the outputs lie apart: each is a row
        axes.insert(0, (1, [1] * (len(inputs) + 1)))
    (row, steps), around = axes[0], axes[1:]
    if not around:
        return Walk(row, tuple(steps[:-1]), _NO_LOOPS)
    loops = [len(around)]
    back = [0] * len(steps)  # how far the loops inside have moved on
    for turns, strides in around:
        loops += [turns, *(s - b for s, b in zip(strides, back, strict=True))]
        back = [b + (turns - 1) * s for s, b in zip(strides, back, strict=True)]
    return Walk(row, tuple(steps[:-1]), np.array(loops, np.int32))


def _collapsed(operands: Sequence[Operand], shape: tuple[int, ...]) -> list[tuple[int, list[int]]]:
    """Return sizes and each operand's strides, innermost first, with neighbours joined."""
    strides = [operand.strides(len(shape)) for operand in operands]
    axes: list[tuple[int, list[int]]] = []
    for axis in reversed(range(len(shape))):
        size, now = shape[axis], [s[axis] for s in strides]
        if size == 1:
            continue
        if axes and now == [size_s * axes[-1][0] for size_s in axes[-1][1]]:
            axes[-1] = (axes[-1][0] * size, axes[-1][1])
        else:
            axes.append((size, now))
    return axes or [(1, [1] * len(operands))]


def broadcast_call(
    kernel: str,
    function: str,
    inputs: Sequence[Tensor],
    y: Tensor,
    params: Mapping[str, int | float],
) -> KernelCall:
    """Return the call of a kernel that walks over two inputs, or over a condition and two."""
    found = walk([Operand.of(t) for t in inputs], Operand.of(y))
    names = ("condition_step", "a_step", "b_step")[-len(inputs) :]
    geometry: dict[str, int | float] = {"row": found.row}
    geometry |= dict(zip(names, found.steps, strict=True))
    constants = {"loops": found.loops}
    return KernelCall(kernel, function, list(inputs), [y], geometry | dict(params), constants)
