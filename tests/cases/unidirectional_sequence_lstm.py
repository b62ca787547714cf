"""Cases of UNIDIRECTIONAL_SEQUENCE_LSTM. Inputs follow each other and carry the variables on."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, quants
from tflite_builder import ModelBuilder, Quant, Tensor

RELU, RELU_N1_TO_1, RELU6, TANH = range(1, 5)


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


def float_lstm(
    m: ModelBuilder,
    x: Tensor,
    cells: int,
    outputs: int | None = None,
    activation: int = TANH,
    coupled: bool = False,
    peepholes: bool = False,
    normalized: bool = False,
    projection_bias: bool = True,
    clips: tuple[float, float] = (0.0, 0.0),
    time_major: bool = False,
    weights: str = "float32",
    asymmetric: bool = False,
    gain: float = 0.7,
) -> Tensor:
    """The layer of float32 activations; with `outputs` it has a projection.

    `weights` are "float32" or "int8"; `gain` is about what goes into a gate for inputs of 1.
    """
    first, second, depth = x.shape
    batches, size = second if time_major else first, outputs or cells

    def matrix(*shape: int) -> Tensor:
        scale = float(np.float32(gain / shape[-1] ** 0.5))
        if weights == "int8":
            return m.constant(m.weights(shape), Quant(scale / 73))
        return m.constant(m.rng.normal(0, scale, shape), None, "float32")

    def vector(size: int = cells) -> Tensor:
        return m.constant(m.rng.normal(0.3, 0.5, size), None, "float32")

    first_gate = int(coupled)
    absent: list[Tensor | None] = [None] * first_gate
    around = absent + [matrix(cells, depth) for _ in range(first_gate, 4)]
    back = absent + [matrix(cells, size) for _ in range(first_gate, 4)]
    peeps = absent + [matrix(cells) if peepholes else None for _ in range(first_gate, 3)]
    biases = absent + [vector() for _ in range(first_gate, 4)]
    norms = absent + [vector() if normalized else None for _ in range(first_gate, 4)]
    projection = None if outputs is None else matrix(size, cells)
    bias = vector(size) if projection is not None and projection_bias else None
    kept = [m.variable((batches, n), None, "float32") for n in (size, cells)]
    return m.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *around, *back, *peeps, *biases, projection, bias, *kept, *norms],
        [m.tensor((first, second, size), None, "float32")],
        "UnidirectionalSequenceLSTMOptions",
        3,
        FusedActivationFunction=activation,
        CellClip=clips[0],
        ProjClip=clips[1],
        TimeMajor=time_major,
        AsymmetricQuantizeInputs=asymmetric,
    )


@case
def memory_cells(m: ModelBuilder) -> None:
    x = m.input((2, 5, 9), Quant(0.02, -128))
    m.output(lstm(m, lstm(m, x, 6), 4, -12, Quant(0.0071, -4)))
    m.output(lstm(m, x, 3, time_major=True, cell_clip=0.7))


@case
def memory_cells_of_float32(m: ModelBuilder) -> None:
    x = m.input((2, 4, 9), dtype="float32")
    m.output(float_lstm(m, float_lstm(m, x, 6), 4, 5, clips=(0.6, 0.4)))
    m.output(float_lstm(m, x, 7, weights="int8", asymmetric=True))
    m.output(float_lstm(m, x, 4, 3, weights="int8", coupled=True, peepholes=True))


@edge
def memory_cells_of_float32_in_every_form(m: ModelBuilder) -> None:
    x = m.input((3, 2, 23), dtype="float32")
    for dtype in ("float32", "int8"):
        forms: dict[str, Any] = {"time_major": True, "weights": dtype, "gain": 0.1}
        m.output(float_lstm(m, x, 9, 8, peepholes=True, normalized=True, **forms))
        m.output(float_lstm(m, x, 1, coupled=True, normalized=True, **forms))
        m.output(float_lstm(m, x, 8, 1, RELU, projection_bias=False, **forms))
        m.output(float_lstm(m, x, 5, None, RELU6, clips=(3.0, 0.0), asymmetric=True, **forms))
        m.output(float_lstm(m, x, 3, None, RELU_N1_TO_1, **forms))


@edge
def memory_cells_one_by_one(m: ModelBuilder) -> None:
    # The reference sums single rows and small matrices in orders of their own.
    x = m.input((1, 12, 61), dtype="float32")
    m.output(float_lstm(m, x, 1, gain=0.05), float_lstm(m, x, 61, 1, gain=0.05))
    y = m.input((2, 3, 11), dtype="float32")
    z = m.input((2, 7, 19), dtype="float32")
    for cells in (1, 4, 5, 6, 7, 13, 15):
        m.output(float_lstm(m, y, cells, 16 - cells, time_major=True, gain=0.05))
        m.output(float_lstm(m, z, cells, 16 - cells, time_major=True, gain=0.05))


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


@random_models
def random_memory_cells_of_float32(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    time_major = draw(st.booleans())
    shape = [draw(st.integers(1, n)) for n in ((5, 6, 30) if time_major else (3, 5, 30))]
    x = m.input(shape, dtype="float32")
    for _ in range(2):
        m.output(
            float_lstm(
                m,
                x,
                draw(st.integers(1, 12)),
                draw(st.sampled_from([None, None, 1, 3, 9])),
                draw(st.sampled_from([TANH, TANH, TANH, RELU6])),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.sampled_from([(0.0, 0.0), (0.3, 0.2)])),
                time_major,
                draw(st.sampled_from(["float32", "int8"])),
                draw(st.booleans()),
                draw(st.sampled_from([0.02, 0.3, 1.0])),
            )
        )
    return m
