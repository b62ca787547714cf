"""Every operator, bit for bit against LiteRT's reference kernels, on random small models."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exactness import assert_exact
from lotor import host
from small_models import EDGES, OPERATORS, Edge, built
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


def _builder(draw: Draw) -> ModelBuilder:
    return ModelBuilder(seed=draw(st.integers(0, 2**32 - 1)))


def _image(draw: Draw, m: ModelBuilder, max_side: int = 9, max_channels: int = 10) -> Tensor:
    batch = draw(st.sampled_from([1, 1, 1, 2]))
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    channels = draw(st.integers(1, max_channels))
    return m.input((batch, height, width, channels), draw(quants))


def _fits(x: Tensor, kernel: tuple[int, int], dilation: tuple[int, int]) -> bool:
    return all((k - 1) * d + 1 <= n for k, d, n in zip(kernel, dilation, x.shape[1:3], strict=True))


def _pair(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def _window(draw: Draw, x: Tensor, dilated: bool = True) -> dict[str, Any]:
    kernel, stride = _pair(draw, 1, 5), _pair(draw, 1, 4)
    dilation = _pair(draw, 1, 3) if dilated and draw(st.booleans()) else (1, 1)
    padding = draw(paddings) if _fits(x, kernel, dilation) else "SAME"
    window: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    return window | {"dilation": dilation} if dilated else window


def _scaling(draw: Draw) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "per_channel": draw(st.booleans()),
        "multiplier": draw(multipliers),
        "activation": draw(activations),
    }
    if draw(st.booleans()):
        chosen["weight_quant"] = Quant(2.0 ** -draw(st.integers(5, 9)))
    return chosen


@st.composite
def conv_2d(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = _image(draw, m)
    for _ in range(BRANCHES):
        channels = draw(st.integers(1, 12))
        m.output(m.conv2d(x, channels, **_window(draw, x), **_scaling(draw)))
    return m


@st.composite
def grouped_conv_2d(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    groups, depth = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    x = m.input((1, *_pair(draw, 1, 6), groups * depth), draw(quants))
    for _ in range(BRANCHES):
        channels = groups * draw(st.integers(1, 4))
        window = _window(draw, x)
        weights = m.weights((channels, *window.pop("kernel"), depth))
        m.output(m.conv2d(x, weights=weights, **window, **_scaling(draw)))
    return m


@st.composite
def depthwise_conv_2d(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = _image(draw, m)
    for _ in range(BRANCHES):
        times = draw(st.sampled_from([1, 1, 2, 3, 8]))
        m.output(m.depthwise_conv2d(x, times, **_window(draw, x), **_scaling(draw)))
    return m


@st.composite
def fully_connected(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    rows, depth = draw(st.integers(1, 4)), draw(st.integers(1, 70))
    shape = draw(st.sampled_from([(rows, depth), (1, rows, depth), (1, 1, rows, depth)]))
    x = m.input(shape, draw(quants))
    for _ in range(BRANCHES):
        scaling = _scaling(draw)
        bias = draw(st.sampled_from([None, False]))
        units = draw(st.integers(1, 12))
        keep = draw(st.booleans())
        weights = None if keep or len(shape) == 2 else m.weights((units, depth))
        m.output(m.fully_connected(x, units, weights=weights, bias=bias, keep_dims=keep, **scaling))
    return m


@st.composite
def pooling(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = _image(draw, m)
    for pool in (m.average_pool2d, m.max_pool2d, m.average_pool2d):
        window = _window(draw, x, dilated=False)
        m.output(pool(x, **window, activation=draw(activations)))
    return m


@st.composite
def mean(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    shape = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    x = m.input(shape, draw(quants))
    rank = len(shape)
    for _ in range(BRANCHES):
        axes = draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank))
        quant = draw(st.one_of(st.none(), quants))
        # All axes without keeping them would leave no dimension: an edge case of its own.
        keep = draw(st.booleans()) or len({a % rank for a in axes}) == rank
        m.output(m.mean(x, axes, keep, quant))
    return m


@st.composite
def add(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    a, b = m.input(shape, draw(quants)), m.input(shape, draw(quants))
    for left, right in ((a, b), (b, a), (a, a)):
        quant = draw(st.one_of(st.none(), quants))
        m.output(m.add(left, right, draw(activations), quant))
    return m


@st.composite
def pad(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    x = m.input(shape, draw(quants))
    for _ in range(BRANCHES):
        borders = [_pair(draw, 0, 3) for _ in shape]
        m.output(m.pad(x, borders, draw(st.sampled_from(["int32", "int64"]))))
    return m


@st.composite
def reshape(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = _image(draw, m, 4, 4)
    y = m.conv2d(x, 2, (1, 1))
    flat = m.reshape(y, (x.shape[0], -1), as_input=draw(st.booleans()))
    m.output(m.reshape(x, (-1,)), flat)
    m.output(m.fully_connected(flat, 3, per_channel=draw(st.booleans())))
    return m


@st.composite
def softmax(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    rows, depth = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    scale = draw(st.one_of(scales, float32s(2.0**-20, 60.0)))
    x = m.input((rows, depth), Quant(scale, draw(zero_points)))
    for beta in (1.0, draw(float32s(0.25, 4.0))):
        m.output(m.softmax(x, beta))
    return m


@st.composite
def quantize(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = m.input((1, 300), draw(quants))
    for _ in range(BRANCHES):
        m.output(m.dequantize(m.quantize(x, draw(quants))))
    return m


@st.composite
def quantize_floats(draw: Draw) -> ModelBuilder:
    m = _builder(draw)
    x = m.input((1, 400), dtype="float32")
    # The scale around whose ties the inputs lie, and any other.
    for scale in (float(np.float32(0.05)), draw(scales)):
        y = m.quantize(x, Quant(scale, draw(zero_points)))
        m.output(y, m.dequantize(y))
    return m


@st.composite
def networks(draw: Draw) -> ModelBuilder:
    """Chains with branches, so that tensors live side by side in the arena."""
    m = _builder(draw)
    x = y = m.input((1, draw(st.integers(4, 9)), draw(st.integers(4, 9)), 4), draw(quants))
    for block in draw(st.lists(st.sampled_from("rmpadb"), min_size=1, max_size=5)):
        if block == "r":
            y = m.residual_block(y)
        elif block == "m":
            y = m.mobile_block(y, draw(st.integers(1, 9)), draw(st.integers(1, 2)))
        elif block == "p":
            y = m.max_pool2d(y, (2, 2), (1, 1), "SAME")
        elif block == "a":
            y = m.average_pool2d(y, (3, 3), (2, 2), "SAME")
        elif block == "d":
            y = m.pad(y, [(0, 0), (1, 0), (0, 1), (0, 0)])
        else:
            y = m.add(m.conv2d(y, 3, (1, 1)), m.depthwise_conv2d(m.conv2d(y, 3, (1, 1))))
        if draw(st.booleans()):
            m.output(y)  # also a result, and read further on
    flat = m.reshape(m.mean(y, (1, 2)), (1, -1))
    logits = m.fully_connected(flat, 5, per_channel=draw(st.booleans()), quant=Quant(0.06, 3))
    m.output(m.softmax(logits))
    if draw(st.booleans()):
        m.output(x)
    return m


PROPERTIES: dict[str, st.SearchStrategy[ModelBuilder]] = {
    "add": add(),
    "conv_2d": conv_2d(),
    "depthwise_conv_2d": depthwise_conv_2d(),
    "fully_connected": fully_connected(),
    "grouped_conv_2d": grouped_conv_2d(),
    "mean": mean(),
    "networks": networks(),
    "pad": pad(),
    "pooling": pooling(),
    "quantize": quantize(),
    "quantize_floats": quantize_floats(),
    "reshape": reshape(),
    "softmax": softmax(),
}
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _explore(operator: str, examples: int, derandomize: bool) -> None:
    @settings(
        max_examples=examples,
        derandomize=derandomize,
        deadline=None,
        database=None,
        suppress_health_check=CHECKS,
    )
    @given(PROPERTIES[operator])
    def property_(model: ModelBuilder) -> None:
        assert_exact(model)

    property_()


@pytest.mark.parametrize("operator", sorted(PROPERTIES))
def test_equals_the_reference(operator: str) -> None:
    _explore(operator, examples=20, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operator", sorted(PROPERTIES))
def test_equals_the_reference_on_many_models(operator: str) -> None:
    _explore(operator, examples=100, derandomize=False)


@pytest.mark.parametrize("build", OPERATORS + EDGES, ids=lambda build: build.__name__)
def test_small_model_equals_the_reference(build: Edge) -> None:
    assert_exact(built(build))


def test_floats_beyond_int32_saturate() -> None:
    # The reference's conversion is undefined there; Lotor's is not.
    m = ModelBuilder()
    x = m.input((1, 6), dtype="float32")
    m.output(m.quantize(x, Quant(0.0625, -5)))
    values = np.array([[1e30, -1e30, np.inf, -np.inf, 1e9, -1e9]], np.float32)
    got = host.load(m.build()).run(values)
    assert got.tolist() == [[127, -128, 127, -128, 127, -128]]


def test_softmax_over_more_classes_than_the_reference_can_count() -> None:
    # 512 equal logits make the reference abort; every probability is below half a step here.
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 1000), Quant(0.05, 0))))
    model = host.load(m.build())
    assert (model.run(np.full((1, 1000), 3, np.int8)) == -128).all()
    peak = np.full((1, 1000), -128, np.int8)
    peak[0, 7] = 127
    assert model.run(peak).argmax() == 7
