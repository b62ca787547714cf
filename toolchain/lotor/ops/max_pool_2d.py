"""MAX_POOL_2D: largest of the valid inputs in a window."""

from lotor.ops.pool_2d import Pool2D


class MaxPool2D(Pool2D):
    """Input and output [N,H,W,C] of one quantization; int8, int16, float32."""

    kind = "MAX_POOL_2D"
