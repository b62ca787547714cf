"""Cases of AVERAGE_POOL_2D."""

from cases import case, random_models
from cases.strategies import Draw, activations, builder, image, window
from tflite_builder import ModelBuilder, Quant


@case
def average_pool_2d(m: ModelBuilder) -> None:
    x = m.input((1, 7, 6, 5), Quant(0.05, -20))
    m.output(m.average_pool2d(x, (3, 2), (2, 2), "SAME", "RELU6"))


@random_models
def pooling(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for pool in (m.average_pool2d, m.max_pool2d, m.average_pool2d):
        geometry = window(draw, x, dilated=False)
        m.output(pool(x, **geometry, activation=draw(activations)))
    return m
