"""AVERAGE_POOL_2D: mean of the valid inputs in a window, rounded half away from zero."""

from lotor.ops.pool_2d import Pool2D


class AveragePool2D(Pool2D):
    """Input and output [N,H,W,C] of one quantization; int8."""

    kind = "AVERAGE_POOL_2D"
