"""DEQUANTIZE: int8 to float32."""

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall, Operator, int8_problems


class Dequantize(Operator):
    """Input int8, output float32 of the same shape."""

    kind = "DEQUANTIZE"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = int8_problems(x)
        if y.dtype is not DType.FLOAT32:
            found.append(f"output '{y.name}' is {y.dtype.value}; float32 needed")
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params = {"elements": y.elements, "scale": x.q.scale, "zero_point": x.q.zero_point}
        return [KernelCall("dequantize", "dequantize", [x], [y], params)]
