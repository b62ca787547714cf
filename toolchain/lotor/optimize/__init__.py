"""Rewrites of the graph, each provably exact, in the order in which they run."""

from collections.abc import Callable

from lotor.graph import Graph
from lotor.optimize.remove_dead import remove_dead

PASSES: list[Callable[[Graph], Graph]] = [remove_dead]


def optimize(graph: Graph) -> Graph:
    """Return the graph after every rewrite."""
    for rewrite in PASSES:
        graph = rewrite(graph)
    return graph
