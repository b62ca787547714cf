"""RELU6: a clamp to what lies between 0 and 6."""

from lotor.ops.relu import Relu


class Relu6(Relu):
    """min(max(x, 0), 6); int8, int16, float32."""

    kind = "RELU6"
    high = 6.0
