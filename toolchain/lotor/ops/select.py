"""SELECT: of two tensors the one or the other, element by element or row by row."""

from lotor.graph import Op
from lotor.ops.select_v2 import SelectV2


class Select(SelectV2):
    """As SELECT_V2, of one shape; a vector as condition chooses along the first axis."""

    kind = "SELECT"

    def shapes(self, op: Op) -> list[tuple[int, ...]]:
        condition, a, b = super().shapes(op)
        if len(condition) == 1:
            condition += (1,) * (len(a) - 1)
        return [condition, a, b]

    def shape_problems(self, op: Op) -> list[str]:
        condition, a, b = (op.input(i).shape for i in range(3))
        y = op.outputs[0].shape
        shapes = ", ".join(str(list(s)) for s in (condition, a, b, y))
        if len(y) > 8:
            return [f"shapes {shapes} have more than 8 axes; reshape them"]
        if a == b == y and condition in ((), a, a[:1]):
            return []
        return [
            f"shapes {shapes} do not fit; the two inputs need the output's shape, "
            "the condition that, its first axis or none"
        ]
