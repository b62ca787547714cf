"""BATCH_TO_SPACE_ND: images become pixels that lie a block apart."""

from lotor.graph import Op
from lotor.ops.copy import Copy
from lotor.ops.movement import Movement, wrong_shape
from lotor.ops.space_to_batch_nd import block_copies, blocks_of, blocks_problems, joined_copy


class BatchToSpaceNd(Movement):
    """Input [n,(h,)w,c], block sizes and crops constant; one quantization."""

    kind = "BATCH_TO_SPACE_ND"
    inputs = 3

    def form_problems(self, op: Op) -> list[str]:
        x, y, blocks = op.input(0), op.outputs[0], blocks_of(op)
        found = blocks_problems(op, blocks)
        if found or blocks is None:
            return found
        shape = list(x.shape)
        for axis, (size, crops) in enumerate(zip(blocks.sizes, blocks.margins, strict=True), 1):
            if shape[0] % size:
                return [f"a batch of {x.shape[0]} is no multiple of blocks {list(blocks.sizes)}"]
            shape[0] //= size
            shape[axis] = x.shape[axis] * size - sum(crops)
        return wrong_shape(y, tuple(shape))

    def copies(self, op: Op) -> list[Copy]:
        x, y, blocks = op.input(0), op.outputs[0], blocks_of(op)
        assert blocks is not None  # `form_problems` has found no line
        if not any(map(any, blocks.margins)):
            return [Copy(*joined_copy(x, y, blocks))]
        parts = [Copy(batch, space) for batch, space in block_copies(x, y, blocks)]
        return [part for part in parts if 0 not in part.source.shape]
