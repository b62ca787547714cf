"""Cases of CUMSUM."""

import itertools

import numpy as np

from cases import case, edge
from tflite_builder import ModelBuilder, Tensor


def cumsum(
    m: ModelBuilder, x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False
) -> Tensor:
    """Running sums."""
    inputs = [x, m.constant(np.asarray(axis), None, "int32")]
    return m.operator(
        "CUMSUM",
        inputs,
        [m.tensor(x.shape, None, x.dtype)],
        "CumsumOptions",
        1,
        Exclusive=exclusive,
        Reverse=reverse,
    )


@case
def cumsum_along_an_axis(m: ModelBuilder) -> None:
    m.output(cumsum(m, m.input((2, 5, 3), None, "float32"), 1))
    m.output(cumsum(m, m.input((9,), None, "int32"), -1, True, True))


@edge
def cumsum_both_ways(m: ModelBuilder) -> None:
    for x in (m.input((3, 4, 5), None, "float32"), m.input((3, 4, 5), None, "int32")):
        for axis, ways in itertools.product((0, 1, -1), ((0, 0), (0, 1), (1, 0), (1, 1))):
            m.output(cumsum(m, x, axis, *map(bool, ways)))
