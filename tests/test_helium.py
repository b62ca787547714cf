"""The kernels for Helium on an emulated Cortex-M55, against LiteRT's reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from any_layers import any_convolution, products, uint8
from cases.binary import binary
from cases.strategies import (
    BRANCHES,
    Draw,
    activations,
    builder,
    fits,
    image,
    paddings,
    pair,
    quants,
    scaling,
    window,
)
from cortex_m import needs_emulator
from effort import examples
from kernel_layers import check_overlap, check_random_layers, overlapping, sums, taken
from lotor.compiler import compile_model
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m55"
EXAMPLES = examples(3)


@st.composite
def convolutions(draw: Draw) -> ModelBuilder:
    """Blocks of sixteen inputs and their rests, one block to many, every rest of four filters."""
    m = builder(draw)
    pixels = draw(st.booleans())
    x = image(draw, m, 7, 150 if pixels else 40)
    for _ in range(BRANCHES):
        shape = {"kernel": (1, 1)} if pixels else window(draw, x)
        m.output(m.conv2d(x, draw(st.integers(1, 13)), **shape, **scaling(draw)))
    return m


@st.composite
def depthwise(draw: Draw) -> ModelBuilder:
    """Patches of one output and of four, odd sizes, every rest of four channels."""
    m = builder(draw)
    batch = draw(st.sampled_from([1, 1, 2]))
    channels = draw(st.sampled_from([4, 5, 6, 7, 8, 16, 30, 57, 200]))
    x = m.input((batch, *pair(draw, 1, 9), channels), draw(quants))
    for _ in range(BRANCHES):
        kernel = draw(st.sampled_from([(3, 3), (3, 3), pair(draw, 1, 4)]))
        padding = draw(paddings) if fits(x, kernel, (1, 1)) else "SAME"
        shape = {"kernel": kernel, "stride": draw(st.sampled_from([(1, 1), pair(draw, 1, 3)]))}
        m.output(m.depthwise_conv2d(x, padding=padding, **shape, **scaling(draw)))
    return m


@st.composite
def dense(draw: Draw) -> ModelBuilder:
    """Inputs and outputs of any number."""
    m = builder(draw)
    x = m.input((draw(st.integers(1, 3)), draw(st.integers(1, 150))), draw(quants))
    for _ in range(BRANCHES):
        m.output(m.fully_connected(x, draw(st.integers(1, 35)), **scaling(draw)))
    return m


@st.composite
def strips(draw: Draw) -> ModelBuilder:
    """Windows that no patch holds: large ones, dilations, columns, several outputs of a channel."""
    m = builder(draw)
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 12))
    width = draw(st.sampled_from([1, 3, 7, 8, 14, 17, 24]))
    channels = draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 19, 140]))
    x = m.input((batch, height, width, channels), draw(quants))
    for _ in range(BRANCHES):
        kernel, how = pair(draw, 1, 9), draw(st.sampled_from(["dilation", "stride", "times"]))
        more: dict[str, Any] = {how: pair(draw, 1, 3)} if how != "times" else {}
        reach = more.get("dilation", (1, 1))
        padding = draw(paddings) if fits(x, kernel, reach) else "SAME"
        times = draw(st.integers(1, 3)) if how == "times" else 1
        m.output(m.depthwise_conv2d(x, times, kernel, padding=padding, **more, **scaling(draw)))
    return m


@st.composite
def pools(draw: Draw) -> ModelBuilder:
    """Windows with and without padding, few channels, means of more than 255 pixels."""
    m, old = builder(draw), draw(uint8)
    shape = (draw(st.integers(1, 2)), *pair(draw, 1, 18))
    x = m.input((*shape, draw(st.sampled_from([1, 3, 8, 9, 15, 16, 17, 40, 130]))), draw(quants))
    for _ in range(BRANCHES):
        how = window(draw, x, dilated=False)
        m.output(m.max_pool2d(x, **how, activation=draw(activations)))
        m.output(m.average_pool2d(x, **how, activation=draw(activations)))
        sides = draw(st.sampled_from([x.shape[1:3], pair(draw, 1, min(x.shape[1:3]))]))
        m.output(m.average_pool2d(x, sides, how["stride"], "VALID", draw(activations)))
        if not old:
            axes = draw(st.sampled_from([(1, 2), (1,), (2,)]))
            m.output(m.mean(x, axes, quant=draw(quants)))
    if old:
        m.to_uint8()
    return m


@st.composite
def broadcast_sums(draw: Draw) -> ModelBuilder:
    """Two tensors, one of which is broadcast or constant."""
    m = builder(draw)
    whole = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    part = draw(st.sampled_from([(1, *whole[1:]), (1, 1, whole[2]), (1,), (*whole[:2], 1)]))
    a = m.input(whole, draw(quants))
    b = m.input(part, draw(quants))
    if draw(st.booleans()):
        b = m.constant(m.rng.integers(-128, 128, part).astype(np.int8), draw(quants), "int8")
    for _ in range(BRANCHES):
        kind, quant = draw(st.sampled_from(["ADD", "SUB"])), draw(quants)
        operands = (b, a) if draw(st.booleans()) else (a, b)
        m.output(binary(m, kind, *operands, quant=quant, activation=draw(activations)))
    return m


@st.composite
def softmaxes(draw: Draw) -> ModelBuilder:
    """Of fewer than 512 classes: LiteRT stops where their exponentials sum up to that."""
    m = builder(draw)
    for _ in range(BRANCHES):
        scale = draw(st.sampled_from([0.0001, 0.01, 0.037, 0.1, 0.25, 1.0]))
        rows, depth = draw(st.integers(1, 3)), draw(st.sampled_from([64, 65, 101, 255, 511]))
        m.output(m.softmax(m.input((rows, depth), Quant(scale, 3))))
    return m


@st.composite
def tables(draw: Draw) -> ModelBuilder:
    """Of any number of elements, one of them in rows with gaps."""
    m = builder(draw)
    x = m.input((1, *pair(draw, 1, 7), draw(st.integers(1, 40))), draw(quants))
    for kind, quant in (
        ("LOGISTIC", Quant(1 / 256, -128)),
        ("TANH", Quant(1 / 128, 0)),
        ("HARD_SWISH", draw(quants)),
    ):
        m.output(m.unary(kind, x, quant))
    return m


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [
        (convolutions, "conv_2d"),
        (any_convolution, "conv_2d"),
        (depthwise, "depthwise_conv_2d_helium"),
        (strips, "depthwise_conv_2d_helium_general"),
        (dense, "fully_connected"),
        (sums, "add"),
        (broadcast_sums, "add"),
        (products, "mul"),
        (softmaxes, "softmax"),
        (tables, "table"),
        (pools, "average_pool_2d"),
        (pools, "mean"),
        (pools, "max_pool_2d"),
    ],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    kernel += "" if "helium" in kernel else "_helium"
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory, EXAMPLES)


def overlapping_more() -> dict[str, ModelBuilder]:
    """Rings of rows that wait for nothing, channels in groups that overlap, strips, pools."""
    found = {}
    for name, shape, kernel, stride in (
        ("patches of four", (2, 9, 7, 5), (3, 3), (1, 1)),
        ("patches of four, odd", (1, 6, 8, 8), (3, 3), (1, 1)),
        ("patches of one", (1, 12, 11, 6), (3, 3), (2, 2)),
        ("columns", (1, 8, 5, 12), (2, 1), (1, 2)),
    ):
        m = ModelBuilder(seed=1)
        m.output(m.depthwise_conv2d(m.input(shape, Quant(0.05, 3)), kernel=kernel, stride=stride))
        found[name] = m
    strips_of: tuple[tuple[str, tuple[int, ...], tuple[int, int], dict[str, Any]], ...] = (
        ("strips", (2, 9, 7, 5), (5, 3), {}),
        ("strips of many channels", (1, 12, 11, 19), (5, 5), {"stride": (2, 2)}),
        ("strips of a dilation", (1, 9, 10, 5), (3, 3), {"dilation": (2, 3)}),
        ("strips of columns", (1, 24, 1, 6), (5, 1), {}),
    )
    for name, sizes, kernel, more in strips_of:
        m = ModelBuilder(seed=1)
        m.output(m.depthwise_conv2d(m.input(sizes, Quant(0.05, 3)), kernel=kernel, **more))
        found[name] = m
    for kernel, stride in (((2, 2), (2, 2)), ((3, 2), (1, 1))):
        for padding in ("SAME", "VALID"):
            for kind in ("average_pool2d", "max_pool2d"):
                m = ModelBuilder(seed=1)
                x = m.input((1, 8, 7, 19), Quant(0.05, 3))
                m.output(getattr(m, kind)(x, kernel, stride, padding))
                found[f"{kind} {kernel} {padding}"] = m
    m = ModelBuilder(seed=1)
    m.output(m.mean(m.input((1, 6, 5, 9), Quant(0.05, 3)), (2,)))
    found["means"] = m
    m = ModelBuilder(seed=1)
    m.output(m.unary("HARD_SWISH", m.input((1, 5, 7), Quant(0.05, 3)), Quant(0.05, 3)))
    found["table"] = m
    m = ModelBuilder(seed=1)
    m.output(m.softmax(m.input((2, 101), Quant(0.05, 3))))
    found["softmax"] = m
    for kind, part in (("MUL", (1, 7, 5)), ("MUL", (1, 1, 5)), ("ADD", (1, 1, 5))):
        m = ModelBuilder(seed=1)
        a, b = m.input((1, 7, 5), Quant(0.05, 3)), m.input(part, Quant(0.07, 9))
        m.output(binary(m, kind, a, b, quant=Quant(0.1173, 3), activation="NONE"))
        found[f"{kind} {part}"] = m
    return found


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    layers = {n: m for n, m in overlapping().items() if n != "channels of large images"}
    assert check_overlap(layers | overlapping_more(), TARGET, tmp_path) == {
        "lotor_add_helium forward",
        "lotor_average_pool_2d_helium forward",
        "lotor_conv_2d_helium forward",
        "lotor_depthwise_conv_2d_helium forward",
        "lotor_depthwise_conv_2d_helium_general forward",
        "lotor_max_pool_2d_helium forward",
        "lotor_mean_helium forward",
        "lotor_mul_helium forward",
        "lotor_softmax_helium forward",
        "lotor_table_helium forward",
    }


@pytest.mark.parametrize(("a", "b", "y"), [(0.25, 0.25, 0.5), (0.5, 0.25, 1.0), (0.125, 0.5, 0.5)])
def test_sums_that_end_at_halves(a: float, b: float, y: float, tmp_path: Path) -> None:
    m = ModelBuilder(seed=4)
    shape = (1, 9, 7)
    m.output(m.add(m.input(shape, Quant(a, 3)), m.input(shape, Quant(b, -5)), quant=Quant(y, 4)))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["away"] == 1  # as the reference rounds
    assert taken(m, TARGET, tmp_path) == {"lotor_add_helium": 1}


def test_sums_in_every_form(tmp_path: Path) -> None:
    """With the bias in the addend, added to the sums, and rounded twice."""
    seen = set()
    for inputs in (64, 300, 8):
        m = ModelBuilder(seed=0)
        m.output(m.conv2d(m.input((1, 4, 4, inputs), Quant(0.05, 3)), 6, (1, 1)))
        (layer,) = compile_model(m.build(), TARGET).layers
        p = layer.steps[0].call.params
        seen.add((p["bias"], p["shift"] > 0))
        assert taken(m, TARGET, tmp_path / str(inputs)) == {"lotor_conv_2d_helium": 1}
    assert seen == {(0, True), (1, True), (1, False)}


def test_sums_that_wrap_as_they_are_shifted_to_the_left(tmp_path: Path) -> None:
    m = ModelBuilder(seed=0)
    x = m.input((1, 4, 4, 5), Quant(0.05, 3))
    bias = np.array([1 << 29, -(1 << 29), 1 << 20, 0, 7])
    for make in (m.conv2d, m.depthwise_conv2d):
        m.output(make(x, 5 if make == m.conv2d else 1, multiplier=9.3, bias=bias))
    m.output(m.conv2d(x, 5, (1, 1), multiplier=9.3, bias=bias))
    taken(m, TARGET, tmp_path)


def test_windows_of_many_blocks(tmp_path: Path) -> None:
    """Up to eight have offsets, more go in turns; a rest of windows is first put together."""
    for number, (inputs, kernel) in enumerate(((128, 1), (129, 1), (16, 3), (17, 3), (288, 2))):
        m = ModelBuilder(seed=number)
        x = m.input((1, 5, 5, inputs), Quant(0.05, 3))
        m.output(m.conv2d(x, 5, (kernel, kernel)))
        assert taken(m, TARGET, tmp_path / str(number)) == {"lotor_conv_2d_helium": 1}


def test_layers_take_the_kernels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), activation="RELU")
    x = m.depthwise_conv2d(x, activation="RELU")
    y = m.conv2d(x, 8, (1, 1))
    x = m.depthwise_conv2d(m.add(x, y), stride=(2, 2))
    x = m.average_pool2d(x, (3, 3), (3, 3))
    m.output(m.fully_connected(m.reshape(x, (1, 8)), 5))
    compiled = compile_model(m.build(), TARGET)
    assert [layer.steps[0].variant.name for layer in compiled.layers] == ["helium"] * 7
