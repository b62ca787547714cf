"""Let RESHAPE, SQUEEZE and EXPAND_DIMS name the bytes of their input instead of copying them."""

from dataclasses import replace

from lotor.graph import Graph, Op
from lotor.ops import operators
from lotor.ops.movement import NewShape
from lotor.optimize.edit import compiles, rewritten


def alias_shapes(graph: Graph) -> Graph:
    """Let RESHAPE, SQUEEZE and EXPAND_DIMS name the bytes of their input instead of copying them.

    A constant that becomes an output of the model is copied into it.
    """
    edits: dict[Op, list[Op]] = {}
    for op in graph.ops:
        if isinstance(operators().get(op.kind), NewShape) and compiles(op):
            x = op.input(0)
            if x.data is None and not x.variable:
                edits[op] = [replace(op, kind="ALIAS", inputs=[x], attrs=None)]
    return rewritten(graph, edits)
