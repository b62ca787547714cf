"""Cases of ARG_MAX."""

import numpy as np
import tflite

from cases import case, edge
from tflite_builder import ModelBuilder, Quant, Tensor


def arg(m: ModelBuilder, kind: str, x: Tensor, axis: int = -1, wide: bool = False) -> Tensor:
    """ARG_MAX or ARG_MIN along an axis; int64 indices if `wide`."""
    at = axis % len(x.shape)
    return m.operator(
        kind,
        [x, m.constant(np.asarray(axis), None, "int64" if axis < 0 else "int32")],
        [m.tensor(x.shape[:at] + x.shape[at + 1 :], None, "int64" if wide else "int32")],
        {"ARG_MAX": "ArgMaxOptions", "ARG_MIN": "ArgMinOptions"}[kind],
        2,
        OutputType=tflite.TensorType.INT64 if wide else tflite.TensorType.INT32,
    )


def every_type(m: ModelBuilder, kind: str) -> None:
    """A layer of each type, along the last axis and along another one."""
    for x in (
        m.input((3, 19), Quant(0.1, 3)),
        m.input((2, 3, 9), None, "int32"),
        m.input((2, 20, 2), None, "float32"),
    ):
        m.output(arg(m, kind, x), arg(m, kind, x, 1, True), arg(m, kind, x, 0))


def with_gaps(m: ModelBuilder, shape: tuple[int, ...]) -> Tensor:
    """Floats among which every third is not-a-number, and a last row that is nothing else."""
    gaps = np.where(np.arange(np.prod(shape)) % 3 == 0, np.nan, 0.0).reshape(shape)
    gaps[-1] = np.nan
    x, y = m.input(shape, None, "float32"), m.tensor(shape, None, "float32")
    return m.operator("ADD", [x, m.constant(gaps, None, "float32")], [y], "AddOptions", 1)


@case
def arg_max(m: ModelBuilder) -> None:
    every_type(m, "ARG_MAX")


@edge
def arg_max_of_uint8_with_ties(m: ModelBuilder) -> None:
    x = m.input((1, 40, 3), Quant(0.1, -128))
    y = m.quantize(x, Quant(12.0, 0))
    m.output(arg(m, "ARG_MAX", y), arg(m, "ARG_MAX", y, 1), arg(m, "ARG_MIN", y, 1))
    m.output(arg(m, "ARG_MIN", y, 2, True))
    m.to_uint8()


@edge
def arg_max_and_min_with_gaps(m: ModelBuilder) -> None:
    x = with_gaps(m, (4, 5, 3))
    for axis in (-1, 1):
        m.output(arg(m, "ARG_MAX", x, axis), arg(m, "ARG_MIN", x, axis))


@edge
def arg_max_of_a_constant(m: ModelBuilder) -> None:
    c = m.constant(np.array([[3, 9, -1], [4, 4, 4]]), None, "int32")
    m.output(m.unary("ABS", m.input((2,), dtype="float32")))
    m.output(m.operator("ABS", [arg(m, "ARG_MAX", c)], [m.tensor((2,), None, "int32")]))
