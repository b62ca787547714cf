"""The shapes that follow from layers, for tensors whose sizes the model file leaves open.

The converter writes 1 for a size that it does not know, and keeps the -1 in the signature. For a
batch that is right; behind a RESHAPE to a computed shape it is not, and every layer after it is
wrong, too. The reference computes all shapes anew, and so does this, for the operators that stand
behind such layers in real models; the others keep the file's shape.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lotor.graph import DType, Op, Tensor
from lotor.ops import operators
from lotor.ops.copy import axis_of, integers
from lotor.ops.pool_2d import Pool2DAttributes
from lotor.ops.strided_slice import StridedSlice
from lotor.ops.window import Axis

Shape = tuple[int, ...]


def settled(op: Op) -> Op:
    """Return a layer whose outputs have the shapes that follow; the same object if they have."""
    operator = operators().get(op.kind)
    if operator is None or any(t is None for t in op.inputs[: operator.inputs]):
        return op
    outputs = [_settled(op, y) for y in op.outputs]
    same = all(a is b for a, b in zip(outputs, op.outputs, strict=True))
    return op if same else replace(op, outputs=outputs)


def _settled(op: Op, y: Tensor) -> Tensor:
    if y.variable or y.data is not None or -1 not in (y.shape_signature or ()):
        return y
    if op.kind in _SHAPES:
        shape = _SHAPES[op.kind](op)
    else:
        shape = _PARTS[op.kind](op, y) if op.kind in _PARTS else None
    if shape is None or shape == y.shape or min(shape, default=1) < 1:
        return y
    return replace(y, shape=shape)


def _same(op: Op) -> Shape | None:
    return op.input(0).shape


def _broadcast(op: Op) -> Shape | None:
    try:
        return np.broadcast_shapes(*(t.shape for t in op.inputs if t is not None))
    except ValueError:
        return None


def _given(op: Op) -> Tensor | None:
    """The second input, where there is one."""
    return op.inputs[1] if len(op.inputs) > 1 else None


def _reshape(op: Op) -> Shape | None:
    shape = _given(op)
    if shape is not None and shape.dtype is not DType.INT32:
        return None
    new = list(op.attrs or ()) if shape is None else integers(shape, shape.elements)
    if not new or new.count(-1) > 1 or min(new, default=0) < -1:
        return None
    known = math.prod(n for n in new if n != -1)
    if known == 0:
        return None
    return tuple(op.input(0).elements // known if n == -1 else n for n in new)


def _reduction(op: Op) -> Shape | None:
    shape, given = op.input(0).shape, _given(op)
    numbers = None if given is None else integers(given, given.elements)
    if numbers is None:
        return None
    axes = {axis_of(axis, len(shape)) for axis in numbers}
    if op.attrs.keep_dims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _fully_connected(op: Op) -> Shape | None:
    weights = _given(op)
    if weights is None or len(weights.shape) != 2 or 0 in weights.shape:
        return None
    outputs, inputs = weights.shape
    if op.attrs.keep_dims:
        return (*op.input(0).shape[:-1], outputs)
    return (op.input(0).elements // inputs, outputs)


def _matrices(op: Op) -> Shape | None:
    other = _given(op)
    if other is None or min(len(op.input(0).shape), len(other.shape)) < 2:
        return None
    a, b = op.input(0).shape, other.shape
    try:
        batches = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        return None
    return (*batches, a[-1 if op.attrs.adjoint_a else -2], b[-2 if op.attrs.adjoint_b else -1])


def _transpose(op: Op) -> Shape | None:
    shape = op.input(0).shape
    axes = [axis_of(a, len(shape)) for a in integers(_given(op), len(shape)) or ()]
    order = [a for a in axes if a is not None]
    return tuple(shape[a] for a in order) if sorted(order) == list(range(len(shape))) else None


def _concatenation(op: Op) -> Shape | None:
    shapes = [t.shape for t in op.inputs if t is not None]
    axis = axis_of(op.attrs.axis, len(shapes[0]))
    if axis is None or any(len(s) != len(shapes[0]) for s in shapes):
        return None
    return (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])


def _tile(op: Op) -> Shape | None:
    shape = op.input(0).shape
    multiples = integers(_given(op), len(shape))
    return (
        None if multiples is None else tuple(n * m for n, m in zip(shape, multiples, strict=True))
    )


def _broadcast_to(op: Op) -> Shape | None:
    given = _given(op)
    shape = None if given is None else integers(given, given.elements)
    return None if shape is None else tuple(shape)


def _expand_dims(op: Op) -> Shape | None:
    shape = op.input(0).shape
    axis = [axis_of(a, len(shape) + 1) for a in integers(_given(op), 1) or ()]
    return None if axis in ([], [None]) else (*shape[: axis[0]], 1, *shape[axis[0] :])


def _squeeze(op: Op) -> Shape | None:
    shape = op.input(0).shape
    axes = {axis_of(a, len(shape)) for a in op.attrs or ()}
    if not op.attrs:
        axes = {i for i, n in enumerate(shape) if n == 1}
    if any(a is None or shape[a] != 1 for a in axes):
        return None
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _blocks(op: Op) -> tuple[list[int], list[int]] | None:
    """Blocks of the axes after the first, and how much is added to or cut from each."""
    axes = len(op.input(0).shape) - 2
    sizes = integers(_given(op), axes)
    margins = integers(op.inputs[2], 2 * axes) if len(op.inputs) > 2 else None
    if axes < 1 or sizes is None or margins is None or min(sizes) < 1:
        return None
    return sizes, [sum(margins[2 * i : 2 * i + 2]) for i in range(axes)]


def _space_to_batch(op: Op) -> Shape | None:
    found = _blocks(op)
    if found is None:
        return None
    batch, *axes, channels = op.input(0).shape
    inner = [(n + m) // size for n, size, m in zip(axes, *found, strict=True)]
    return (batch * math.prod(found[0]), *inner, channels)


def _batch_to_space(op: Op) -> Shape | None:
    found = _blocks(op)
    if found is None:
        return None
    batch, *axes, channels = op.input(0).shape
    inner = [n * size - m for n, size, m in zip(axes, *found, strict=True)]
    return (batch // math.prod(found[0]), *inner, channels)


def _pad(op: Op) -> Shape | None:
    shape = op.input(0).shape
    given = integers(_given(op), 2 * len(shape))
    if given is None:
        return None
    return tuple(n + sum(given[2 * i : 2 * i + 2]) for i, n in enumerate(shape))


def _windowed(op: Op) -> Shape | None:
    a, x, weights = op.attrs, op.input(0).shape, _given(op)
    if len(x) != 4:
        return None
    if isinstance(a, Pool2DAttributes):
        kernel, dilation, channels = a.window, (1, 1), x[3]
    elif weights is not None and len(weights.shape) == 4:
        kernel, dilation = weights.shape[1:3], a.dilation
        channels = weights.shape[0 if op.kind == "CONV_2D" else 3]
    else:
        return None
    if min(*kernel, *a.stride, *dilation) < 1:
        return None
    steps = zip(kernel, a.stride, dilation, x[1:3], strict=True)
    return (x[0], *(Axis(k, s, d, a.same).output(n) for k, s, d, n in steps), channels)


def _resize(op: Op) -> Shape | None:
    x, size = op.input(0).shape, integers(_given(op), 2)
    return None if size is None or len(x) != 4 else (x[0], *size, x[3])


def _depth_to_space(op: Op) -> Shape | None:
    shape, block = op.input(0).shape, op.attrs
    if len(shape) != 4 or block < 1:
        return None
    return (shape[0], shape[1] * block, shape[2] * block, shape[3] // (block * block))


def _space_to_depth(op: Op) -> Shape | None:
    shape, block = op.input(0).shape, op.attrs
    if len(shape) != 4 or block < 1:
        return None
    return (shape[0], shape[1] // block, shape[2] // block, shape[3] * block * block)


def _slice(op: Op) -> Shape | None:
    shape = op.input(0).shape
    begin, size = (integers(op.input(i), len(shape)) for i in (1, 2))
    if begin is None or size is None:
        return None
    return tuple(n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True))


def _gather(op: Op) -> Shape | None:
    shape, indices, a = op.input(0).shape, op.input(1).shape, op.attrs
    axis = axis_of(a.axis, len(shape))
    if axis is None or not 0 <= a.batch_dims <= min(axis, len(indices)):
        return None
    return (*shape[:axis], *indices[a.batch_dims :], *shape[axis + 1 :])


def _pack(op: Op) -> Shape | None:
    shape = op.input(0).shape
    axis = axis_of(op.attrs.axis, len(shape) + 1)
    return None if axis is None else (*shape[:axis], len(op.inputs), *shape[axis:])


def _unpack(op: Op, y: Tensor) -> Shape | None:
    shape = op.input(0).shape
    axis = axis_of(op.attrs.axis, len(shape))
    return None if axis is None else shape[:axis] + shape[axis + 1 :]


def _axis(given: Tensor, x: Tensor) -> int | None:
    number = integers(given, 1)
    return None if number is None else axis_of(number[0], len(x.shape))


def _split(op: Op, y: Tensor) -> Shape | None:
    x = op.input(1)
    at = _axis(op.input(0), x)
    return None if at is None else _with(x.shape, at, x.shape[at] // len(op.outputs))


def _split_v(op: Op, y: Tensor) -> Shape | None:
    """As the sizes are; where one is -1, it is the rest."""
    x, sizes = op.input(0), integers(op.input(1), len(op.outputs))
    at = _axis(op.input(2), x)
    if sizes is None or at is None:
        return None
    size = sizes[[t is y for t in op.outputs].index(True)]
    if size < 0:
        size = x.shape[at] - sum(s for s in sizes if s >= 0)
    return _with(x.shape, at, size)


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


_SHAPES: dict[str, Callable[[Op], Shape | None]] = {
    "RESHAPE": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _matrices,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast_to,
    "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": _squeeze,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _pad),
    **dict.fromkeys(
        (*("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "L2_POOL_2D", "MAX_POOL_2D"),),
        _windowed,
    ),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resize),
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SLICE": _slice,
    "STRIDED_SLICE": StridedSlice().shape,
    "GATHER": _gather,
    "PACK": _pack,
    **dict.fromkeys(
        (
            *("ABS", "CAST", "COS", "DEQUANTIZE", "EXP", "FLOOR", "GELU", "HARD_SWISH"),
            *("L2_NORMALIZATION", "LEAKY_RELU", "LOG", "LOGICAL_NOT", "LOGISTIC", "LOG_SOFTMAX"),
            *("NEG", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "REVERSE_V2"),
            *("RSQRT", "SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE"),
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            *("ADD", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL", "LESS"),
            *("LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL"),
            *("POW", "PRELU", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB"),
        ),
        _broadcast,
    ),
    **dict.fromkeys(
        (
            *("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN"),
            "REDUCE_PROD",
        ),
        _reduction,
    ),
}

# Of several outputs, one by one.
_PARTS: dict[str, Callable[[Op, Tensor], Shape | None]] = {
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
}
