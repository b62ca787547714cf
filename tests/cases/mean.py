"""Cases of MEAN."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, quants
from tflite_builder import ModelBuilder, Quant, Tensor


def reduction(
    m: ModelBuilder,
    kind: str,
    x: Tensor,
    axes: Sequence[int] | int = (1, 2),
    keep_dims: bool = False,
    quant: Quant | None = None,
) -> Tensor:
    """A reduction of any kind; the output has the input's quantization unless another is given."""
    gone = {axis % len(x.shape) for axis in np.atleast_1d(axes).tolist()}
    if keep_dims:
        shape = [1 if i in gone else n for i, n in enumerate(x.shape)]
    else:
        shape = [n for i, n in enumerate(x.shape) if i not in gone]
    operands = [x, m.constant(np.asarray(axes), None, "int32")]
    y = m.tensor(shape, quant or x.quant, x.dtype)
    return m.operator(
        kind, operands, [y], "ReducerOptions", None if kind == "MEAN" else 1, KeepDims=keep_dims
    )


def every_axis(m: ModelBuilder, kind: str, x: Tensor) -> None:
    """Reductions of [a, b, c] along single axes, several, all, and with a scalar for the axis."""
    for axes in ((0,), (-2,), (2,), (0, 2), (1, 2), (1, -2, 1), (0, 1, 2)):
        m.output(reduction(m, kind, x, axes, len(axes) == 3))
    m.output(reduction(m, kind, x, 1, True))


def three_groups(m: ModelBuilder, kind: str, *inputs: Tensor) -> None:
    """Reductions of [a, b, c, d, e] along axes that are no neighbours, or all there are."""
    for x in inputs:
        m.output(reduction(m, kind, x, (0, 2, 4)), reduction(m, kind, x, (3, 1), True))


@case
def mean(m: ModelBuilder) -> None:
    x = m.input((1, 6, 7, 5))
    m.output(m.mean(x), m.mean(x, (0, 2), True, Quant(0.02, -9)))
    m.output(reduction(m, "MEAN", m.input((2, 5, 3), Quant(0.1, 0), "int16"), 1))
    m.output(reduction(m, "MEAN", m.input((2, 5, 3), None, "float32"), 1))


@edge
def mean_of_everything(m: ModelBuilder) -> None:
    x = m.input((2, 24, 20, 3), Quant(0.1, -128))
    for axes in ((0, 1, 2, 3), (1, 2), (2, 1), (-3, -2), (0,), (1,), (2,), (3,), (-1,), (0, 3)):
        for keep_dims in (False, True):
            if len(axes) < 4 or keep_dims:
                m.output(m.mean(x, axes, keep_dims))
    m.output(m.mean(x, (1, 2), True, Quant(0.01, 17)), m.mean(x, (1, 2), False, Quant(2.0, -1)))
    m.output(m.mean(x, (1, 1, 2)))


@edge
def mean_of_other_types(m: ModelBuilder) -> None:
    every_axis(m, "MEAN", m.input((3, 4, 5), None, "float32"))
    every_axis(m, "MEAN", m.input((3, 4, 5), None, "int32"))
    x = m.input((3, 40, 5), Quant(0.1, 0), "int16")
    for scale in (0.1, 0.0003, 1.7):
        m.output(reduction(m, "MEAN", x, 1, quant=Quant(scale, 0)))


@edge
def mean_of_three_groups(m: ModelBuilder) -> None:
    three_groups(m, "MEAN", m.input((2, 3, 2, 3, 4)), m.input((2, 3, 2, 3, 4), dtype="float32"))
    x = m.input((2, 3, 2, 2, 2, 3, 2, 2))
    m.output(reduction(m, "MEAN", x, (0, 2, 4, 6)), reduction(m, "MEAN", x, (1, 3, 5, 7)))


@edge
def mean_of_uint8(m: ModelBuilder) -> None:
    x = m.input((1, 9, 8, 6), Quant(0.05, -20))
    m.output(m.mean(x), m.mean(x, (1,), True, Quant(0.02, -9)))
    m.to_uint8()


@edge
def mean_to_a_scalar(m: ModelBuilder) -> None:
    x = m.input((1, 5, 5, 3))
    m.output(m.mean(x, (0, 1, 2, 3), False, Quant(0.02, 9)))


@edge
def mean_to_a_far_scale(m: ModelBuilder) -> None:
    x = m.input((1, 16, 16, 2), Quant(0.01, 100))
    m.output(m.mean(x, (1, 2), quant=Quant(2.0**22, 9)), m.mean(x, quant=Quant(2.0**-12, 0)))


@random_models
def random_mean(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    shape = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    x = m.input(shape, draw(quants))
    rank = len(shape)
    for _ in range(BRANCHES):
        axes = draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank))
        quant = draw(st.one_of(st.none(), quants))
        # All axes without keeping them would leave no dimension: an edge case of its own.
        keep = draw(st.booleans()) or len({a % rank for a in axes}) == rank
        m.output(m.mean(x, axes, keep, quant))
    return m
