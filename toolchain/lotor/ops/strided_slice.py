"""STRIDED_SLICE: a box out of a tensor in steps, backwards too, with axes added and dropped.

Source: the behaviour of `BuildStridedSliceParams`, `StartForAxis` and `EndForAxis` of LiteRT's
kernel library.
"""

from dataclasses import dataclass
from typing import Any

from lotor.graph import Op
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape

_MAX_INDICES = 31  # the masks have a bit for each


@dataclass(frozen=True)
class StridedSliceAttributes:
    """Masks of one bit for each index; `offset` says that ends count from the begins."""

    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink: int
    offset: bool


@dataclass(frozen=True)
class _Range:
    """What is taken of one axis; of a new one nothing is."""

    start: int
    count: int
    step: int
    new: bool = False
    dropped: bool = False


def _taken(ranges: list[_Range]) -> tuple[int, ...]:
    return tuple(r.count for r in ranges if not r.dropped)


def _bit(mask: int, index: int) -> bool:
    return bool(mask >> index & 1)


class StridedSlice(Movement):
    """Any input; begin, end and strides [indices] int32 constant."""

    kind = "STRIDED_SLICE"
    inputs = 4
    options = "StridedSliceOptions"

    def read(self, options: Any) -> StridedSliceAttributes:
        return StridedSliceAttributes(
            options.BeginMask(),
            options.EndMask(),
            options.EllipsisMask(),
            options.NewAxisMask(),
            options.ShrinkAxisMask(),
            bool(options.Offset()),
        )

    def form_problems(self, op: Op) -> list[str]:
        ranges = self._ranges(op)
        return [ranges] if isinstance(ranges, str) else wrong_shape(op.outputs[0], _taken(ranges))

    def shape(self, op: Op) -> tuple[int, ...] | None:
        """Return the output's shape, None if it does not follow."""
        ranges = self._ranges(op)
        return None if isinstance(ranges, str) else _taken(ranges)

    def copies(self, op: Op) -> list[Copy]:
        view, axis = View.of(op.input(0)), 0
        for taken in self._ranges(op):
            assert isinstance(taken, _Range)  # `form_problems` has found no line
            if taken.new:
                view = view.repeated(axis, 1)
            elif taken.dropped:
                view = view.at(axis, taken.start)
                continue
            else:
                view = view.part(axis, taken.start, taken.count, taken.step)
            axis += 1
        return [Copy(view, View.of(op.outputs[0]))]

    def _ranges(self, op: Op) -> list[_Range] | str:
        """Return what is taken of each axis, or why that cannot be said."""
        x, a = op.input(0), op.attrs
        count = op.input(1).elements
        begin, end, strides = (integers(op.input(i), count) for i in (1, 2, 3))
        if begin is None or end is None or strides is None or count > _MAX_INDICES:
            return f"begin, end and strides must be at most {_MAX_INDICES} constant integers each"
        if (a.ellipsis | a.new_axis) >> count or a.ellipsis & (a.ellipsis - 1):
            return "its masks speak of indices that it does not have, or of several ellipses"
        new = a.new_axis & ~a.ellipsis
        given = count - new.bit_count() - a.ellipsis.bit_count()
        if given > len(x.shape):
            return f"has indices for {given} axes of {len(x.shape)}"
        if given == len(x.shape) and a.ellipsis and not _bit(a.ellipsis, count - 1):
            return "has an ellipsis that stands for no axis; the reference errs there, leave it out"
        if a.offset and given < len(x.shape):
            return f"has lengths for {given} axes; {len(x.shape)} needed, as the reference crashes"
        found: list[_Range] = []
        axes = iter(x.shape)
        for i in range(count):
            if _bit(a.ellipsis, i):
                for _ in range(len(x.shape) - given):
                    found.append(_Range(0, next(axes), 1))
            elif _bit(new, i):
                found.append(_Range(0, 1, 1, new=True))
            else:
                taken = _range(next(axes), begin[i], end[i], strides[i], i, a)
                if isinstance(taken, str):
                    return taken
                found.append(taken)
        return found + [_Range(0, size, 1) for size in axes]


def _range(
    size: int, begin: int, end: int, step: int, index: int, a: StridedSliceAttributes
) -> _Range | str:
    """Return what one index takes of an axis, or what is wrong with it."""
    if step == 0:
        return f"index {index} has a stride of 0"
    low, high = (0, size) if step > 0 else (-1, size - 1)
    start = min(max(begin + size if begin < 0 else begin, low), high)
    if _bit(a.begin, index):
        start = 0 if step > 0 else size - 1
    if _bit(a.shrink, index):
        if step < 0 or not 0 <= start < size:
            return f"index {begin} with stride {step} picks nothing out of {size}"
        return _Range(start, 1, 1, dropped=True)
    if a.offset:
        end += start
        # Backwards to the very first element, so to an end of -1, the reference copies nothing.
        if not 0 <= end <= high or _bit(a.end, index):
            return f"index {index} ends at {end} of {size}, or has no end; give ends, not lengths"
    stop = min(max(end + size if end < 0 else end, low), high)
    if _bit(a.end, index):
        stop = size if step > 0 else -1
    return _Range(start, max(0, -((start - stop) // step)), step)
