"""Cases of DEQUANTIZE."""

from cases import case
from tflite_builder import ModelBuilder


@case
def dequantize(m: ModelBuilder) -> None:
    m.output(m.dequantize(m.max_pool2d(m.input((1, 6, 6, 2)))))
