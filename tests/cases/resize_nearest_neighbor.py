"""Cases of RESIZE_NEAREST_NEIGHBOR."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import BRANCHES, Draw, builder, image, pair
from tflite_builder import ModelBuilder, Quant, Tensor

OPTIONS = {
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
}


def resize(
    m: ModelBuilder,
    kind: str,
    x: Tensor,
    size: Sequence[int],
    align_corners: bool = False,
    half_pixel_centers: bool = False,
) -> Tensor:
    """A layer that resizes an image."""
    return m.operator(
        kind,
        [x, m.constant(np.asarray(size), None, "int32")],
        [m.tensor((x.shape[0], *size, x.shape[3]), x.quant, x.dtype)],
        OPTIONS[kind],
        3,
        AlignCorners=align_corners,
        HalfPixelCenters=half_pixel_centers,
    )


@case
def resize_nearest_neighbor(m: ModelBuilder) -> None:
    x = m.input((2, 3, 4, 5), Quant(0.1, 3))
    m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", x, (5, 9)))
    y = m.input((1, 4, 3, 2), dtype="float32")
    m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", y, (3, 7), half_pixel_centers=True))


@edge
def resize_nearest_neighbor_types(m: ModelBuilder) -> None:
    for dtype in ("bool", "uint8", "int16", "int32"):
        x = m.input((1, 3, 2, 3), Quant(0.1, 0) if dtype == "int16" else None, dtype)
        m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", x, (4, 3), align_corners=True))


@edge
def resize_nearest_neighbor_sizes(m: ModelBuilder) -> None:
    x = m.input((1, 13, 7, 1), Quant(0.1, 3))
    for size in ((1, 1), (2, 29), (26, 3), (13, 7)):
        for flags in ((False, False), (True, False), (False, True), (True, True)):
            m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", x, size, *flags))


@edge
def resize_nearest_neighbor_in_single_precision(m: ModelBuilder) -> None:
    # Sizes at which double precision would choose other neighbours.
    for size, new_size, flags in (
        ((26, 30), (22, 58), (False, False)),
        ((14, 16), (23, 59), (True, False)),
        ((2, 6), (41, 37), (False, True)),
        ((4, 8), (38, 24), (True, True)),
    ):
        x = m.input((1, *size, 1), Quant(0.1, 3))
        m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", x, new_size, *flags))


@random_models
def random_resize(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = image(draw, m, 30, 3)
    for kind in OPTIONS:
        for _ in range(BRANCHES):
            corners = draw(st.booleans())
            half = draw(st.booleans()) and (not corners or kind != "RESIZE_BILINEAR")
            m.output(resize(m, kind, x, pair(draw, 1, 40), corners, half))
    if draw(st.booleans()):
        m.to_uint8()
    return m
