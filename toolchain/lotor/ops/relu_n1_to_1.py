"""RELU_N1_TO_1: a clamp to what lies between -1 and 1."""

from lotor.graph import DType
from lotor.ops.relu import Relu


class ReluN1To1(Relu):
    """min(max(x, -1), 1); int8, float32."""

    kind = "RELU_N1_TO_1"
    dtypes = (DType.INT8, DType.FLOAT32)
    low = -1.0
    high = 1.0
