"""Turn uint8 quantization into int8, by 128 less; the model's border stays uint8."""

from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Graph, Op, Quantization, Tensor
from lotor.ops.quantization import same_numbers

# What they compute is decided by the bits, not by the numbers that these stand for.
_OF_BITS = ("CAST", "BITCAST", "READ_VARIABLE", "ASSIGN_VARIABLE")


def uint8_to_int8(graph: Graph) -> Graph:
    """Turn uint8 quantization into int8, by 128 less; the model's border stays uint8.

    Quantized uint8 tensors become int8 with a zero point 128 lower, which stands for the same real
    numbers; operators that touched them are marked `uint8`. Between the two forms of a tensor, at
    the model's border and around operators that need the bits as they are, stands a QUANTIZE of
    equal scale. uint8 tensors without quantization stay as they are.
    """
    return replace(graph, ops=_Conversion(graph).run())


def as_in_file(values: Array, dtype: np.dtype[np.generic]) -> Array:
    """Return what a layer has written as the model file's type, uint8 where that is uint8."""
    if values.dtype == np.int8 and dtype == np.uint8:
        return values.view(np.uint8) ^ np.uint8(128)
    return values


def _quantized_uint8(tensor: Tensor) -> bool:
    return tensor.dtype is DType.UINT8 and tensor.quant is not None


def _hybrid(op: Op) -> bool:
    """Whether weights are 8-bit and all else is float32: old files call such weights uint8."""
    floats = (t is not None and t.dtype is DType.FLOAT32 for t in op.inputs)
    return any(floats) and any(t.dtype is DType.FLOAT32 for t in op.outputs)


class _Conversion:
    """Makes each form of a tensor where it is first needed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = {id(t) for t in graph.outputs}
        self.twins: dict[int, Tensor] = {}  # from a tensor of either form to that of the other
        self.written = {id(t) for t in graph.inputs}
        self.ops: list[Op] = []

    def run(self) -> list[Op]:
        for op in self.graph.ops:
            self.convert(op)
        for tensor in self.graph.outputs:
            self.need(tensor)
        return self.ops

    def convert(self, op: Op) -> None:
        """Append an operator, with the int8 form of what it reads and writes."""
        keep = op.kind in _OF_BITS or _hybrid(op)
        if op.kind == "QUANTIZE" and same_numbers(op.input(0), op.outputs[0]):
            # The border that a converter has put there needs no second one.
            keep = id(op.input(0)) in self.written or id(op.outputs[0]) in self.outputs
        inputs = [t if keep or t is None else self.int8(t) for t in op.inputs]
        outputs = [t if keep else self.int8(t) for t in op.outputs]
        for tensor in inputs:
            if tensor is not None:
                self.need(tensor)
        if inputs != op.inputs or outputs != op.outputs:
            op = replace(op, inputs=inputs, outputs=outputs, uint8=True)
        self.ops.append(op)
        self.written.update(id(t) for t in outputs)

    def int8(self, tensor: Tensor) -> Tensor:
        """Return the int8 form of a quantized uint8 tensor, always the same one; others as is."""
        if not _quantized_uint8(tensor):
            return tensor
        if id(tensor) not in self.twins:
            q, data = tensor.q, tensor.data
            made = replace(
                tensor,
                dtype=DType.INT8,
                quant=Quantization(q.scales, q.zero_points - 128, q.axis),
                data=None if data is None else (data ^ np.uint8(128)).view(np.int8),
                # The reference begins with bytes of zero, whatever the zero point.
                initial=np.full(tensor.shape, -128, np.int8) if tensor.variable else None,
            )
            self.twins |= {id(tensor): made, id(made): tensor}
        return self.twins[id(tensor)]

    def need(self, tensor: Tensor) -> None:
        """See that a tensor is written where only its other form is."""
        twin = self.twins.get(id(tensor))
        if twin is None or id(tensor) in self.written or id(twin) not in self.written:
            return
        self.ops.append(Op("QUANTIZE", f"{tensor.name} as {tensor.dtype.value}", [twin], [tensor]))
        self.written.add(id(tensor))
