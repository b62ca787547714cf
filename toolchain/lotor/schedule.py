"""The order in which layers run."""

from lotor.graph import Graph, Op


def schedule(graph: Graph) -> list[Op]:
    """Return the layers in an order in which every input is computed before it is read.

    The model's own order is kept: the frontend has checked that it can be run.
    """
    return list(graph.ops)
