"""Cases of AVERAGE_POOL_2D."""

from cases import case, edge, random_models
from cases.strategies import Draw, activations, builder, image, window
from tflite_builder import _ACTIVATIONS as ACTIVATIONS
from tflite_builder import _PADDINGS as PADDINGS
from tflite_builder import ModelBuilder, Quant, Tensor, Window


def pool(
    m: ModelBuilder,
    kind: str,
    x: Tensor,
    kernel: tuple[int, int] = (3, 2),
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    activation: str = "NONE",
) -> Tensor:
    """A pooling layer of any type."""
    height, width = Window(kernel, stride, (1, 1), padding).output(x)
    return m.operator(
        kind,
        [x],
        [m.tensor((x.shape[0], height, width, x.shape[3]), x.quant, x.dtype)],
        "Pool2DOptions",
        1 if kind == "L2_POOL_2D" else 2,
        Padding=PADDINGS[padding],
        StrideH=stride[0],
        StrideW=stride[1],
        FilterHeight=kernel[0],
        FilterWidth=kernel[1],
        FusedActivationFunction=ACTIVATIONS[activation],
    )


def pool_all_types(m: ModelBuilder, kind: str) -> None:
    """One layer of each type as an output of its own."""
    for x in (
        m.input((1, 7, 6, 5), Quant(0.05, -20)),
        m.input((1, 7, 6, 5), Quant(0.0002, 0), "int16"),
        m.input((1, 7, 6, 5), dtype="float32"),
    ):
        m.output(pool(m, kind, x, activation="RELU6"))


def pool_activations(m: ModelBuilder, kind: str) -> None:
    """Every activation on floats and int16, with values that it cuts."""
    for x in (
        m.input((1, 5, 5, 3), dtype="float32"),
        m.input((1, 5, 5, 3), Quant(0.001, 0), "int16"),
    ):
        for activation in ACTIVATIONS:
            m.output(pool(m, kind, x, (2, 3), (1, 2), "VALID", activation))
        m.output(pool(m, kind, x, (1, 1), (2, 2)))


@case
def average_pool_2d(m: ModelBuilder) -> None:
    pool_all_types(m, "AVERAGE_POOL_2D")


@edge
def average_pool_2d_activations(m: ModelBuilder) -> None:
    pool_activations(m, "AVERAGE_POOL_2D")


@edge
def average_pool_2d_uint8(m: ModelBuilder) -> None:
    # Half away from zero and half up differ below the zero of int8.
    x = m.input((1, 9, 8, 6), Quant(0.05, -20))
    for kernel, activation in (((2, 2), "NONE"), ((3, 2), "RELU"), ((9, 8), "RELU6")):
        m.output(m.average_pool2d(x, kernel, (1, 1), "SAME", activation))
    m.to_uint8()


@random_models
def pooling(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m)
    for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"):
        geometry = window(draw, x, dilated=False)
        m.output(pool(m, kind, x, **geometry, activation=draw(activations)))
    return m
