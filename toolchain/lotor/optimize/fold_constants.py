"""Replace layers whose inputs are all constants by their values."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Tensor
from lotor.ops import operators
from lotor.optimize.edit import with_tensors
from lotor.optimize.shapes import settled

_MAX_BYTES = 1 << 28  # of all values; what no real model reaches, but a hostile one would


def fold_constants(graph: Graph) -> Graph:
    """Replace layers whose inputs are all constants by their values.

    Those that need no more than their input's shape, too. An output of the model stays one: it is
    a copy of the constant. Shapes that the file leaves open and that follow from constants are
    settled on the way.
    """
    outputs = set(graph.outputs)
    values: dict[Tensor, Tensor] = {}
    final: dict[Tensor, Tensor] = {}  # what settled outputs of layers are now
    kept: list[Op] = []
    room = _MAX_BYTES
    for old in graph.ops:
        op = settled(with_tensors(old, values))
        pairs = list(zip(old.outputs, op.outputs, strict=True))
        changed = {before: tensor for before, tensor in pairs if before is not tensor}
        values |= changed
        final |= changed
        size = sum(t.nbytes for t in op.outputs if t.dtype is not DType.OTHER)
        results = _results(op) if size <= room else None
        if results is None:
            kept.append(op)
            continue
        room -= size
        for (before, tensor), data in zip(pairs, results, strict=True):
            constant = replace(tensor, data=np.asarray(data, order="C"))
            if before in outputs:
                kept.append(Op("RESHAPE", tensor.name, [constant], [tensor]))
            values[before] = constant
    if not values:
        return graph
    return replace(graph, ops=kept, outputs=[final.get(t, t) for t in graph.outputs])


def _results(op: Op) -> Sequence[Array] | None:
    """Return the values of a layer's outputs, None if they are not known."""
    operator = operators().get(op.kind)
    if operator is None or any(t.data is not None or t.variable for t in op.outputs):
        return None
    present = [t for t in op.inputs if t is not None]
    if not present or not (operator.of_shape or all(t.data is not None for t in present)):
        return None
    if any(t.dtype is DType.OTHER for t in op.outputs):
        return None
    results = operator.evaluate(op)
    if results is None or len(results) != len(op.outputs):
        return None
    for data, tensor in zip(results, op.outputs, strict=True):
        if data.shape != tensor.shape or data.dtype != tensor.np_dtype:
            return None
    return results
