"""Cases of TOPK_V2."""

import numpy as np

from cases import case, edge
from cases.arg_max import with_gaps
from tflite_builder import ModelBuilder, Quant, Tensor


def topk(m: ModelBuilder, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the k largest."""
    shape = (*x.shape[:-1], k)
    outputs = m.tensor(shape, x.quant, x.dtype), m.tensor(shape, None, "int32")
    m.operator("TOPK_V2", [x, m.constant(np.asarray(k), None, "int32")], outputs, version=2)
    return outputs


@case
def topk_v2(m: ModelBuilder) -> None:
    m.output(*topk(m, m.input((2, 9), Quant(0.1, 3)), 4))
    m.output(*topk(m, m.input((7,), None, "float32"), 7))


@edge
def topk_v2_with_ties(m: ModelBuilder) -> None:
    x = m.quantize(m.input((3, 40), Quant(0.1, 0)), Quant(5.0, 0))
    m.output(*topk(m, x, 1), *topk(m, x, 25))
    m.output(*topk(m, m.input((2, 3, 5), None, "int32"), 2))
    m.output(*topk(m, m.input((2, 5), Quant(0.1, 0), "int16"), 3))


@edge
def topk_v2_with_gaps(m: ModelBuilder) -> None:
    m.output(topk(m, with_gaps(m, (3, 9)), 8)[1])


@edge
def topk_v2_uint8(m: ModelBuilder) -> None:
    m.output(*topk(m, m.input((2, 9), Quant(0.1, 3)), 4))
    m.to_uint8()
