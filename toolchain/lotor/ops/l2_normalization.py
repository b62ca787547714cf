"""L2_NORMALIZATION: rows divided by their Euclidean norm."""

from dataclasses import dataclass
from typing import Any

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.typed import typed_problems

_MAX_DEPTH = ((1 << 31) - 1) // 255**2


@dataclass(frozen=True)
class L2NormalizationAttributes:
    """Fused activation number."""

    activation: int


class L2Normalization(Operator):
    """Input and output [..., C]: int8 with output scale 1/128 and zero point 0, float32."""

    kind = "L2_NORMALIZATION"
    options = "L2NormOptions"

    def read(self, options: Any) -> L2NormalizationAttributes:
        return L2NormalizationAttributes(options.FusedActivationFunction())

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = typed_problems([x, y], DType.INT8, DType.FLOAT32)
        if op.attrs.activation != 0:
            found.append("it takes no fused activation; convert the model without one")
        if not x.shape:
            found.append("a single number has no axis to sum over; [..., C] needed")
        if x.shape != y.shape:
            found.append(f"input {list(x.shape)} and output {list(y.shape)} differ in shape")
        if found or x.dtype is DType.FLOAT32:
            return found
        if (y.q.scale, y.q.zero_point) != (1 / 128, 0):
            found.append("output needs scale 1/128 and zero point 0")
        if x.shape[-1] > _MAX_DEPTH:
            found.append(f"rows of {x.shape[-1]}; at most {_MAX_DEPTH}, so that the sum fits int32")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params = {"rows": x.elements // x.shape[-1], "depth": x.shape[-1]}
        kernel = "l2_normalization"
        if x.dtype is DType.FLOAT32:
            return [KernelCall(kernel, "l2_normalization_float", [x], [y], params)]
        # The uint8 kernel multiplies by 128 before it rounds.
        params |= {"in_offset": -x.q.zero_point, "early": int(op.uint8)}
        return [KernelCall(kernel, kernel, [x], [y], params)]
