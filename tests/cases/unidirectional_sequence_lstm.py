"""Cases of UNIDIRECTIONAL_SEQUENCE_LSTM. Inputs follow each other and carry the variables on."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, quants
from tflite_builder import ModelBuilder, Quant, Tensor


def lstm(
    m: ModelBuilder,
    x: Tensor,
    cells: int,
    exponent: int = -11,
    hidden: Quant | None = None,
    time_major: bool = False,
    cell_clip: float = 0.0,
    gate: float = 1.0,
) -> Tensor:
    """The layer; `gate` is about the standard deviation of what goes into the gates."""
    first, second, depth = x.shape
    batches = second if time_major else first
    hidden = hidden or Quant(float(np.float32(1 / 128)), 0)
    scale = float(np.float32(gate / (x.scale * 5400 * depth**0.5)))
    again = float(np.float32(gate / (hidden.single * 5400 * cells**0.5)))
    inside = [m.constant(m.weights((cells, depth)), Quant(scale)) for _ in range(4)]
    back = [m.constant(m.weights((cells, cells)), Quant(again)) for _ in range(4)]
    size = int(5400 * depth**0.5)
    biases = [m.constant(m.rng.integers(-size, size, cells), None, "int32") for _ in range(4)]
    kept = m.variable((batches, cells), hidden)
    memory = m.variable((batches, cells), Quant(2.0**exponent), "int16")
    unused = [m.tensor((0,), None, "float32") for _ in range(4)]
    absent = [None] * 3
    return m.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *inside, *back, *absent, *biases, None, None, kept, memory, None, *absent],
        [m.tensor((first, second, cells), hidden)],
        "UnidirectionalSequenceLSTMOptions",
        1,
        [*unused, m.tensor((0,), hidden)],
        FusedActivationFunction=4,
        CellClip=cell_clip,
        TimeMajor=time_major,
    )


@case
def memory_cells(m: ModelBuilder) -> None:
    x = m.input((2, 5, 9), Quant(0.02, -128))
    m.output(lstm(m, lstm(m, x, 6), 4, -12, Quant(0.0071, -4)))
    m.output(lstm(m, x, 3, time_major=True, cell_clip=0.7))


@edge
def memory_cells_of_every_scale(m: ModelBuilder) -> None:
    x = m.input((1, 8, 5), Quant(0.05, 3))
    for exponent in range(-15, -8):
        m.output(lstm(m, x, 9, exponent, gate=4.0))


@edge
def memory_cells_with_sums_that_wrap(m: ModelBuilder) -> None:
    x = m.input((1, 2, 5), Quant(0.5, -128))
    y = lstm(m, x, 4, gate=900.0)
    ends = np.array([2**31 - 1, -(2**31), 2**31 - 5000, 0], np.int32)
    for t in list(m.tensors):
        if t.dtype == "int32":
            m.tensors[t.index] = replace(t, data=ends)
    m.output(y)


@random_models
def random_memory_cells(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    shape = [draw(st.integers(1, n)) for n in (2, 6, 12)]
    x = m.input(shape, draw(quants))
    for _ in range(2):
        hidden = Quant(draw(st.sampled_from([2.0**-7, 0.0061, 0.02])), draw(st.integers(-20, 20)))
        m.output(
            lstm(
                m,
                x,
                draw(st.integers(1, 8)),
                draw(st.integers(-15, -9)),
                hidden,
                draw(st.booleans()),
                draw(st.sampled_from([0.0, 0.0, 0.3, 100.0])),
                draw(st.sampled_from([0.3, 1.0, 4.0, 50.0])),
            )
        )
    return m
