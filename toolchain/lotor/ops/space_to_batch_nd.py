"""SPACE_TO_BATCH_ND: pixels that lie a block apart become images of their own."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lotor.graph import Op, Tensor
from lotor.ops.copy import Copy, View, integers
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.operator import same_quantization_problems
from lotor.ops.pad import Pad

_MAX_PLACES = 256  # in a block; with padding each is a copy of its own


@dataclass(frozen=True)
class Blocks:
    """Block sizes of the spatial axes, (before, after) of what is padded or cropped there."""

    sizes: Sequence[int]
    margins: Sequence[tuple[int, int]]


def blocks_of(op: Op) -> Blocks | None:
    """Return blocks (input 1) and margins (input 2), None if they are not constant or wrong."""
    spatial = len(op.input(0).shape) - 2
    if spatial not in (1, 2):
        return None
    sizes, margins = integers(op.input(1), spatial), integers(op.input(2), 2 * spatial)
    if sizes is None or margins is None or min(sizes) < 1 or min(margins) < 0:
        return None
    return Blocks(sizes, list(zip(margins[::2], margins[1::2], strict=True)))


def blocks_problems(op: Op, blocks: Blocks | None) -> list[str]:
    """Return what is wrong with blocks, margins and quantization."""
    x, y = op.input(0), op.outputs[0]
    if blocks is None:
        return [
            f"{list(x.shape)} needs 3 or 4 dimensions, and block sizes and margins that are "
            "constant and not negative"
        ]
    places = math.prod(blocks.sizes)
    if places > _MAX_PLACES and any(map(any, blocks.margins)):
        return [f"blocks of {list(blocks.sizes)} are too large; {_MAX_PLACES} pixels at most"]
    if x.quant is not None and y.quant is not None:
        return same_quantization_problems(x, y)
    return []


def block_copies(batch: Tensor, space: Tensor, blocks: Blocks) -> list[tuple[View, View]]:
    """Return which elements of the batch are which of the space, place in the block by place.

    Args:
        batch: the images, the place in the block being the outer part of their batch.
        space: the image that they are pixels of.
        blocks: block sizes, and where in the padded image `space` begins and ends.
    """
    whole = View.of(batch).split(0, space.shape[0])
    found = []
    for place, inside in enumerate(itertools.product(*map(range, blocks.sizes))):
        ours, theirs = whole.at(0, place), View.of(space)
        for axis, (at, size, (before, _)) in enumerate(
            zip(inside, blocks.sizes, blocks.margins, strict=True), 1
        ):
            # The pixel `at + size * i` of the padded image lies in the space for these i.
            first = max(0, -((at - before) // size))
            last = min(batch.shape[axis], -((at - before - space.shape[axis]) // size))
            count = max(0, last - first)
            ours = ours.part(axis, first, count)
            theirs = theirs.part(axis, at + size * first - before, count, size)
        found.append((ours, theirs))
    return found


def joined_copy(batch: Tensor, space: Tensor, blocks: Blocks) -> tuple[View, View]:
    """Return the same in one, where nothing is padded or cropped."""
    spatial = len(blocks.sizes)
    ours, theirs = View.of(batch).split(0, space.shape[0]), View.of(space)
    for axis in range(spatial - 1, -1, -1):
        theirs = theirs.split(1 + axis, blocks.sizes[axis])
    if spatial == 2:
        ours = ours.split(0, blocks.sizes[1])
    outer = [2 + 2 * axis for axis in range(spatial)]
    return ours, theirs.permuted([*outer, 0, *(a - 1 for a in outer), 1 + 2 * spatial])


class SpaceToBatchNd(Movement):
    """Input [n,(h,)w,c], block sizes and paddings constant; one quantization."""

    kind = "SPACE_TO_BATCH_ND"
    inputs = 3

    def form_problems(self, op: Op) -> list[str]:
        x, y, blocks = op.input(0), op.outputs[0], blocks_of(op)
        found = blocks_problems(op, blocks)
        if found or blocks is None:
            return found
        shape = list(x.shape)
        for axis, (size, (before, after)) in enumerate(
            zip(blocks.sizes, blocks.margins, strict=True), 1
        ):
            padded = x.shape[axis] + before + after
            if padded % size:
                return [f"axis {axis} of {padded} with its padding is no multiple of {size}"]
            shape[axis] = padded // size
            shape[0] *= size
        return wrong_shape(y, tuple(shape))

    def copies(self, op: Op) -> list[Copy]:
        x, y, blocks = op.input(0), op.outputs[0], blocks_of(op)
        assert blocks is not None  # `form_problems` has found no line
        if not any(map(any, blocks.margins)):
            batch, space = joined_copy(y, x, blocks)
            return [Copy(space, batch)]
        parts = [Copy(space, batch) for batch, space in block_copies(y, x, blocks)]
        return [Pad().border(op), *(part for part in parts if 0 not in part.source.shape)]
