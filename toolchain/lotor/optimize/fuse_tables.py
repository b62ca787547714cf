"""Compute chains of int8 functions of one input by one table."""

from dataclasses import replace

from lotor.graph import Array, DType, Graph, Op
from lotor.ops import operators
from lotor.ops.table import TableAttributes
from lotor.ops.unary import Tabulated
from lotor.optimize.edit import Uses, compiles, rewritten


def fuse_tables(graph: Graph) -> Graph:
    """Compute chains of int8 functions of one input by one table.

    A link of a chain is read by the next one only.
    """
    uses = Uses(graph)
    edits: dict[Op, list[Op]] = {}
    for op in graph.ops:
        if op in edits or not _tabulated(op):
            continue
        chain = [op]
        while (reader := uses.sole_reader(chain[-1].outputs[0])) and _tabulated(reader):
            chain.append(reader)
        if len(chain) == 1:
            continue
        values = _table(op)
        for link in chain[1:]:
            values = _table(link)[values.astype(int) + 128]
        edits.update({link: [] for link in chain})
        # The last link's name: it is the one whose output the model file has, too.
        attrs = TableAttributes(values)
        edits[chain[-1]] = [replace(chain[-1], kind="TABLE", inputs=[op.input(0)], attrs=attrs)]
    return rewritten(graph, edits)


def _tabulated(op: Op) -> bool:
    """Return whether a layer maps each int8 to an int8, and is in order."""
    if not isinstance(operators().get(op.kind), Tabulated) or len(op.inputs) != 1:
        return False
    x, y = op.input(0), op.outputs[0]
    if x.variable or y.variable or x.data is not None:
        return False
    return x.dtype is y.dtype is DType.INT8 and compiles(op)


def _table(op: Op) -> Array:
    operator = operators()[op.kind]
    assert isinstance(operator, Tabulated)
    return operator.table(op)
