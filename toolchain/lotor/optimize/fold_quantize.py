"""Remove what quantizes without effect; turn a detour through float32 into a table."""

from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Tensor
from lotor.ops.lookup import BYTES, quantized
from lotor.ops.quantization import same_numbers
from lotor.ops.table import TableAttributes
from lotor.optimize.edit import Uses, compiles, rewritten


def fold_quantize(graph: Graph) -> Graph:
    """Remove what quantizes without effect; turn a detour through float32 into a table.

    Without effect are a QUANTIZE to the same type, scale and zero point, and one from uint8 to int8
    that the next one takes back. The detour is a DEQUANTIZE of int8 and a QUANTIZE to int8.
    """
    uses = Uses(graph)
    edits: dict[Op, list[Op]] = {}
    same: dict[Tensor, Tensor] = {}
    for op in graph.ops:
        if op.kind != "QUANTIZE" or not compiles(op):
            continue
        y = op.outputs[0]
        source = _source(op, uses)
        if source is None:
            continue
        table = _detour(op, source)
        if _equal(source, y) and (table is None or np.array_equal(table, BYTES)):
            if _merge(same, source, y, uses):
                edits[op] = []
        elif table is not None:
            edits[op] = [replace(op, kind="TABLE", inputs=[source], attrs=TableAttributes(table))]
    return rewritten(graph, edits | _unread(uses, edits, same), same)


def _source(op: Op, uses: Uses) -> Tensor | None:
    """Return the tensor that a QUANTIZE, with the layer before it, maps element by element."""
    x, y = op.input(0), op.outputs[0]
    before = uses.producer(x)
    if x.variable or y.variable:
        return None
    if x.dtype is DType.FLOAT32:
        if before is None or before.kind != "DEQUANTIZE" or not compiles(before):
            return None
        found = before.input(0)
        usable = found.dtype is y.dtype is DType.INT8 and found.data is None
        return found if usable and not found.variable else None
    if same_numbers(x, y):
        if before is None or before.kind != "QUANTIZE" or not compiles(before):
            return None
        first = before.input(0)
        return first if same_numbers(first, x) and first.data is None else None
    return None if x.data is not None else x


def _detour(op: Op, source: Tensor) -> Array | None:
    """Return int8[256]: what DEQUANTIZE and QUANTIZE make of -128 ... 127; None for others."""
    if op.input(0).dtype is not DType.FLOAT32:
        return None
    steps = (BYTES - source.q.zero_point).astype(np.float32)
    y = op.outputs[0]
    return quantized(np.float32(source.q.scale) * steps, y.q, y.np_dtype)


def _equal(a: Tensor, b: Tensor) -> bool:
    if a.dtype is not b.dtype or a.quant is None or b.quant is None or a.shape != b.shape:
        return False
    return (a.q.scale, a.q.zero_point) == (b.q.scale, b.q.zero_point)


def _merge(same: dict[Tensor, Tensor], x: Tensor, y: Tensor, uses: Uses) -> bool:
    """Note that readers of one of two equal tensors shall read the other; False if none may."""
    if not uses.is_output(y):
        same[y] = x
        return True
    # The layer before writes the output itself, unless what it writes is needed under its name.
    if uses.producer(x) is None or uses.is_output(x) or x in same:
        return False
    same[x] = y
    return True


def _unread(
    uses: Uses, edits: dict[Op, list[Op]], same: dict[Tensor, Tensor]
) -> dict[Op, list[Op]]:
    """Return the layers to drop because all their readers were replaced."""
    dropped: dict[Op, list[Op]] = {}
    needed = set(same.values())
    for op in edits:
        before = uses.producer(op.input(0))
        if before is None or before in edits or before.kind not in ("DEQUANTIZE", "QUANTIZE"):
            continue
        x = op.input(0)
        read = any(
            x in (new.inputs if reader in edits else reader.inputs)
            for reader in uses.readers(x)
            for new in edits.get(reader, [reader])
        )
        if not read and x not in needed and not uses.is_output(x):
            dropped[before] = []
    return dropped
