"""TOPK_V2: the largest numbers of each row, and where they lie."""

from lotor.graph import DType, Op
from lotor.ops.convolution import constant
from lotor.ops.operator import KernelCall, Operator, dtype_problems
from lotor.ops.typed import suffix


class TopK(Operator):
    """Input [..., C] and a constant k; values [..., k] and int32 indices [..., k].

    int8, int16, int32, float32. By falling value, of equal ones the first; not-a-number comes last.
    """

    kind = "TOPK_V2"
    inputs = 2
    outputs = 2

    def problems(self, op: Op) -> list[str]:
        x, k, (values, indices) = op.input(0), op.input(1), op.outputs
        found = dtype_problems([x], DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
        found = found or dtype_problems([values], x.dtype)
        found += dtype_problems([indices], DType.INT32)
        if k.data is None or k.dtype not in (DType.INT16, DType.INT32) or k.elements != 1:
            return [*found, f"k '{k.name}' must be one constant integer"]
        number = int(k.data.reshape(()))
        if not x.shape or not 1 <= number <= x.shape[-1]:
            return [*found, f"k is {number}; 1 to the {x.row} numbers of a row needed"]
        want = (*x.shape[:-1], number)
        if values.shape != want or indices.shape != want:
            found.append(f"output shapes do not follow from k: {list(want)}")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x = op.input(0)
        params = {
            "rows": x.elements // x.row,
            "size": x.row,
            "k": int(constant(op.input(1)).reshape(())),
        }
        function = "topk_v2" + suffix(x.dtype)
        return [KernelCall("topk_v2", function, [x], op.outputs, params)]
