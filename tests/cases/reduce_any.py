"""Cases of REDUCE_ANY."""

from cases import case
from cases.mean import every_axis
from tflite_builder import ModelBuilder


@case
def reduce_any(m: ModelBuilder) -> None:
    every_axis(m, "REDUCE_ANY", m.input((2, 3, 4), None, "bool"))
