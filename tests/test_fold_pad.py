"""Borders folded into convolutions: which are, and that every result stays."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.hybrid import hybrid
from cases.strategies import BRANCHES, Draw, builder, pair, typed_image
from effort import examples
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant, Tensor

NAME = "fold_pad"
BORDER = [(0, 0), (1, 2), (0, 3), (0, 0)]


def start(dtype: str = "int8", zero_point: int = -5) -> tuple[ModelBuilder, Tensor]:
    m = ModelBuilder(seed=11)
    quant = None if dtype == "float32" else Quant(0.05, 0 if dtype == "int16" else zero_point)
    return m, m.input((1, 5, 6, 2), quant, dtype)


def kinds(m: ModelBuilder) -> list[str]:
    """The layers after the rewrite."""
    return [op.kind for op in run_pass(m, NAME).graph.ops]


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_every_reader_takes_the_border(dtype: str) -> None:
    m, x = start(dtype)
    y = m.pad(x, BORDER)
    m.output(m.conv2d(y, 3, padding="VALID"), m.conv2d(y, 3, (2, 3), stride=(2, 2)))
    m.output(m.depthwise_conv2d(y, 2, stride=(3, 1)))
    assert_rewrite_exact(m, NAME)
    assert kinds(m) == ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D"]


def test_uint8() -> None:
    m, x = start(zero_point=3)
    y = m.pad(x, BORDER)
    m.output(m.conv2d(y, 3, padding="VALID", per_channel=False))
    m.output(m.depthwise_conv2d(y, 2, per_channel=False))
    m.to_uint8(117)
    assert_rewrite_exact(m, NAME)
    assert "PAD" not in kinds(m)


def test_borders_around_borders_and_wide_ones() -> None:
    m, x = start()
    y = m.pad(m.pad(x, BORDER), [(0, 0), (0, 1), (4, 0), (0, 0)])
    m.output(m.conv2d(y, 3, (2, 2), padding="VALID"))
    m.output(m.conv2d(y, 3, (1, 1), stride=(4, 5)))
    m.output(m.depthwise_conv2d(y, 1, (3, 3), dilation=(2, 1)))
    assert_rewrite_exact(m, NAME)
    assert "PAD" not in kinds(m)


@pytest.mark.parametrize(("dtype", "zero"), [("int8", -5), ("int16", 0), ("float32", 0.0)])
def test_a_border_of_a_value_folds_if_it_stands_for_zero(dtype: str, zero: float) -> None:
    m, x = start(dtype)
    m.output(m.conv2d(m.pad_v2(x, BORDER, zero), 3))
    assert_rewrite_exact(m, NAME)
    assert kinds(m) == ["CONV_2D"]
    m.output(m.conv2d(m.pad_v2(x, BORDER, zero + 1), 3))
    assert_rewrite_exact(m, NAME)
    assert kinds(m) == ["CONV_2D", "PADV2", "CONV_2D"]


@pytest.mark.parametrize("how", ["output", "another reader"])
def test_a_border_that_is_needed_stays(how: str) -> None:
    m, x = start()
    y = m.pad(x, BORDER)
    m.output(m.conv2d(y, 2))
    m.output(y if how == "output" else m.max_pool2d(y))
    assert_rewrite_exact(m, NAME, changes=False)


def test_borders_of_images_and_channels_stay() -> None:
    m, x = start()
    m.output(m.conv2d(m.pad(x, [(0, 1), (1, 0), (0, 0), (0, 0)]), 2))
    # Filters of two channels fit the input with the border, in groups, and without it.
    y = m.pad(x, [(0, 0), (1, 0), (0, 0), (2, 0)])
    m.output(m.conv2d(y, weights=m.weights((4, 2, 2, 2))))
    assert_rewrite_exact(m, NAME, changes=False)


def test_borders_before_dynamic_quantization_stay() -> None:
    m, x = start("float32")
    m.output(hybrid(m, "CONV_2D", m.pad(x, BORDER), m.weights((2, 3, 3, 2)), (0.5, 0.25)))
    assert_rewrite_exact(m, NAME, changes=False)


@st.composite
def padded(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    x = typed_image(draw, m, 6)
    y = m.pad(x, [(0, 0), pair(draw, 0, 3), pair(draw, 0, 3), (0, 0)])
    for _ in range(BRANCHES):
        dilation = pair(draw, 1, 2)
        sides = zip(y.shape[1:3], dilation, strict=True)
        kernel = [draw(st.integers(1, min((n - 1) // d + 1, 4))) for n, d in sides]
        geometry: dict[str, Any] = {
            "kernel": tuple(kernel),
            "stride": pair(draw, 1, 3),
            "dilation": dilation,
            "padding": draw(st.sampled_from(["SAME", "VALID"])),
        }
        if draw(st.booleans()):
            m.output(m.conv2d(y, draw(st.integers(1, 4)), **geometry))
        else:
            m.output(m.depthwise_conv2d(y, draw(st.integers(1, 2)), **geometry))
    return m


@settings(
    max_examples=examples(6),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(padded())
def test_any_border_and_window(m: ModelBuilder) -> None:
    assert_rewrite_exact(m, NAME)


def test_a_border_that_cannot_be_compiled_is_left_to_be_refused() -> None:
    m, x = start()
    p = m.input((4, 2), None, "int32")
    y = m.operator("PAD", [x, p], [m.tensor((1, 8, 9, 2), x.quant)], "PadOptions")
    m.output(m.conv2d(y, 2))
    result = run_pass(m, NAME)
    assert not result.removed
