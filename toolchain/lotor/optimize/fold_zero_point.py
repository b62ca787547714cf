"""Move the input's zero point into the bias of convolutions that read no padding."""

from dataclasses import replace

from lotor.graph import DType, Graph, Op, Tensor
from lotor.ops import operators
from lotor.ops.convolution import Convolution
from lotor.optimize.edit import compiles, rewritten


def fold_zero_point(graph: Graph) -> Graph:
    """Move the input's zero point into the bias of convolutions that read no padding.

    Every sum then takes all weights of its channel, so that the zero point adds the same to each:
    the products need no subtraction. Arithmetic modulo 2^32 makes that exact for every bias. Dense
    layers need no rewrite: their kernel always takes it with the bias.
    """
    return rewritten(graph, {op: [_folded(op)] for op in graph.ops if _folds(op)})


def _folds(op: Op) -> bool:
    operator = operators().get(op.kind)
    if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or not isinstance(operator, Convolution):
        return False
    if not compiles(op) or op.attrs.zero_point_folded:
        return False
    x = op.input(0)
    return x.dtype is DType.INT8 and x.q.zero_point != 0 and not operator.padded(op)


def _folded(op: Op) -> Op:
    operator = operators()[op.kind]
    assert isinstance(operator, Convolution)
    values = operator.weighted(op).folded_bias()
    bias = Tensor(f"{op.name} bias", values.shape, DType.INT32, data=values)
    attrs = replace(op.attrs, zero_point_folded=True)
    return replace(op, inputs=[*op.inputs[:2], bias], attrs=attrs)
