"""PAD: a border of the zero point."""

from lotor.graph import DType, Op
from lotor.ops.convolution import constant
from lotor.ops.operator import KernelCall, Operator, int8_problems, same_quantization_problems

_MAX_RANK = 4


class Pad(Operator):
    """Input of rank <= 4, paddings [rank, 2] int32 or int64 constant; int8, one quantization."""

    kind = "PAD"
    inputs = 2

    def problems(self, op: Op) -> list[str]:
        x, paddings, y = op.input(0), op.input(1), op.outputs[0]
        found = int8_problems(x, y) or same_quantization_problems(x, y)
        rank = len(x.shape)
        if rank > _MAX_RANK:
            return [*found, f"{rank} dimensions; at most {_MAX_RANK} are supported"]
        if paddings.data is None or paddings.dtype not in (DType.INT32, DType.INT64):
            return [*found, f"paddings '{paddings.name}' must be an integer constant"]
        if paddings.shape != (rank, 2) or paddings.data.min() < 0:
            return [*found, f"paddings must be {rank} pairs, none negative"]
        want = tuple(
            int(before) + size + int(after)
            for size, (before, after) in zip(x.shape, paddings.data, strict=True)
        )
        if want != y.shape:
            found.append(f"output shape {list(y.shape)} does not follow from the paddings")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        missing = _MAX_RANK - len(x.shape)
        before = [0] * missing + [int(pair[0]) for pair in constant(op.input(1))]
        params = {"value": y.q.zero_point}
        for axis in range(_MAX_RANK):
            params |= {
                f"in_{axis}": ((1,) * missing + x.shape)[axis],
                f"out_{axis}": ((1,) * missing + y.shape)[axis],
                f"before_{axis}": before[axis],
            }
        return [KernelCall("pad", "pad", [x], [y], params)]
