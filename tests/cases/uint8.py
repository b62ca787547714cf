"""Cases of the rewrite from uint8 to int8."""

from cases import case, edge
from tflite_builder import ModelBuilder, Quant


@case
def uint8_border(m: ModelBuilder) -> None:
    """As converters write it today: uint8 outside, int8 inside."""
    x = m.input((1, 6, 5, 3), Quant(0.5, 9), "uint8")
    y = m.max_pool2d(m.quantize(x, Quant(0.5, 9 - 128)))
    m.output(m.quantize(y, Quant(0.5, 9), "uint8"), y, m.dequantize(y))


@edge
def uint8_throughout(m: ModelBuilder) -> None:
    x = m.input((1, 6, 5, 3), Quant(0.5, -119))
    y = m.max_pool2d(x)
    z = m.reshape(y, (1, -1))
    m.output(z, y, m.dequantize(z), m.quantize(m.input((1, 7), dtype="float32"), Quant(0.04, -128)))
    m.to_uint8()


@edge
def uint8_to_another_scale(m: ModelBuilder) -> None:
    x = m.input((1, 256), Quant(0.5, 9), "uint8")
    y = m.quantize(x, Quant(0.37, 200), "uint8")
    z = m.quantize(x, Quant(0.61, -20))
    w = m.quantize(z, Quant(0.61, 108), "uint8")
    m.output(y, z, m.quantize(y, Quant(0.37, 72)), w, m.quantize(w, Quant(0.2, 72)))


@edge
def uint8_output_that_is_read(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 2), Quant(0.5, -119))
    y = m.quantize(x, Quant(0.5, 9), "uint8")
    m.output(y, m.dequantize(m.reshape(y, (4, 8))))
