"""L2_POOL_2D: root of the mean of the squares in a window."""

from lotor.graph import DType
from lotor.ops.pool_2d import Pool2D


class L2Pool2D(Pool2D):
    """Input and output [N,H,W,C]; float32."""

    kind = "L2_POOL_2D"
    dtypes = (DType.FLOAT32,)
