"""SPACE_TO_DEPTH: blocks of pixels become channels."""

from typing import Any

from lotor.graph import Op, Tensor
from lotor.ops.copy import Copy, View
from lotor.ops.movement import Movement, wrong_shape


def depth_problems(wide: Tensor, deep: Tensor, block: int) -> list[str]:
    """Return a line if `deep` is not `wide` with blocks of pixels as channels."""
    if len(wide.shape) != 4 or block < 1:
        return [f"block size {block} of {list(wide.shape)}; four dimensions and a block needed"]
    n, h, w, c = wide.shape
    if h % block or w % block:
        return [f"{h} x {w} pixels cannot be cut into blocks of {block}"]
    return wrong_shape(deep, (n, h // block, w // block, c * block * block))


def blocks(wide: Tensor, deep: Tensor, block: int) -> tuple[View, View]:
    """Return both as [batch, rows, columns, row in block, column in block, channels]."""
    apart = View.of(wide).split(2, block).split(1, block).permuted((0, 1, 3, 2, 4, 5))
    channels = wide.shape[3]
    return apart, View.of(deep).split(3, channels).split(3, block)


class SpaceToDepth(Movement):
    """Any input [n,h,w,c], output [n,h/block,w/block,c*block*block].

    `attrs` is the block size.
    """

    kind = "SPACE_TO_DEPTH"
    options = "SpaceToDepthOptions"

    def read(self, options: Any) -> int:
        return int(options.BlockSize())

    def form_problems(self, op: Op) -> list[str]:
        return depth_problems(op.input(0), op.outputs[0], op.attrs)

    def copies(self, op: Op) -> list[Copy]:
        wide, deep = blocks(op.input(0), op.outputs[0], op.attrs)
        return [Copy(wide, deep)]
