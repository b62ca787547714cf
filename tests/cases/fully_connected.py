"""Cases of FULLY_CONNECTED."""

from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, quants, scaling
from tflite_builder import ModelBuilder


@case
def fully_connected(m: ModelBuilder) -> None:
    x = m.input((3, 29))
    m.output(m.fully_connected(x, 6), m.fully_connected(x, 5, per_channel=True, bias=False))


@random_models
def random_fully_connected(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    rows, depth = draw(st.integers(1, 4)), draw(st.integers(1, 70))
    shape = draw(st.sampled_from([(rows, depth), (1, rows, depth), (1, 1, rows, depth)]))
    x = m.input(shape, draw(quants))
    for _ in range(BRANCHES):
        scales_ = scaling(draw)
        bias = draw(st.sampled_from([None, False]))
        units = draw(st.integers(1, 12))
        keep = draw(st.booleans())
        weights = None if keep or len(shape) == 2 else m.weights((units, depth))
        m.output(m.fully_connected(x, units, weights=weights, bias=bias, keep_dims=keep, **scales_))
    return m
