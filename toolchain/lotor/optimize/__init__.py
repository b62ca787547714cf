"""Rewrites of the graph, each provably exact, in the order in which they run."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from lotor.graph import Graph, Op
from lotor.optimize.alias_shapes import alias_shapes
from lotor.optimize.cancel_transposes import cancel_transposes
from lotor.optimize.fold_activations import fold_activations
from lotor.optimize.fold_constants import fold_constants
from lotor.optimize.fold_pad import fold_pad
from lotor.optimize.fold_quantize import fold_quantize
from lotor.optimize.fold_transpose_into_weights import fold_transpose_into_weights
from lotor.optimize.fold_zero_point import fold_zero_point
from lotor.optimize.fuse_tables import fuse_tables
from lotor.optimize.place_parts import place_parts
from lotor.optimize.remove_constant_channels import remove_constant_channels
from lotor.optimize.remove_dead import remove_dead
from lotor.optimize.resource_variables import resource_variables
from lotor.optimize.uint8_to_int8 import uint8_to_int8

Rewrite = Callable[[Graph], Graph]

PASSES: tuple[Rewrite, ...] = (
    resource_variables,
    fold_constants,
    uint8_to_int8,
    cancel_transposes,
    fold_transpose_into_weights,
    fold_pad,
    fold_quantize,
    fold_activations,
    fuse_tables,
    remove_constant_channels,
    fold_zero_point,
    remove_dead,
    alias_shapes,
    place_parts,
)

_MOST_CHANNELS = 1 << 24  # of all activations together


@dataclass(frozen=True)
class PassResult:
    """What one rewrite has done to a graph.

    Attributes:
        name: the rewrite's.
        purpose: its first line of documentation.
        graph: the graph after it.
        removed: operators that are gone.
        added: operators that are new or replaced.
    """

    name: str
    purpose: str
    graph: Graph
    removed: list[Op]
    added: list[Op]


def optimize(graph: Graph, skip: Collection[str] = ()) -> Graph:
    """Return the graph after every rewrite but those whose names are in `skip`."""
    for result in trace(graph, skip):
        graph = result.graph
    return graph


def trace(graph: Graph, skip: Collection[str] = ()) -> Iterator[PassResult]:
    """Run every rewrite but those whose names are in `skip`, and yield what it has done."""
    for rewrite in PASSES:
        if _out_of_reach(graph):
            return  # refused afterwards, or beyond any memory; no rewrite has to cope with it
        if rewrite.__name__ in skip:
            continue
        before = {id(op): op for op in graph.ops}
        graph = _named_as(graph, rewrite(graph))
        after = {id(op): op for op in graph.ops}
        yield PassResult(
            rewrite.__name__,
            (rewrite.__doc__ or "").split("\n", 1)[0],
            graph,
            [op for key, op in before.items() if key not in after],
            [op for key, op in after.items() if key not in before],
        )


def _named_as(before: Graph, after: Graph) -> Graph:
    """Return a rewritten graph with what the file says of it, which no rewrite changes."""
    return replace(
        after, signatures=before.signatures, labels=before.labels, subgraphs=before.subgraphs
    )


def _out_of_reach(graph: Graph) -> bool:
    """Return whether activations are empty, or of so many channels that to follow each is long."""
    tensors = [t for op in graph.ops for t in (*op.inputs, *op.outputs)]
    rows = [t.row for t in tensors if t is not None and t.data is None]
    empty = any(t is not None and t.data is None and t.elements == 0 for t in tensors)
    return empty or sum(rows) > _MOST_CHANNELS
