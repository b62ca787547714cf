"""Cases of CAST."""

from cases import case
from tflite_builder import ModelBuilder

_TYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32")


@case
def cast(m: ModelBuilder) -> None:
    for from_type in _TYPES:
        x = m.input((3, 32), dtype=from_type)
        for to_type in _TYPES:
            m.output(m.operator("CAST", [x], [m.tensor(x.shape, x.quant, to_type)]))
