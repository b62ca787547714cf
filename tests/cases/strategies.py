"""What strategies draw from: quantizations, windows, shapes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tflite_builder import ModelBuilder, Quant, Tensor

# Models of one example: compiling C is what costs, so each carries several cases on one input.
BRANCHES = 3

Draw = Callable[[st.SearchStrategy[Any]], Any]


def float32s(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats of single precision, as the model file holds them."""
    return st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


activations = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
paddings = st.sampled_from(["SAME", "VALID"])
zero_points = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))
# Powers of two make exact ties in the requantization, where roundings differ most.
scales = st.one_of(
    st.sampled_from([2.0**-k for k in range(2, 9)]),
    float32s(0.003, 0.4),
)
quants = st.builds(Quant, scales, zero_points)
# From shift -25 (every output the zero point) to left shifts of 5.
multipliers = st.one_of(
    st.none(),
    st.sampled_from([2.0**-k for k in range(-2, 14)]),
    float32s(1e-7, 30.0),
)


def builder(draw: Draw) -> ModelBuilder:
    return ModelBuilder(seed=draw(st.integers(0, 2**32 - 1)))


def image(draw: Draw, m: ModelBuilder, max_side: int = 9, max_channels: int = 10) -> Tensor:
    batch = draw(st.sampled_from([1, 1, 1, 2]))
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    channels = draw(st.integers(1, max_channels))
    return m.input((batch, height, width, channels), draw(quants))


def typed_image(draw: Draw, m: ModelBuilder, max_side: int = 7, groups: int = 1) -> Tensor:
    """An input of int8, int16 or float32, whose channels split into groups."""
    dtype = draw(st.sampled_from(["int8", "int16", "float32"]))
    quant = {"int8": draw(quants), "int16": Quant(draw(float32s(1e-4, 1e-2)))}.get(dtype)
    return m.input((1, *pair(draw, 1, max_side), groups * draw(st.integers(1, 6))), quant, dtype)


def fits(x: Tensor, kernel: tuple[int, int], dilation: tuple[int, int]) -> bool:
    return all((k - 1) * d + 1 <= n for k, d, n in zip(kernel, dilation, x.shape[1:3], strict=True))


def pair(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def window(draw: Draw, x: Tensor, dilated: bool = True) -> dict[str, Any]:
    kernel, stride = pair(draw, 1, 5), pair(draw, 1, 4)
    dilation = pair(draw, 1, 3) if dilated and draw(st.booleans()) else (1, 1)
    padding = draw(paddings) if fits(x, kernel, dilation) else "SAME"
    found: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    return found | {"dilation": dilation} if dilated else found


def scaling(draw: Draw, x: Tensor | None = None, uint8: bool = False) -> dict[str, Any]:
    """How a layer with weights is quantized; an activation only where `x` is float32."""
    if x is not None and x.dtype == "float32":
        return {"activation": draw(activations)}
    chosen: dict[str, Any] = {
        "per_channel": not uint8 and draw(st.booleans()),
        "multiplier": draw(multipliers),
        "activation": draw(activations),
    }
    if draw(st.booleans()):
        chosen["weight_quant"] = Quant(2.0 ** -draw(st.integers(5, 9)))
    return chosen
