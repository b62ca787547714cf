"""SUM: the sum over any axes."""

from lotor.graph import DType, Op
from lotor.ops.mean import Mean
from lotor.ops.quantization import fixed_point
from lotor.ops.reduction import whole


class Sum(Mean):
    """int8 to any scale, int32 wrapping, float32.

    The reference reads int8 as if it were uint8, so that its sums of int8 mean nothing. Those here
    are what it computes of the uint8 form of the layer.
    """

    kind = "SUM"
    dtypes = (DType.INT8, DType.INT32, DType.FLOAT32)

    def factor(self, op: Op) -> tuple[int, int]:
        factor = fixed_point(op.input(0).q.scale / op.outputs[0].q.scale)
        return factor.multiplier, factor.shift

    def divisor(self, op: Op) -> int:
        return 1

    def initial(self, op: Op) -> float:
        # A sum of everything begins with its first number: -0 + x is x for every x.
        return -0.0 if whole(op) else 0.0
