"""Cases of READ_VARIABLE and ASSIGN_VARIABLE. Inputs follow each other and carry the values on."""

import numpy as np

from cases import case, edge
from tflite_builder import ModelBuilder, Quant, Tensor


def stream(m: ModelBuilder, init: ModelBuilder, name: str, x: Tensor, start: np.ndarray) -> Tensor:
    """What x was one run earlier."""
    init.assign(init.handle(name), init.constant(start, x.quant, x.dtype))
    handle = m.handle(name)
    earlier = m.read(handle, x)
    m.assign(handle, x)
    return earlier


@case
def resource_variables(m: ModelBuilder) -> None:
    init = m.initialise()
    x = m.input((2, 3), Quant(0.1, 4))
    earlier = stream(m, init, "last", x, np.arange(6, dtype=np.int8).reshape(2, 3))
    twice = stream(m, init, "last but one", earlier, np.full((2, 3), -7, np.int8))
    m.output(m.add(x, earlier), twice, m.reshape(earlier, (3, 2)))
    y = m.input((1, 5), dtype="float32")
    m.output(stream(m, init, "number", y, np.full((1, 5), 0.5, np.float32)))


@edge
def resource_variables_of_uint8(m: ModelBuilder) -> None:
    init = m.initialise()
    x = m.max_pool2d(m.input((1, 4, 4, 2), Quant(0.1, 4)))
    earlier = stream(m, init, "last", x, np.full(x.shape, 9, np.int8))
    m.output(m.reshape(earlier, (8, 1)), x)
    m.to_uint8()
    init.to_uint8()


@edge
def resource_variables_that_are_assigned_first(m: ModelBuilder) -> None:
    x = m.input((1, 4), Quant(0.1, 4))
    handle = m.handle("scratch")
    m.assign(handle, x)
    first = m.read(handle, x)
    m.assign(m.handle("scratch"), m.add(first, x, quant=Quant(0.1, 4)))
    m.output(m.read(handle, x), first)
