"""Cases of PAD."""

from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import BRANCHES, Draw, builder, pair, quants
from tflite_builder import ModelBuilder


@case
def pad(m: ModelBuilder) -> None:
    m.output(m.pad(m.input((1, 3, 4, 2)), [(0, 1), (2, 0), (1, 1), (0, 3)]))


@random_models
def random_pad(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    x = m.input(shape, draw(quants))
    for _ in range(BRANCHES):
        borders = [pair(draw, 0, 3) for _ in shape]
        m.output(m.pad(x, borders, draw(st.sampled_from(["int32", "int64"]))))
    return m
