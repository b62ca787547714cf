"""Let the layer before a RELU, RELU6, MAXIMUM, ... with a constant do the clamping."""

from dataclasses import replace

import numpy as np

from lotor.graph import DType, Graph, Op, Tensor
from lotor.ops import operators
from lotor.ops.relu import Relu
from lotor.optimize.edit import Uses, compiles, rewritten

_NO_LIMIT = 1 << 31


def fold_activations(graph: Graph) -> Graph:
    """Let the layer before a RELU, RELU6, MAXIMUM, ... with a constant do the clamping.

    Input and output of the clamp have one quantization, so that it changes no number within its
    limits, and nobody else needs what the layer before writes.
    """
    uses = Uses(graph)
    now: dict[Tensor, tuple[Op, Op]] = {}  # who writes a tensor, before and after the rewrite
    edits: dict[Op, list[Op]] = {}
    for op in graph.ops:
        for tensor in op.outputs:
            now[tensor] = (op, op)
        limits = _limits(op)
        if limits is None:
            continue
        x, y, low, high = limits
        before, after = now.get(x, (None, None))
        if (
            before is None
            or after is None
            or uses.sole_reader(x) is not op
            or len(after.outputs) > 1
        ):
            continue
        if not operators()[after.kind].clamps or not compiles(after):
            continue
        folded = replace(after, outputs=[y], clamp=_joined(after, low, high))
        now[y] = (before, folded)
        edits |= {before: [folded], op: []}
    return rewritten(graph, edits)


def _limits(op: Op) -> tuple[Tensor, Tensor, int, int] | None:
    """Return what a clamp reads and writes, and its limits; None for every other layer."""
    operator = operators().get(op.kind)
    y = op.outputs[0]
    if y.dtype not in (DType.INT8, DType.INT16) or y.variable or not compiles(op):
        return None
    if isinstance(operator, Relu):
        x = op.input(0)
        low, high = operator.bounds(op)
    elif op.kind in ("MAXIMUM", "MINIMUM"):
        x, bound = op.input(0), op.input(1)
        if x.data is not None:
            x, bound = bound, x
        if bound.data is None or bound.elements != 1 or bound.dtype is not y.dtype:
            return None
        value = int(bound.data.reshape(-1)[0])
        low, high = (value, _NO_LIMIT) if op.kind == "MAXIMUM" else (-_NO_LIMIT, value)
    else:
        return None
    if x.dtype is not y.dtype or x.shape != y.shape or x.quant is None or y.quant is None:
        return None
    if (x.q.scale, x.q.zero_point) != (y.q.scale, y.q.zero_point):
        return None
    return x, y, low, high


def _joined(op: Op, low: int, high: int) -> tuple[int, int]:
    """Return the limits of a layer after which another clamp follows."""
    limits = np.iinfo(op.outputs[0].np_dtype)
    first = op.clamp or (int(limits.min), int(limits.max))
    joined = [min(max(limit, low), high) for limit in first]
    return joined[0], joined[1]
