"""QUANTIZE: float32 to int8, int8 to another scale, or between uint8 and int8 of one scale."""

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall, Operator, int8_problems
from lotor.ops.quantization import factor_problems, fixed_point, same_numbers


class Quantize(Operator):
    """Input float32 or int8, output int8 of the same shape."""

    kind = "QUANTIZE"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        if same_numbers(x, y):
            return [] if x.shape == y.shape else [f"{list(x.shape)} cannot become {list(y.shape)}"]
        found = int8_problems(y) if x.dtype is DType.FLOAT32 else int8_problems(x, y)
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if not found and x.dtype is DType.INT8:
            found = factor_problems(x.q.scale / y.q.scale)
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        if same_numbers(x, y):
            return [KernelCall("quantize", "change_sign", [x], [y], {"elements": y.elements})]
        if x.dtype is DType.FLOAT32:
            params = {"elements": y.elements, "scale": y.q.scale, "zero_point": y.q.zero_point}
            return [KernelCall("quantize", "quantize", [x], [y], params)]
        factor = fixed_point(x.q.scale / y.q.scale)
        requantize = {
            "elements": y.elements,
            "in_offset": -x.q.zero_point,
            "out_offset": y.q.zero_point,
            "multiplier": factor.multiplier,
            "shift": factor.shift,
        }
        return [KernelCall("quantize", "requantize", [x], [y], requantize)]
