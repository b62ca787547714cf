"""Cases of MEAN."""

from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, quants
from tflite_builder import ModelBuilder, Quant


@case
def mean(m: ModelBuilder) -> None:
    x = m.input((1, 6, 7, 5))
    m.output(m.mean(x), m.mean(x, (0, 2), True, Quant(0.02, -9)))


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
