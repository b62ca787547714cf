"""Cases of BATCH_MATMUL."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, float32s, quants
from tflite_builder import ModelBuilder, Quant, Tensor


def batch_matmul(
    m: ModelBuilder,
    a: Tensor,
    b: Tensor,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    quant: Quant | None = None,
) -> Tensor:
    """BATCH_MATMUL; the output's scale spreads random products over its type."""
    rows, depth = a.shape[-2:][:: -1 if adjoint_a else 1]
    columns = b.shape[-2] if adjoint_b else b.shape[-1]
    batches = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if quant is None and a.dtype != "float32":
        spread = 2 * a.scale * b.scale * depth**0.5
        quant = Quant(float(np.float32(spread * (74 if a.dtype == "int8" else 9000))))
    y = m.tensor((*batches, rows, columns), quant, a.dtype)
    return m.operator(
        "BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", 4, AdjX=adjoint_a, AdjY=adjoint_b
    )


@case
def matrices(m: ModelBuilder) -> None:
    a, b = m.input((2, 3, 5)), m.input((2, 5, 4))
    c = m.constant(m.weights((4, 5)), Quant(0.03, -3))
    m.output(batch_matmul(m, a, b), batch_matmul(m, a, c, adjoint_b=True))
    m.output(batch_matmul(m, b, a, True, True))
    for dtype, quant in (("int16", Quant(0.001)), ("float32", None)):
        d, e = m.input((1, 3, 5), quant, dtype), m.input((4, 5, 3), quant, dtype)
        m.output(batch_matmul(m, d, e), batch_matmul(m, e, d, True, True))


@edge
def matrices_of_any_batch(m: ModelBuilder) -> None:
    shapes = [(2, 3), (1, 4, 2, 3), (2, 1, 1, 2, 3), (2, 3, 4, 2, 3), (3, 1, 2, 3)]
    inputs = [m.input(shape) for shape in shapes]
    for a in inputs:
        for b in inputs:
            m.output(batch_matmul(m, a, b, adjoint_b=True))
    m.output(batch_matmul(m, inputs[1], inputs[4], adjoint_a=True))
    for dtype, quant in (("int16", Quant(0.001)), ("float32", None)):
        a, b = m.input((2, 1, 4, 2, 3), quant, dtype), m.input((1, 3, 1, 2, 3), quant, dtype)
        m.output(batch_matmul(m, a, b, adjoint_b=True), batch_matmul(m, b, a, adjoint_b=True))


@edge
def matrices_at_the_ends_of_their_range(m: ModelBuilder) -> None:
    a, b = m.input((3, 900), Quant(0.5, -128)), m.input((900, 2), Quant(0.5, 127))
    m.output(batch_matmul(m, a, b), batch_matmul(m, a, b, quant=Quant(2.0**-20, 127)))
    c, d = m.input((3, 900), Quant(0.5), "int16"), m.input((900, 2), Quant(0.5), "int16")
    m.output(batch_matmul(m, c, d), batch_matmul(m, c, d, quant=Quant(2.0**-6)))


@random_models
def random_matrices(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    dtype = draw(st.sampled_from(["int8", "int8", "int16", "float32"]))
    wide = st.builds(Quant, float32s(1e-4, 0.1))
    batch = draw(st.lists(st.integers(1, 3), max_size=3))
    rows, depth, columns = (draw(st.integers(1, 9)) for _ in range(3))
    for _ in range(BRANCHES):
        flips = draw(st.booleans()), draw(st.booleans())
        operands: list[Tensor] = []
        for flip, sizes in zip(flips, ((rows, depth), (depth, columns)), strict=True):
            # Any axis may be broadcast, and leading ones left out.
            axes = [draw(st.sampled_from([1, n])) for n in batch][
                draw(st.integers(0, len(batch))) :
            ]
            quant = {"int8": quants, "int16": wide}.get(dtype, st.none())
            shape = (*axes, *(sizes[::-1] if flip else sizes))
            operands.append(m.input(shape, draw(quant), dtype))
        a, b = operands
        m.output(batch_matmul(m, a, b, *flips))
    return m
