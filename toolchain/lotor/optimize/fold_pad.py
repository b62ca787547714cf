"""Fold borders of zeros into the padding of the convolutions that read them."""

from dataclasses import replace

import numpy as np

from lotor.graph import DType, Graph, Op
from lotor.ops import operators
from lotor.ops.convolution import Convolution, ConvolutionAttributes
from lotor.ops.hybrid import is_hybrid
from lotor.ops.pad import paddings_of
from lotor.ops.window import Axis
from lotor.optimize.edit import Uses, compiles, rewritten

_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_TYPES = (DType.INT8, DType.INT16, DType.FLOAT32)


def fold_pad(graph: Graph) -> Graph:
    """Fold borders of zeros into the padding of the convolutions that read them.

    A convolution leaves taps outside its input out; where the border stands for zero they add
    nothing either. PAD and PADV2 fold, on height and width, if every reader is such a convolution.
    """
    while True:  # again for borders around borders
        folded = _folded(graph)
        if folded is graph:
            return graph
        graph = folded


def _folded(graph: Graph) -> Graph:
    uses = Uses(graph)
    edits: dict[Op, list[Op]] = {}
    for pad in graph.ops:
        readers = uses.readers(pad.outputs[0])
        if pad.kind not in ("PAD", "PADV2") or not readers or uses.is_output(pad.outputs[0]):
            continue
        if compiles(pad) and _is_zero(pad):
            new = [_with_border(pad, conv) for conv in readers]
            found = [conv for conv in new if conv is not None]
            if len(found) == len(readers):
                edits |= {pad: []} | {old: [conv] for old, conv in zip(readers, found, strict=True)}
    return rewritten(graph, edits) if edits else graph


def _is_zero(pad: Op) -> bool:
    """Return whether the border stands for zero and is on height and width only."""
    x, paddings = pad.input(0), paddings_of(pad)
    if x.dtype not in _TYPES or len(x.shape) != 4 or paddings is None:
        return False
    if any(paddings[0] + paddings[3]) or (x.quant is None and x.dtype is not DType.FLOAT32):
        return False
    if pad.kind == "PAD":
        return True
    value = pad.input(2).data
    zero = 0 if x.dtype is DType.FLOAT32 else x.q.zero_point
    return value is not None and bool(np.all(value == zero))


def _with_border(pad: Op, conv: Op) -> Op | None:
    """Return a convolution of what a border surrounds; None where it cannot be one."""
    padded = pad.outputs[0]
    if conv.kind not in _KINDS or conv.inputs.count(padded) != 1 or conv.inputs[0] is not padded:
        return None
    operator = operators()[conv.kind]
    assert isinstance(operator, Convolution)
    # Hybrid layers round by an input's place, which a border moves.
    if not compiles(conv) or is_hybrid(operator.weighted(conv)):
        return None
    borders = paddings_of(pad)
    assert borders is not None
    a: ConvolutionAttributes = conv.attrs
    height, width = (
        _sum(border, _explicit(axis, size))
        for border, axis, size in zip(
            borders[1:3], operator.window(conv), padded.shape[1:3], strict=True
        )
    )
    new = replace(
        conv, inputs=[pad.input(0), *conv.inputs[1:]], attrs=replace(a, pads=(height, width))
    )
    return new if compiles(new) else None


def _explicit(axis: Axis, size: int) -> tuple[int, int]:
    """Return the padding (before, after) that a window has over an input of this size."""
    if axis.explicit is not None:
        return axis.explicit
    before = axis.padding(size)
    last = (axis.output(size) - 1) * axis.stride + axis.extent
    return before, max(last - before - size, 0)


def _sum(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] + b[0], a[1] + b[1]
