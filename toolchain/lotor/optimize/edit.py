"""What rewrites share: who writes and reads a tensor, and edits that leave the given graph alone.

Layers and tensors are compared by identity, so both serve as keys. Every function takes time in
proportion to the graph, so a pass collects its edits and applies them once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lotor.graph import Graph, Op, Tensor
from lotor.ops import operators


class Uses:
    """Who writes and who reads each tensor of a graph, as it is now."""

    def __init__(self, graph: Graph) -> None:
        self._producers: dict[Tensor, Op] = {}
        self._readers: dict[Tensor, list[Op]] = {}
        self._outputs = set(graph.outputs)
        for op in graph.ops:
            for tensor in dict.fromkeys(op.inputs):
                if tensor is not None:
                    self._readers.setdefault(tensor, []).append(op)
            for tensor in op.outputs:
                self._producers[tensor] = op

    def producer(self, tensor: Tensor | None) -> Op | None:
        """Return the layer that writes a tensor; None for inputs of the model and constants."""
        return None if tensor is None else self._producers.get(tensor)

    def readers(self, tensor: Tensor) -> Sequence[Op]:
        """Return the layers that read a tensor, each once, in their order."""
        return self._readers.get(tensor, ())

    def is_output(self, tensor: Tensor) -> bool:
        """Return whether a tensor is an output of the model."""
        return tensor in self._outputs

    def sole_reader(self, tensor: Tensor) -> Op | None:
        """Return the layer that alone needs a tensor; None where another or an output does."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 and not self.is_output(tensor) else None


def compiles(op: Op) -> bool:
    """Return whether a layer is known and in order, so that a rewrite may rely on its shapes."""
    operator = operators().get(op.kind)
    tensors = [t for t in (*op.inputs, *op.outputs) if t is not None]
    return operator is not None and all(t.elements for t in tensors) and not operator.problems(op)


def with_tensors(op: Op, tensors: Mapping[Tensor, Tensor]) -> Op:
    """Return a layer that reads and writes other tensors; the same object if nothing changes."""
    inputs = [t if t is None else tensors.get(t, t) for t in op.inputs]
    outputs = [tensors.get(t, t) for t in op.outputs]
    if inputs == op.inputs and outputs == op.outputs:
        return op
    return replace(op, inputs=inputs, outputs=outputs)


def rewritten(
    graph: Graph,
    ops: Mapping[Op, Sequence[Op]] | None = None,
    tensors: Mapping[Tensor, Tensor] | None = None,
) -> Graph:
    """Return a graph with edits; what they do not touch is shared with the given one.

    Args:
        graph: left as it is.
        ops: layers that take the place of a layer; none to drop it.
        tensors: what layers, new ones too, read and write instead of a tensor; a replacement may
            itself be replaced. The model's inputs and outputs stay: a rewrite that drops the layer
            before an output lets the layer before that write the output.
    """
    ops = ops or {}
    final = _followed(tensors or {})
    kept = [new for op in graph.ops for new in ops.get(op, (op,))]
    return replace(graph, ops=[with_tensors(op, final) for op in kept])


def _followed(tensors: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """Return replacements with chains of them followed to their end."""
    final: dict[Tensor, Tensor] = {}
    for start in tensors:
        chain = []
        tensor = start
        while tensor in tensors and tensor not in final:
            chain.append(tensor)
            tensor = tensors[tensor]
        end = final.get(tensor, tensor)
        final.update(dict.fromkeys(chain, end))
    return final
