"""RESIZE_BILINEAR: each output is a mean of the four inputs around its place, by distance."""

from lotor.graph import Array, DType, Op
from lotor.ops.operator import KernelCall
from lotor.ops.resize import Resize, between, between_fixed, resize_params
from lotor.ops.typed import suffix, typed_problems


class ResizeBilinear(Resize):
    """Input [N,H,W,C], size int32[2] constant; int8 and int16 in fixed point, float32.

    uint8 is interpolated in float32, as the reference does. Output quantization has no effect.
    """

    kind = "RESIZE_BILINEAR"
    options = "ResizeBilinearOptions"

    def problems(self, op: Op) -> list[str]:
        x, y = op.input(0), op.outputs[0]
        found = typed_problems([x, y], DType.INT8, DType.INT16, DType.FLOAT32)
        found += super().problems(op)
        if op.attrs.align_corners and op.attrs.half_pixel_centers:
            found.append("align_corners and half_pixel_centers exclude each other; choose one")
        if not found and any(
            positions[:, 0].max() >= size
            for (positions, _), size in zip(_tables(op), x.shape[1:3], strict=True)
        ):
            found.append(
                f"{list(x.shape[1:3])} to {list(y.shape[1:3])} reaches beyond the input in the "
                "reference's fixed point; resize in two steps"
            )
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        x, y = op.input(0), op.outputs[0]
        (rows, down), (columns, right) = _tables(op)
        constants = {"rows": rows, "down": down, "columns": columns, "right": right}
        steps = {"in_step": x.step, "out_step": y.step}
        params = resize_params(x, y) | {"channels": x.shape[3], **steps}
        kernel = "resize_bilinear"
        function = kernel + ("_uint8" if op.uint8 else suffix(x.dtype))
        return [KernelCall(kernel, function, [x], [y], params, constants)]


def _tables(op: Op) -> list[tuple[Array, Array]]:
    """Return neighbours and distances of rows and of columns."""
    x, y = op.input(0), op.outputs[0]
    floats = op.uint8 or x.dtype is DType.FLOAT32
    sizes = zip(x.shape[1:3], y.shape[1:3], strict=True)
    return [(between if floats else between_fixed)(*pair, op.attrs) for pair in sizes]
