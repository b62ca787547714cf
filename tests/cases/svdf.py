"""Cases of SVDF. Inputs follow each other, so that the variable is carried from run to run."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, float32s, quants
from tflite_builder import _ACTIVATIONS, ModelBuilder, Quant, Tensor


def svdf(
    m: ModelBuilder,
    x: Tensor,
    units: int,
    rank: int = 1,
    memory: int = 4,
    activation: str = "RELU",
    bias: bool = True,
    state: Quant | None = None,
    time: Quant | None = None,
    quant: Quant | None = None,
) -> Tensor:
    """SVDF of int8 or float32, with scales that spread random features over their types."""
    batches, depth = x.shape
    filters = units * rank
    if x.dtype == "int8":
        features = m.constant(m.weights((filters, depth)), Quant(0.01))
        state = state or Quant(float(np.float32(x.scale * 0.01 * 5400 * depth**0.5 / 9000)))
        time = time or Quant(0.001)
        values = m.rng.integers(-32767, 32768, (filters, memory))
        spread = state.single * time.single * 9000 * 19000 * (memory * rank) ** 0.5
        quant = quant or Quant(float(np.float32(spread / 40)), int(m.rng.integers(-128, 128)))
        size = int(spread / (state.single * time.single))
        b = m.constant(m.rng.integers(-size, size, units), None, "int32")
        w = m.constant(values, time, "int16")
    else:
        features = m.constant(m.rng.normal(0, 1, (filters, depth)), dtype="float32")
        w = m.constant(m.rng.normal(0, 1, (filters, memory)), dtype="float32")
        b = m.constant(m.rng.normal(0, 1, units), dtype="float32")
    kept = m.variable((batches, memory * filters), state, w.dtype)
    return m.operator(
        "SVDF",
        [x, features, w, b if bias else None, kept],
        [m.tensor((batches, units), quant, x.dtype)],
        "SVDFOptions",
        version=3,
        Rank=rank,
        FusedActivationFunction=_ACTIVATIONS[activation],
    )


@case
def layers_over_time(m: ModelBuilder) -> None:
    x = m.input((2, 9))
    y = svdf(m, x, 6, rank=2)
    m.output(y, svdf(m, y, 3, memory=7, bias=False))
    z = m.input((2, 9), dtype="float32")
    m.output(svdf(m, z, 4, 2), svdf(m, z, 5, activation="NONE", bias=False))


@edge
def layers_over_time_whose_sums_wrap(m: ModelBuilder) -> None:
    x = m.input((1, 40), Quant(0.5, -128))
    m.output(svdf(m, x, 8, memory=30, state=Quant(2.0**-6), time=Quant(2.0**-3)))
    m.output(svdf(m, x, 8, memory=1, quant=Quant(2.0**-8, 100)))


@edge
def features_at_the_ends_of_int16(m: ModelBuilder) -> None:
    # The bias brings what is next to an end into the output's range, one step a unit.
    x = m.input((1, 9), Quant(0.5, 0))
    for end in (-32768, 32767):
        features = m.constant(m.weights((6, 9)), Quant(0.5))
        kept = m.variable((1, 6), Quant(2.0**-7), "int16")
        once = m.constant(np.ones((6, 1)), Quant(0.5), "int16")
        bias = m.constant(np.full(6, -end), None, "int32")
        y = m.tensor((1, 6), Quant(2.0**-8, 3))
        operands = [x, features, once, bias, kept]
        options = {"Rank": 1, "FusedActivationFunction": _ACTIVATIONS["RELU"]}
        m.output(m.operator("SVDF", operands, [y], "SVDFOptions", 3, **options))


@random_models
def random_layers_over_time(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    dtype = draw(st.sampled_from(["int8", "int8", "float32"]))
    quant = draw(quants) if dtype == "int8" else None
    x = m.input((draw(st.integers(1, 2)), draw(st.integers(1, 20))), quant, dtype)
    for _ in range(2):
        sizes = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
        state = Quant(draw(float32s(1e-4, 0.1))) if dtype == "int8" else None
        kinds = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
        activation = "RELU" if dtype == "int8" else draw(kinds)
        m.output(svdf(m, x, *sizes, activation, draw(st.booleans()), state))
    return m
