"""DEPTH_TO_SPACE: channels become blocks of pixels."""

from typing import Any

from lotor.graph import Op
from lotor.ops.copy import Copy
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.space_to_depth import blocks


class DepthToSpace(Movement):
    """Any input [n,h,w,c], output [n,h*block,w*block,c/block/block].

    `attrs` is the block size.
    """

    kind = "DEPTH_TO_SPACE"
    options = "DepthToSpaceOptions"

    def read(self, options: Any) -> int:
        return int(options.BlockSize())

    def form_problems(self, op: Op) -> list[str]:
        x, block = op.input(0), op.attrs
        if len(x.shape) != 4 or block < 1 or x.shape[3] % (block * block):
            return [f"{list(x.shape)} cannot become blocks of {block} x {block} pixels"]
        n, h, w, c = x.shape
        return wrong_shape(op.outputs[0], (n, h * block, w * block, c // (block * block)))

    def copies(self, op: Op) -> list[Copy]:
        wide, deep = blocks(op.outputs[0], op.input(0), op.attrs)
        return [Copy(deep, wide)]
