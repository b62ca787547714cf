"""Cases of the operators that move data, and of what the compiler computes itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s
from tflite_builder import ModelBuilder, Quant, Tensor

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
_QUANT = Quant(0.05, -3)


def source(m: ModelBuilder, shape: Sequence[int], dtype: str = "int8") -> Tensor:
    """An input of any type; int8 is quantized."""
    return m.input(shape, _QUANT if dtype == "int8" else None, dtype)


def ints(m: ModelBuilder, values: Any, dtype: str = "int32") -> Tensor:
    """A constant of integers."""
    return m.constant(np.asarray(values, dtype), None, dtype)


def like(m: ModelBuilder, x: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of another shape."""
    return m.tensor(shape, x.quant, x.dtype)


def transpose(m: ModelBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    y = like(m, x, [x.shape[a] for a in axes])
    return m.operator("TRANSPOSE", [x, ints(m, axes)], [y], "TransposeOptions")


def concatenation(
    m: ModelBuilder, xs: Sequence[Tensor], axis: int, quant: Quant | None = None
) -> Tensor:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y = m.tensor(shape, quant or xs[0].quant, xs[0].dtype)
    return m.operator("CONCATENATION", xs, [y], "ConcatenationOptions", Axis=axis)


def split(m: ModelBuilder, x: Tensor, parts: int, axis: int) -> list[Tensor]:
    shape = list(x.shape)
    shape[axis] //= parts
    ys = [like(m, x, shape) for _ in range(parts)]
    m.operator("SPLIT", [ints(m, axis), x], ys, "SplitOptions", NumSplits=parts)
    return ys


def split_v(m: ModelBuilder, x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    known = sum(size for size in sizes if size >= 0)
    ys = []
    for size in sizes:
        shape = list(x.shape)
        shape[axis] = x.shape[axis] - known if size < 0 else size
        ys.append(like(m, x, shape))
    operands = [x, ints(m, sizes), ints(m, axis)]
    m.operator("SPLIT_V", operands, ys, "SplitVOptions", NumSplits=len(sizes))
    return ys


def pack(m: ModelBuilder, xs: Sequence[Tensor], axis: int) -> Tensor:
    shape = list(xs[0].shape)
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, len(xs))
    y = like(m, xs[0], shape)
    return m.operator("PACK", xs, [y], "PackOptions", ValuesCount=len(xs), Axis=axis)


def unpack(m: ModelBuilder, x: Tensor, axis: int) -> list[Tensor]:
    shape = list(x.shape)
    count = shape.pop(axis)
    ys = [like(m, x, shape) for _ in range(count)]
    m.operator("UNPACK", [x], ys, "UnpackOptions", Num=count, Axis=axis)
    return ys


def slice_(m: ModelBuilder, x: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
    shape = [n - b if s < 0 else s for n, b, s in zip(x.shape, begin, size, strict=True)]
    operands = [x, ints(m, begin), ints(m, size)]
    return m.operator("SLICE", operands, [like(m, x, shape)], "SliceOptions")


def strided_slice(m: ModelBuilder, x: Tensor, *indices: Any) -> Tensor:
    """As NumPy's basic indexing: slices, integers, None, and Ellipsis."""
    found = np.empty(x.shape, np.int8)[indices]
    names = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
    masks: dict[str, Any] = dict.fromkeys(names, 0)
    rows: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, index in enumerate(indices):
        bounds = [0, 0, 1]
        if index is Ellipsis:
            masks["EllipsisMask"] |= 1 << i
        elif index is None:
            masks["NewAxisMask"] |= 1 << i
        elif isinstance(index, slice):
            masks["BeginMask"] |= (index.start is None) << i
            masks["EndMask"] |= (index.stop is None) << i
            bounds = [index.start or 0, index.stop or 0, index.step or 1]
        else:
            masks["ShrinkAxisMask"] |= 1 << i
            bounds = [index, index + 1, 1]
        for values, bound in zip(rows, bounds, strict=True):
            values.append(bound)
    operands = [x, *(ints(m, row) for row in rows)]
    y = like(m, x, found.shape)
    return m.operator("STRIDED_SLICE", operands, [y], "StridedSliceOptions", **masks)


def gather(
    m: ModelBuilder, x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0
) -> Tensor:
    at, batch = axis % len(x.shape), batch_dims % (len(indices.shape) + 1)
    if batch_dims < 0:
        batch = batch_dims + len(indices.shape)
    y = like(m, x, (*x.shape[:at], *indices.shape[batch:], *x.shape[at + 1 :]))
    fields: dict[str, Any] = {"Axis": axis, "BatchDims": batch_dims}
    return m.operator("GATHER", [x, indices], [y], "GatherOptions", **fields)


def gather_nd(m: ModelBuilder, x: Tensor, indices: Tensor) -> Tensor:
    y = like(m, x, indices.shape[:-1] + x.shape[indices.shape[-1] :])
    return m.operator("GATHER_ND", [x, indices], [y], "GatherNdOptions")


def padded(
    m: ModelBuilder, x: Tensor, paddings: Sequence[tuple[int, int]], kind: str, **fields: Any
) -> Tensor:
    """PAD, PADV2 (`value`) or MIRROR_PAD (`Mode`)."""
    shape = [n + a + b for n, (a, b) in zip(x.shape, paddings, strict=True)]
    operands = [x, ints(m, paddings)]
    if "value" in fields:
        operands.append(m.constant(np.full((1,), fields.pop("value")), x.quant, x.dtype))
    options = {"PAD": "PadOptions", "PADV2": "PadV2Options", "MIRROR_PAD": "MirrorPadOptions"}
    return m.operator(kind, operands, [like(m, x, shape)], options[kind], **fields)


def depth_to_space(m: ModelBuilder, x: Tensor, block: int) -> Tensor:
    n, h, w, c = x.shape
    y = like(m, x, (n, h * block, w * block, c // block**2))
    return m.operator("DEPTH_TO_SPACE", [x], [y], "DepthToSpaceOptions", BlockSize=block)


def space_to_depth(m: ModelBuilder, x: Tensor, block: int) -> Tensor:
    n, h, w, c = x.shape
    y = like(m, x, (n, h // block, w // block, c * block**2))
    return m.operator("SPACE_TO_DEPTH", [x], [y], "SpaceToDepthOptions", BlockSize=block)


def space_to_batch(
    m: ModelBuilder, x: Tensor, blocks: Sequence[int], paddings: Sequence[tuple[int, int]]
) -> Tensor:
    inner = [
        (n + a + b) // block
        for n, block, (a, b) in zip(x.shape[1:-1], blocks, paddings, strict=True)
    ]
    y = like(m, x, (x.shape[0] * int(np.prod(blocks)), *inner, x.shape[-1]))
    operands = [x, ints(m, blocks), ints(m, paddings)]
    return m.operator("SPACE_TO_BATCH_ND", operands, [y], "SpaceToBatchNDOptions")


def batch_to_space(
    m: ModelBuilder, x: Tensor, blocks: Sequence[int], crops: Sequence[tuple[int, int]]
) -> Tensor:
    inner = [
        n * block - a - b for n, block, (a, b) in zip(x.shape[1:-1], blocks, crops, strict=True)
    ]
    y = like(m, x, (x.shape[0] // int(np.prod(blocks)), *inner, x.shape[-1]))
    operands = [x, ints(m, blocks), ints(m, crops)]
    return m.operator("BATCH_TO_SPACE_ND", operands, [y], "BatchToSpaceNDOptions")


def tile(m: ModelBuilder, x: Tensor, multiples: Sequence[int], dtype: str = "int32") -> Tensor:
    y = like(m, x, [n * times for n, times in zip(x.shape, multiples, strict=True)])
    return m.operator("TILE", [x, ints(m, multiples, dtype)], [y], "TileOptions")


def broadcast_to(m: ModelBuilder, x: Tensor, shape: Sequence[int]) -> Tensor:
    operands = [x, ints(m, shape)]
    return m.operator("BROADCAST_TO", operands, [like(m, x, shape)], "BroadcastToOptions", 2)


def reverse(m: ModelBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    y = like(m, x, x.shape)
    return m.operator("REVERSE_V2", [x, ints(m, axes)], [y], "ReverseV2Options")


def squeeze(m: ModelBuilder, x: Tensor, axes: Sequence[int] = ()) -> Tensor:
    shape = np.squeeze(np.empty(x.shape, np.int8), tuple(axes) or None).shape
    y = like(m, x, shape)
    return m.operator("SQUEEZE", [x], [y], "SqueezeOptions", SqueezeDims=list(axes))


def expand_dims(m: ModelBuilder, x: Tensor, axis: int, dtype: str = "int32") -> Tensor:
    shape = np.expand_dims(np.empty(x.shape, np.int8), axis).shape
    operands = [x, ints(m, axis, dtype)]
    return m.operator("EXPAND_DIMS", operands, [like(m, x, shape)], "ExpandDimsOptions")


def fill(m: ModelBuilder, dims: Sequence[int], value: Tensor, dtype: str = "int32") -> Tensor:
    operands = [ints(m, dims, dtype), value]
    return m.operator("FILL", operands, [like(m, value, dims)], "FillOptions")


def shape_of(m: ModelBuilder, x: Tensor, dtype: str = "int32") -> Tensor:
    y = m.tensor((len(x.shape),), None, dtype)
    number = {"int32": 2, "int64": 4}[dtype]
    return m.operator("SHAPE", [x], [y], "ShapeOptions", OutType=number)


def zeros_like(m: ModelBuilder, x: Tensor) -> Tensor:
    return m.operator("ZEROS_LIKE", [x], [like(m, x, x.shape)], "ZerosLikeOptions")


def range_(m: ModelBuilder, start: float, limit: float, delta: float, dtype: str) -> Tensor:
    count = len(np.arange(start, limit, delta))
    operands = [m.constant(np.asarray(v, dtype), None, dtype) for v in (start, limit, delta)]
    return m.operator("RANGE", operands, [m.tensor((count,), None, dtype)], "RangeOptions")


@case
def joined_and_split(m: ModelBuilder) -> None:
    for dtype in ("int16", "int64"):
        quant = Quant(0.01) if dtype == "int16" else None
        x, y = (m.input(shape, quant, dtype) for shape in ((2, 3, 4), (2, 1, 4)))
        m.output(concatenation(m, [x, y, x], 1), *split(m, x, 2, -1), pack(m, [y, y, y], -1))
    x, y = source(m, (2, 3, 4)), source(m, (2, 1, 4))
    m.output(concatenation(m, [y, y], -1), concatenation(m, [x, y], -2), *split(m, x, 3, 1))
    m.output(*split_v(m, x, (1, -1, 1), 2), *split_v(m, x, (2, 1), -2))
    m.output(pack(m, [x, x], 0), pack(m, [x, x], 2), *unpack(m, x, 1), *unpack(m, y, -1))
    b = source(m, (3, 5), "bool")
    m.output(concatenation(m, [b, b], 1), *unpack(m, b, 0))


@case
def sliced(m: ModelBuilder) -> None:
    for dtype in TYPES:
        x = source(m, (3, 4, 5), dtype)
        m.output(slice_(m, x, (1, 0, 2), (2, -1, 3)), strided_slice(m, x, slice(1, None), 2))
        m.output(strided_slice(m, x, Ellipsis, slice(None, None, -1)))
    x = source(m, (3, 4, 5))
    s = slice
    m.output(
        strided_slice(m, x, s(2, 0, -1), s(None, None, 2), s(-1, -6, -2)),
        strided_slice(m, x, None, 1, Ellipsis, None, s(1, 4)),
        strided_slice(m, x, Ellipsis, 0, None),
        strided_slice(m, x, -1, -2, s(-3, None)),
        strided_slice(m, x, s(-9, 9), s(1, 99, 3)),
        strided_slice(m, x, 1, 2, 3),
        strided_slice(m, x, s(None), s(None, None, -1), s(3, None, -1)),
        reverse(m, x, (0,)),
        reverse(m, x, (2,)),
    )


@case
def gathered(m: ModelBuilder) -> None:
    for dtype in TYPES:
        x = source(m, (3, 4, 5), dtype)
        m.output(gather(m, x, ints(m, [2, 0, 2]), 0), gather(m, x, ints(m, [[3, 1]], "int64"), 1))
        m.output(gather(m, x, ints(m, 1), -1), gather(m, x, ints(m, [4, 2, 0], "int16"), 2))
        m.output(gather_nd(m, x, ints(m, [[2, 3], [0, 1]])))
    places = ints(m, [[1, 0], [2, 2], [0, 3]])
    m.output(gather(m, x, places, 1, 1), gather(m, x, places, -1, -1), gather_nd(m, x, places))
    m.output(gather(m, x, ints(m, [[0], [1], [2]]), 1, 1))
    m.output(gather_nd(m, x, ints(m, [[[2, 3, 4]], [[0, 0, 0]]], "int64")))
    # Indices that come at run time: the table is a constant.
    table = m.constant(m.rng.integers(-128, 128, (256, 3)), _QUANT)
    for dtype in ("int16", "int32", "int64"):
        index = bytes_as(m, source(m, (2, 3), "uint8"), dtype)
        m.output(gather(m, table, index, 0))
    pairs = bytes_as(m, source(m, (4, 1), "uint8"), "int32")
    m.output(gather_nd(m, table, pairs))


def bytes_as(m: ModelBuilder, x: Tensor, dtype: str) -> Tensor:
    """The numbers 0 ... 255 of an input in another type."""
    return m.operator("CAST", [x], [m.tensor(x.shape, None, dtype)], "CastOptions")


@case
def rearranged(m: ModelBuilder) -> None:
    for dtype in TYPES:
        x = source(m, (2, 4, 6, 4), dtype)
        m.output(transpose(m, x, (0, 3, 1, 2)), transpose(m, x, (3, -2, 1, 0)))
        m.output(space_to_batch(m, x, (2, 3), ((0, 0), (0, 0))))
        if dtype in ("int8", "uint8", "int32", "int64", "float32"):
            m.output(depth_to_space(m, x, 2), space_to_depth(m, x, 2))
        if dtype != "bool":
            m.output(tile(m, x, (1, 2, 1, 3)))
        m.output(batch_to_space(m, x, (2, 1), ((1, 0), (2, 1))))
    x = source(m, (2, 3, 1, 2, 3))
    m.output(
        transpose(m, x, (4, 1, 2, 3, 0)),
        tile(m, x, (2, 1, 4, 2, 2), "int64"),
        broadcast_to(m, x, (2, 2, 3, 3, 2, 3)),
        broadcast_to(m, source(m, (1, 3, 1)), (2, 2, 3, 2)),
        space_to_batch(m, source(m, (2, 5, 3)), (3,), ((1, 3),)),
        space_to_batch(m, source(m, (2, 3, 4, 2)), (2, 3), ((2, 1), (1, 1))),
        batch_to_space(m, source(m, (6, 2, 3)), (3,), ((4, 1),)),
        batch_to_space(m, source(m, (8, 3, 1, 2)), (2, 2), ((1, 1), (0, 1))),
        transpose(m, source(m, (2, 1, 3, 1)), (1, 0, 3, 2)),  # nothing moves
        expand_dims(m, squeeze(m, source(m, (1, 3, 1, 2))), -1),
    )


@case
def bordered(m: ModelBuilder) -> None:
    pairs = ((0, 1), (2, 0), (1, 1))
    for dtype in TYPES:
        x = source(m, (2, 3, 4), dtype)
        m.output(padded(m, x, pairs, "PAD"), padded(m, x, pairs, "PADV2", value=1))
        m.output(padded(m, x, ((1, 1), (2, 1), (3, 2)), "MIRROR_PAD", Mode=0))
        m.output(padded(m, x, ((2, 1), (0, 3), (0, 0)), "MIRROR_PAD", Mode=1))
        if dtype in ("float32", "int32", "int64"):
            m.output(zeros_like(m, x))
    x = source(m, (1, 2, 1, 2, 2))
    m.output(padded(m, x, ((0, 1), (1, 0), (1, 1), (0, 2), (1, 0)), "PAD"))
    m.output(padded(m, m.input((2,), Quant(0.1, 7), "int16"), ((1, 2),), "PAD"))
    for dtype in ("int8", "int64", "float32"):
        m.output(fill(m, (2, 3), source(m, (), dtype), "int64" if dtype == "int8" else "int32"))


@case
def shape_chains(m: ModelBuilder) -> None:
    """As converters write a flattening or a reshaping to a batch of unknown size."""
    x = source(m, (2, 4, 3, 1))
    batch = strided_slice(m, shape_of(m, x), 0)
    rows = gather(m, shape_of(m, x), ints(m, 1))
    shape = pack(m, [batch, ints(m, -1), rows], 0)
    y = like(m, x, (2, 3, 4))
    m.output(m.operator("RESHAPE", [x, shape], [y], "ReshapeOptions"))
    sizes = strided_slice(m, shape_of(m, y), slice(0, 2))
    joined = concatenation(m, [sizes, ints(m, [2, 2])], 0)
    z = like(m, x, (2, 3, 2, 2))
    m.output(m.operator("RESHAPE", [y, joined], [z], "ReshapeOptions"))
    # Values that the model gives out: constants to the compiler, copies to the device.
    zeros = fill(m, (2, 2), m.constant(np.float32(0.5), None, "float32"))
    m.output(shape_of(m, z, "int64"), m.operator("RANK", [z], [m.tensor((), None, "int32")]), zeros)
    m.output(range_(m, 3, -8, -2, "int32"), range_(m, 0.1, 1.0, 0.3, "float32"), joined)
    weights = m.constant(m.weights((3, 4)), Quant(0.02))
    turned = transpose(m, m.reshape(weights, (4, 3)), (1, 0))
    rows_out = m.tensor((6, 3), Quant(0.1))
    m.output(
        m.operator("FULLY_CONNECTED", [y, turned, None], [rows_out], "FullyConnectedOptions", 6)
    )
    half = m.constant(m.rng.normal(0, 1, (3, 2)), None, "float16")
    m.output(transpose(m, m.dequantize(half), (1, 0)))


@edge
def uint8_inputs_of_other_scales(m: ModelBuilder) -> None:
    """The reference rescales them in float32: every byte, at ties, and where it saturates."""
    x = m.input((1, 256), Quant(0.5, 9), "uint8")
    for scale, zero_point in ((0.25, 9), (1.0, 10), (0.37, 200), (0.003, 0), (90.0, 255)):
        y = m.input((1, 256), Quant(scale, zero_point), "uint8")
        m.output(concatenation(m, [x, y], 0), concatenation(m, [x, y], 1, y.quant))
        m.output(concatenation(m, [y, x], 0, Quant(2.0, 7)), concatenation(m, [y], 1, x.quant))
    # Where division, a fused product or double precision round other bytes.
    for scale, zero_point, out in ((0.21, 246, Quant(0.84, 95)), (0.13, 134, Quant(0.76, 176))):
        y = m.input((1, 256), Quant(scale, zero_point), "uint8")
        m.output(concatenation(m, [y], 0, out))


@edge
def uint8_moved(m: ModelBuilder) -> None:
    x = m.input((2, 3, 4, 5), Quant(0.5, -119))
    m.output(padded(m, x, ((0, 0), (1, 2), (2, 1), (0, 0)), "PAD"), transpose(m, x, (0, 3, 1, 2)))
    m.output(space_to_batch(m, x, (2, 2), ((1, 0), (1, 1))), *split(m, x, 2, 2))
    m.output(padded(m, x, ((0, 0), (1, 2), (2, 1), (0, 0)), "PADV2", value=3), *unpack(m, x, 0))
    m.output(pack(m, [x, x], 1), tile(m, x, (1, 2, 1, 1)), gather(m, x, ints(m, [3, 1, 1]), 2))
    m.to_uint8(weights_zero_point=9)


@edge
def more_dimensions_than_a_call_takes(m: ModelBuilder) -> None:
    x = source(m, (2, 3, 2, 3, 2, 3, 2, 3))
    m.output(transpose(m, x, (7, 6, 5, 4, 3, 2, 1, 0)), transpose(m, x, (1, 0, 3, 2, 5, 4, 7, 6)))
    y = source(m, (2, 1, 3, 2, 2), "int16")
    m.output(tile(m, y, (2, 3, 2, 2, 3)), broadcast_to(m, y, (2, 3, 2, 4, 3, 2, 2)))


@edge
def constants_of_every_type(m: ModelBuilder) -> None:
    """What is folded, and what a layer reads as a constant at run time."""
    limits: dict[str, Sequence[float]] = {
        "int8": (-128, 127, 5, 0),
        "uint8": (0, 255, 5, 128),
        "int16": (-32768, 32767, 5, 0),
        "int32": (-(2**31), 2**31 - 1, 5, 0),
        "int64": (-(2**63), 2**63 - 1, 5, 0),
        "float32": (float("inf"), float("-inf"), -0.0, 1e-40),
        "bool": (False, True, True, False),
    }
    for dtype, values in limits.items():
        quant = _QUANT if dtype == "int8" else None
        table = m.constant(np.array(values, dtype).reshape(2, 2), quant, dtype)
        m.output(transpose(m, table, (1, 0)), m.reshape(table, (4,)), reverse(m, table, (0, 1)))
        m.output(gather(m, table, bytes_as(m, source(m, (2,), "bool"), "int32"), 0))
        m.output(concatenation(m, [source(m, (1, 2), dtype), table], 0))
        m.output(broadcast_to(m, table, (2, 2, 2)), expand_dims(m, table, 1, "int64"))
        m.output(padded(m, table, ((1, 0), (0, 1)), "PAD"))
        if dtype != "bool":
            m.output(*split(m, table, 2, 0))
        m.output(gather(m, table, ints(m, [1, 1, 0]), -1), gather_nd(m, table, ints(m, [[1, 0]])))
    quantized = m.constant(np.array([5, 250], np.uint8), Quant(0.5, 9), "uint8")
    m.output(padded(m, quantized, ((1, 2),), "PAD"), concatenation(m, [quantized], 0, Quant(0.2)))
    x = m.constant(m.weights((4, 2, 3, 1)), _QUANT)
    m.output(
        batch_to_space(m, x, (2, 2), ((1, 0), (0, 1))), space_to_batch(m, x, (2, 3), ((0, 0),) * 2)
    )
    m.output(
        strided_slice(m, x, -1, Ellipsis, slice(None, None, -2), None, 0), tile(m, x, (2, 1, 1, 3))
    )
    m.output(m.max_pool2d(source(m, (1, 2, 2, 1))))


@edge
def strided_slices_by_lengths(m: ModelBuilder) -> None:
    """Ends that count from the begins."""
    x = source(m, (5, 4))
    for begin, length, step, mask in (
        (1, 3, 1, 0),
        (-4, 3, 2, 0),
        (3, -2, -1, 0),
        (-1, -4, -2, 0),
        (7, 4, 1, 1),
        (0, -3, -1, 1),
    ):
        start = (0 if step > 0 else 4) if mask else begin % 5
        count = len(range(start, start + length, step))
        indices = [ints(m, pair) for pair in ([begin, 0], [length, 4], [step, 1])]
        y = like(m, x, (count, 4))
        masks: dict[str, Any] = {"BeginMask": mask, "Offset": True}
        m.output(m.operator("STRIDED_SLICE", [x, *indices], [y], "StridedSliceOptions", **masks))


dtypes = st.sampled_from(TYPES)


def shapes(low: int = 1, high: int = 5, size: int = 5) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, size), min_size=low, max_size=high)


def _index(draw: Draw, size: int) -> Any:
    """An index or a slice that takes something of an axis."""
    if draw(st.booleans()):
        return draw(st.integers(-size, size - 1))
    bounds = st.one_of(st.none(), st.integers(-size - 2, size + 2))
    step = draw(st.sampled_from([None, 1, 2, 3, -1, -2, -3]))
    chosen = slice(draw(bounds), draw(bounds), step)
    return chosen if len(range(*chosen.indices(size))) else slice(None)


@random_models
def random_strided_slice(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = source(m, draw(shapes(1, 4)), draw(dtypes))
    rank = len(x.shape)
    for _ in range(6):
        head = draw(st.integers(0, rank))
        tail = draw(st.integers(0, rank - head - 1)) if head < rank else 0
        indices = [_index(draw, n) for n in x.shape[:head]]
        if head < rank and (tail or draw(st.booleans())):
            indices.append(Ellipsis)
        indices += [_index(draw, n) for n in x.shape[rank - tail :]]
        if draw(st.booleans()):
            indices.insert(draw(st.integers(0, len(indices))), None)
        if indices:
            m.output(strided_slice(m, x, *indices))
    m.output(m.reshape(x, (-1,)))
    return m


@random_models
def random_movement(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = source(m, draw(shapes()), draw(dtypes))
    rank = len(x.shape)
    axes = st.integers(-rank, rank - 1)
    m.output(transpose(m, x, draw(st.permutations(range(rank)))))
    begin = [draw(st.integers(0, n - 1)) for n in x.shape]
    size = [draw(st.integers(1, n - b)) for n, b in zip(x.shape, begin, strict=True)]
    m.output(slice_(m, x, begin, size))
    axis = draw(axes)
    indices = draw(st.lists(st.integers(0, x.shape[axis] - 1), min_size=1, max_size=5))
    m.output(gather(m, x, ints(m, indices), axis), concatenation(m, [x, x], draw(axes)))
    pairs = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in x.shape]
    m.output(padded(m, x, pairs, "PAD"))
    mode = draw(st.integers(0, 1))
    mirrored = [
        (draw(st.integers(0, min(3, n - 1 + mode))), draw(st.integers(0, min(3, n - 1 + mode))))
        for n in x.shape
    ]
    m.output(padded(m, x, mirrored, "MIRROR_PAD", Mode=mode))
    if x.dtype != "bool":
        m.output(tile(m, x, [draw(st.integers(1, 3)) for _ in x.shape]))
        m.output(pack(m, [x, x], draw(st.integers(-rank - 1, rank))))
        cut = draw(st.integers(1, x.shape[axis]))
        m.output(*split_v(m, x, (cut, -1) if cut < x.shape[axis] else (cut,), axis))
    m.output(reverse(m, x, (draw(axes),)))
    return m


@random_models
def random_blocks(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    dtype = draw(st.sampled_from(["int8", "uint8", "int32", "int64", "float32"]))
    block = draw(st.integers(1, 3))
    height, width, depth = (draw(st.integers(1, 3)) for _ in range(3))
    x = source(m, (draw(st.integers(1, 2)), height * block, width * block, depth), dtype)
    m.output(space_to_depth(m, x, block), depth_to_space(m, space_to_depth(m, x, block), block))
    blocks = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    paddings = []
    for n, size in zip(x.shape[1:3], blocks, strict=True):
        before = draw(st.integers(0, 4))
        paddings.append((before, -(n + before) % size + size * draw(st.integers(0, 1))))
    y = space_to_batch(m, x, blocks, paddings)
    crops = [(draw(st.integers(0, n)), 0) for n in (1, 1)]
    crops = [
        (a if n * size > a else 0, b)
        for n, size, (a, b) in zip(y.shape[1:3], blocks, crops, strict=True)
    ]
    m.output(y, batch_to_space(m, y, blocks, paddings), batch_to_space(m, y, blocks, crops))
    return m


@random_models
def random_uint8_concatenation(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    quants = st.builds(Quant, float32s(0.01, 1.0), st.integers(0, 255))
    for _ in range(4):
        xs = [m.input((1, 256), draw(quants), "uint8") for _ in range(2)]
        m.output(concatenation(m, xs, draw(st.integers(0, 1)), draw(quants)))
    return m
