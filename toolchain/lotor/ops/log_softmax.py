"""LOG_SOFTMAX over the last axis: the logarithms of the softmax."""

from lotor.graph import DType, Op
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.quantization import fixed_point
from lotor.ops.softmax import MAX_CLASSES, difference_params, difference_problems, row_problems
from lotor.ops.typed import typed_problems


class LogSoftmax(Operator):
    """Input and output [..., C]: int8 with output scale 1/16 and zero point 127, float32.

    In float32, the logarithm of the sum is within 4 ulp, and the result what remains of it.
    """

    kind = "LOG_SOFTMAX"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = typed_problems([x, y], DType.INT8, DType.FLOAT32) or row_problems(op, MAX_CLASSES)
        if found or x.dtype is DType.FLOAT32:
            return found
        if (y.q.scale, y.q.zero_point) != (1 / 16, 127):
            found.append("output needs scale 1/16 and zero point 127")
        found += difference_problems(x.q.scale, 1.0)
        if not found and not _reverse_factor(op) < 1:
            found.append(f"input scale {x.q.scale:g} is too small; more than 2^-26 needed")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        params = {"rows": x.elements // x.shape[-1], "depth": x.shape[-1]}
        if x.dtype is DType.FLOAT32:
            return [KernelCall("log_softmax", "log_softmax_float", [x], [y], params)]
        reverse = fixed_point(_reverse_factor(op))
        params |= difference_params(x.q.scale, 1.0)
        params |= {"reverse_multiplier": reverse.multiplier, "reverse_shift": reverse.shift}
        return [KernelCall("log_softmax", "log_softmax", [x], [y], params)]


def _reverse_factor(op: Op) -> float:
    """Return the factor from Q5.26 to differences of the input."""
    params = difference_params(op.input(0).q.scale, 1.0)
    return float((1 << (31 - params["left_shift"])) / params["multiplier"])
