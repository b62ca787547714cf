"""Cases of ARG_MIN."""

from cases import case
from cases.arg_max import every_type
from tflite_builder import ModelBuilder


@case
def arg_min(m: ModelBuilder) -> None:
    every_type(m, "ARG_MIN")
