"""Remove layers whose outputs nobody reads."""

from lotor.graph import Graph, Tensor


def remove_dead(graph: Graph) -> Graph:
    """Remove layers that no output depends on."""
    needed = set(map(id, graph.outputs))
    kept = []
    for op in reversed(graph.ops):
        if any(id(tensor) in needed or _kept(tensor) for tensor in op.outputs):
            kept.append(op)
            needed.update(id(tensor) for tensor in op.inputs if tensor is not None)
    return Graph(graph.name, graph.inputs, graph.outputs, kept[::-1])


def _kept(tensor: Tensor) -> bool:
    """Return whether a tensor is what a variable holds in the next run."""
    return tensor.within is not None and tensor.within.base.variable
