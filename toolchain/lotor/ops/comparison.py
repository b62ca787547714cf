"""What comparisons share: EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL.

Quantized numbers are compared after each was scaled to a fixed-point number of its real value, with
the loss that this has in the reference: what differs by little may count as equal.
"""

from typing import ClassVar

from lotor.graph import DType, Op, Tensor
from lotor.ops.binary import Binary
from lotor.ops.broadcast import broadcast_call
from lotor.ops.operator import KernelCall
from lotor.ops.quantization import fixed_point

_NAMES = {
    DType.INT8: "scaled_int8",
    DType.INT16: "int16",
    DType.INT32: "int32",
    DType.FLOAT32: "float",
    DType.BOOL: "bool",
}


class Comparison(Binary):
    """A comparison; the kernels know `equal` and `less`.

    Attributes:
        function: the kernel's.
        swapped: whether the inputs change places.
        inverted: whether the opposite is the result.
    """

    dtypes: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    truth = True
    function: ClassVar[str]
    swapped: ClassVar[bool] = False
    inverted: ClassVar[bool] = False

    def limits(self, op: Op) -> list[str]:
        if not self.scaled(op):
            return []
        return [
            f"'{t.name}' has scale {t.q.scale:g}; the reference compares scales below 1 only"
            for t in (op.input(0), op.input(1))
            if not (t.q.scale < 1 and fixed_point(t.q.scale).shift <= 0)
        ]

    def scaled(self, op: Op) -> bool:
        """Return whether the scales of the inputs matter."""
        return op.input(0).dtype is DType.INT8

    def lower(self, op: Op) -> list[KernelCall]:
        a, b = op.input(0), op.input(1)
        function, swapped, inverted = self.function, self.swapped, self.inverted
        name = f"scaled_{a.dtype.value}" if self.scaled(op) else _NAMES[a.dtype]
        params: dict[str, int | float] = {}
        if function == "less" and inverted and a.dtype is DType.FLOAT32:
            # With not-a-number "not less" is something else than "greater or equal".
            function, swapped = "less_equal", not swapped
        if swapped:
            a, b = b, a
        if self.scaled(op):
            params = _scaling("a", a) | _scaling("b", b)
        if function != "less_equal":
            params |= {"invert": int(inverted)}
        call = f"{function}_{name}"
        return [broadcast_call("comparison", call, [a, b], op.outputs[0], params)]


def _scaling(prefix: str, tensor: Tensor) -> dict[str, int | float]:
    point = fixed_point(tensor.q.scale)
    return {
        f"{prefix}_offset": -tensor.q.zero_point,
        f"{prefix}_multiplier": point.multiplier,
        f"{prefix}_right": -point.shift,
    }
