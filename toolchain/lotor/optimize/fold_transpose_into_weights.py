"""Move a TRANSPOSE before a dense layer into the order of its weights."""

from dataclasses import replace
from math import prod

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Tensor
from lotor.ops.convolution import constant
from lotor.optimize.cancel_transposes import order_of
from lotor.optimize.edit import Uses, compiles, rewritten

_ALIASES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def fold_transpose_into_weights(graph: Graph) -> Graph:
    """Move a TRANSPOSE before a FULLY_CONNECTED, with a RESHAPE between, into its weights.

    The layer must alone read what is transposed, and must be of integers, whose sums do not depend
    on the order.
    """
    uses = Uses(graph)
    ops: dict[Op, list[Op]] = {}
    for op in graph.ops:
        if op.kind != "FULLY_CONNECTED" or not compiles(op):
            continue
        chain = _chain(op, uses)
        places = None if chain is None else _places(chain[-1], op)
        if chain is None or places is None:
            continue
        f, weights = op.input(0), op.input(1)
        x = chain[-1].input(0)
        data = np.empty_like(constant(weights))
        data[:, places] = constant(weights)
        flat = Tensor(f.name, f.shape, f.dtype, f.quant)
        inputs = [flat, replace(weights, data=data, source=None), *op.inputs[2:]]
        ops |= {link: [] for link in chain}
        ops[op] = [Op("RESHAPE", f.name, [x], [flat]), replace(op, inputs=inputs)]
    return rewritten(graph, ops) if ops else graph


def _chain(op: Op, uses: Uses) -> list[Op] | None:
    """Return the layers from the one before a dense layer up to a TRANSPOSE; None without one."""
    x, weights = op.input(0), op.input(1)
    if x.dtype not in (DType.INT8, DType.INT16) or weights.data is None:
        return None
    if len(uses.readers(weights)) > 1:  # a second copy of the weights would cost more
        return None
    chain: list[Op] = []
    while uses.sole_reader(x) is not None:
        link = uses.producer(x)
        if link is None or link.kind not in (*_ALIASES, "TRANSPOSE") or not compiles(link):
            return None
        chain.append(link)
        x = link.input(0)
        if x.data is not None or x.variable:
            return None
        if link.kind == "TRANSPOSE":
            return chain
    return None


def _places(transpose: Op, dense: Op) -> Array | None:
    """Return where in a row of the input each element of a transposed row lies.

    None where rows of the dense layer are not made of whole rows of the input.
    """
    shape, order = transpose.input(0).shape, order_of(transpose)
    inputs = dense.input(1).shape[1]
    for first in range(len(shape)):
        if prod(shape[first:]) == inputs and order[:first] == tuple(range(first)):
            inner = np.arange(inputs).reshape(shape[first:])
            places: Array = inner.transpose([axis - first for axis in order[first:]]).reshape(-1)
            return places
    return None
