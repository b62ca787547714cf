"""RELU_0_TO_1: a clamp to what lies between 0 and 1."""

from lotor.graph import DType
from lotor.ops.relu import Relu


class Relu0To1(Relu):
    """min(max(x, 0), 1); int8, float32."""

    kind = "RELU_0_TO_1"
    dtypes = (DType.INT8, DType.FLOAT32)
    high = 1.0
