"""Copies between regular arrangements of elements: what operators that only move data become."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.ops.operator import KernelCall

DIMENSIONS = 6  # that one call of the kernel walks through, besides a run of bytes
_Dimension = tuple[int, int, int]  # size, stride of the source, stride of the target
_MAX_CALLS = 256  # of one layer; each is a few lines of C


@dataclass(frozen=True)
class View:
    """A regular arrangement of a tensor's elements.

    The element of index `(i, j, ...)`, below `shape`, lies `start + i * strides[0] + j *
    strides[1] + ...` elements behind the tensor's first one. Negative strides go backwards, a
    stride of 0 repeats.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int = 0

    @staticmethod
    def of(tensor: Tensor) -> "View":
        """Return all elements of a tensor in their order, where the tensor lies in memory."""
        strides = [1]
        for axis in range(len(tensor.shape) - 1, 0, -1):
            last = axis == len(tensor.shape) - 1
            strides.append(tensor.step if last else strides[-1] * tensor.shape[axis])
        return View(tensor, tensor.shape, tuple(reversed(strides[: len(tensor.shape)])))

    def permuted(self, axes: Sequence[int]) -> "View":
        """Return the same elements with axes in another order."""
        shape, strides = (tuple(old[a] for a in axes) for old in (self.shape, self.strides))
        return replace(self, shape=shape, strides=strides)

    def part(self, axis: int, start: int, count: int, step: int = 1) -> "View":
        """Return `count` slices of an axis, from `start` on in steps."""
        stride = self.strides[axis]
        return replace(
            self,
            shape=_with(self.shape, axis, count),
            strides=_with(self.strides, axis, stride * step),
            start=self.start + start * stride,
        )

    def at(self, axis: int, index: int) -> "View":
        """Return one slice of an axis, without the axis."""
        shape, strides = (_with(old, axis) for old in (self.shape, self.strides))
        start = self.start + index * self.strides[axis]
        return replace(self, shape=shape, strides=strides, start=start)

    def split(self, axis: int, inner: int) -> "View":
        """Return an axis as two: the outer one counts blocks of `inner` slices."""
        size, stride = self.shape[axis], self.strides[axis]
        return replace(
            self,
            shape=_with(self.shape, axis, size // max(inner, 1), inner),
            strides=_with(self.strides, axis, stride * inner, stride),
        )

    def repeated(self, axis: int, times: int) -> "View":
        """Return with a new axis along which the same elements come again and again."""
        shape = (*self.shape[:axis], times, *self.shape[axis:])
        strides = (*self.strides[:axis], 0, *self.strides[axis:])
        return replace(self, shape=shape, strides=strides)

    def of_values(self, values: Array) -> Array:
        """Return the elements out of the tensor's values, sharing their memory.

        Raises:
            IndexError: an element lies outside.
        """
        flat = values.reshape(-1)
        ends = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        low, high = (self.start + sum(f(end, 0) for end in ends) for f in (min, max))
        if 0 in self.shape:
            return np.empty(self.shape, values.dtype)
        if low < 0 or high >= flat.size:
            raise IndexError(f"elements {low} ... {high} of {flat.size}")
        steps = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(flat[self.start :], self.shape, steps)


def _with(old: tuple[int, ...], axis: int, *new: int) -> tuple[int, ...]:
    return (*old[:axis], *new, *old[axis + 1 :])


@dataclass(frozen=True)
class Copy:
    """For every index of their common shape, `target[index] = source[index]`.

    Attributes:
        source: what is read, of a constant or of another tensor than is written.
        target: what is written.
        table: uint8[256], what stands for each byte where it is replaced on the way; else None.
    """

    source: View
    target: View
    table: Array | None = None

    def dimensions(self) -> list[_Dimension]:
        """Return (size, source stride, target stride) of as few dimensions as can be."""
        merged: list[_Dimension] = []
        rows = zip(self.source.shape, self.source.strides, self.target.strides, strict=True)
        for size, read, write in rows:
            if size == 1:
                continue
            if merged and merged[-1][1:] == (read * size, write * size):
                merged[-1] = merged[-1][0] * size, read, write
            else:
                merged.append((size, read, write))
        return merged

    @property
    def elements(self) -> int:
        """How many elements it moves."""
        return math.prod(self.source.shape)

    @property
    def in_place(self) -> bool:
        """Whether one tensor was placed inside the other, just there where this copy puts it."""
        read, write = self.source.tensor, self.target.tensor
        shift = None
        if read.within is not None and read.within.base is write:
            shift = read.within.offset
        elif write.within is not None and write.within.base is read:
            shift = -write.within.offset
        if shift is None or self.table is not None:
            return False
        distance = (self.target.start - self.source.start) * read.np_dtype.itemsize
        return distance == shift

    @property
    def whole(self) -> bool:
        """Whether it copies all elements of a tensor to all of another in the same order."""
        elements = self.source.tensor.elements
        if (self.source.start, self.target.start) != (0, 0) or self.table is not None:
            return False
        return elements == self.target.tensor.elements and self.dimensions() in (
            [(elements, 1, 1)],
            [],
        )

    def calls(self) -> list[KernelCall]:
        """Return the kernel calls; several where there are too many dimensions for one."""
        if 0 in self.source.shape:
            return []
        dims, run, unrolled = self._loops()
        return [
            self._call(dims, run, index, unrolled)
            for index in itertools.product(*(range(size) for size, _, _ in unrolled))
        ]

    def count(self) -> int:
        """Return how many calls that are."""
        return math.prod(size for size, _, _ in self._loops()[2])

    def _loops(self) -> tuple[list[_Dimension], int, list[_Dimension]]:
        """Return the kernel's dimensions, the run, and those for which calls are repeated."""
        dims, run = self.dimensions(), 1
        if dims and dims[-1][1:] == (1, 1):
            run = dims.pop()[0]
        most = DIMENSIONS if self.table is None else 2
        unrolled = []
        while len(dims) > most:
            unrolled.append(dims.pop(min(range(len(dims)), key=lambda k: dims[k][0])))
        return [(1, 0, 0)] * (most - len(dims)) + dims, run, unrolled

    def _call(
        self,
        dims: Sequence[_Dimension],
        run: int,
        index: Sequence[int],
        unrolled: Sequence[_Dimension],
    ) -> KernelCall:
        source, target = self.source, self.target
        item = target.tensor.np_dtype.itemsize
        read = sum(i * dim[1] for i, dim in zip(index, unrolled, strict=True)) + source.start
        write = sum(i * dim[2] for i, dim in zip(index, unrolled, strict=True)) + target.start
        params = {"run": run * item, "in_start": read * item, "out_start": write * item}
        for k, (size, read, write) in enumerate(dims):
            params |= {f"size_{k}": size, f"in_{k}": read * item, f"out_{k}": write * item}
        function = "copy" if self.table is None else "copy_table"
        constants = {} if self.table is None else {"table": self.table}
        return KernelCall("copy", function, [source.tensor], [target.tensor], params, constants)

    def apply(self, values: Array, result: Array) -> None:
        """Do it with the values of the source's and the target's tensor."""
        moved = self.source.of_values(values)
        if self.table is not None:
            moved = self.table[moved.astype(np.uint8)].view(moved.dtype)
        self.target.of_values(result)[...] = moved


def filled(view: View, value: int | float) -> Copy:
    """Return the copy that writes one value everywhere."""
    dtype = view.tensor.dtype
    data = np.array([value], dtype.numpy)
    source = Tensor("value", (1,), dtype, data=data)
    return Copy(View(source, view.shape, (0,) * len(view.shape)), view)


def calls_problems(copies: Sequence[Copy]) -> list[str]:
    """Return a line if copies need too many kernel calls."""
    count = sum(copy.count() for copy in copies)
    if count <= _MAX_CALLS:
        return []
    return [f"needs {count} copies, at most {_MAX_CALLS} are made; use fewer dimensions or blocks"]


def movable_problems(tensors: Sequence[Tensor]) -> list[str]:
    """Return a line for each tensor of another type than the first, or of an unknown one."""
    dtype = tensors[0].dtype
    if dtype is DType.OTHER:
        return [f"tensor '{tensors[0].name}' has a type that Lotor does not know"]
    return [
        f"tensor '{tensor.name}' is {tensor.dtype.value}, '{tensors[0].name}' {dtype.value}; "
        "one type needed"
        for tensor in tensors
        if tensor.dtype is not dtype
    ]


def stored_problems(tensors: Sequence[Tensor]) -> list[str]:
    """Return a line for each tensor of a type that exists in constants only."""
    return [
        f"tensor '{tensor.name}' is {tensor.dtype.value}, which is for constants only; "
        "quantize the model to int8"
        for tensor in tensors
        if tensor.dtype in (DType.FLOAT16, DType.INT4)
    ]


def integers(tensor: Tensor | None, count: int) -> list[int] | None:
    """Return the numbers of a constant of `count` integers, None if it is anything else."""
    if tensor is None or tensor.data is None or tensor.elements != count:
        return None
    if tensor.dtype not in (DType.INT8, DType.INT16, DType.INT32, DType.INT64):
        return None
    return [int(v) for v in tensor.data.reshape(-1)]


def axis_of(axis: int, rank: int) -> int | None:
    """Return an axis counted from the first one, None if there is no such axis."""
    return axis % rank if -rank <= axis < rank else None
