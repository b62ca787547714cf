"""AVERAGE_POOL_2D: mean of the valid inputs in a window, rounded half away from zero."""

from lotor.graph import DType, Op
from lotor.ops.pool_2d import Pool2D, window_elements

# Inputs of one window whose sum is sure to fit int32.
_MOST = {DType.INT8: (1 << 23) - 1, DType.INT16: (1 << 16) - 2}


class AveragePool2D(Pool2D):
    """Input and output [N,H,W,C] of one quantization; int8, int16, float32.

    uint8 is rounded half up, which is not half away from the zero of int8.
    """

    kind = "AVERAGE_POOL_2D"

    def problems(self, op: Op) -> list[str]:
        found = super().problems(op)
        most = _MOST.get(op.input(0).dtype)
        if not found and most is not None and window_elements(op) > most:
            found.append(
                f"a window covers {window_elements(op)} inputs, whose sum leaves int32; "
                f"at most {most} supported"
            )
        return found

    def arithmetic(self, op: Op) -> dict[str, int]:
        return {"half_up": int(op.uint8)} if op.input(0).dtype is DType.INT8 else {}
