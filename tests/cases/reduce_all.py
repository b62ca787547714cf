"""Cases of REDUCE_ALL."""

from cases import case
from cases.mean import every_axis
from tflite_builder import ModelBuilder


@case
def reduce_all(m: ModelBuilder) -> None:
    every_axis(m, "REDUCE_ALL", m.input((2, 3, 4), None, "bool"))
