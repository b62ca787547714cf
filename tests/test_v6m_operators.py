"""The kernels for Armv6-M of further operators and of depthwise layers of any shape."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from any_layers import any_convolution, any_dense, any_depthwise, products
from cases.binary import binary
from cortex_m import needs_emulator
from effort import examples
from kernel_layers import check_overlap, check_random_layers, taken
from lotor.compiler import compile_model
from lotor.targets import pool_v6m, v6m_scale
from test_dsp_operators import overlapping, pools, softmaxes
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m0plus"
EXAMPLES = examples(4)


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [
        (any_depthwise, "depthwise_conv_2d_v6m_general"),
        (any_convolution, "conv_2d_v6m"),
        (any_dense, "fully_connected_v6m"),
        (pools, "average_pool_2d_v6m"),
        (pools, "mean_v6m"),
        (products, "mul_v6m"),
        (softmaxes, "softmax_v6m"),
    ],
)
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}", tmp_path_factory, EXAMPLES)


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    kernels = (
        "depthwise_conv_2d_v6m_general",
        "average_pool_2d_v6m",
        "mean_v6m",
        "mul_v6m",
        "softmax_v6m",
    )
    functions = {f"lotor_{kernel}" for kernel in kernels}
    models = {
        name: m
        for name, m in overlapping().items()
        if compile_model(m.build(), TARGET, "small").layers[0].steps[0].function in functions
    }
    assert check_overlap(models, TARGET, tmp_path) == {
        "lotor_depthwise_conv_2d_v6m_general",
        *(f"{function} forward" for function in functions),
    }


def test_overlap_of_groups(tmp_path: Path) -> None:
    models = {}
    for name, channels, weights, stride in (
        ("pixels", 6, (6, 1, 1, 3), 1),
        ("pixels that grow", 6, (9, 1, 1, 2), 1),
        ("windows", 6, (6, 3, 3, 2), 1),
        ("windows that shrink", 8, (4, 3, 3, 2), 2),
    ):
        m = ModelBuilder(seed=1)
        x = m.input((2, 5, 7, channels), Quant(0.05, 3))
        m.output(m.conv2d(x, weights=m.weights(weights), stride=(stride, stride)))
        models[name] = m
    assert check_overlap(models, TARGET, tmp_path) == {"lotor_conv_2d_v6m forward"}


@pytest.mark.parametrize(
    ("groups", "channels", "filters"), [(5, 2, 3), (4, 9, 8), (3, 17, 20), (2, 5, 33), (40, 1, 1)]
)
def test_groups_share_blocks_of_weights(
    groups: int, channels: int, filters: int, tmp_path: Path
) -> None:
    m = ModelBuilder(seed=groups)
    x = m.input((2, 3, 5, groups * channels), Quant(0.05, 3))
    m.output(m.conv2d(x, weights=m.weights((groups * filters, 1, 1, channels))))
    m.output(m.conv2d(x, weights=m.weights((groups * filters, 3, 2, channels)), dilation=(2, 2)))
    assert taken(m, TARGET, tmp_path) == {"lotor_conv_2d_v6m": 2}


@pytest.mark.parametrize(
    ("inputs", "offset", "parts"),
    [(20, 100, 1), (30, -100, 1), (64, 100, 2), (67, -100, 0), (132, 100, 6), (576, -100, 32)],
)
def test_packed_pixels_of_uint8(inputs: int, offset: int, parts: int, tmp_path: Path) -> None:
    """Sums that come close to what packed pixels have room for with the weights' zero point."""
    m = ModelBuilder(seed=inputs)
    x = m.input((2, 3, 5, inputs), Quant(0.05, 3))
    weights = m.weights((36, 1, 1, inputs))
    weights[0], weights[1] = 127, -128
    m.output(m.conv2d(x, weights=weights, multiplier=0.003, per_channel=False))
    m.to_uint8(128 - offset)
    (layer,) = compile_model(m.build(), TARGET).layers[1:-1]
    params = layer.steps[0].call.params
    assert (params["weights_offset"], params["parts"]) == (offset, parts)
    assert taken(m, TARGET, tmp_path)["lotor_conv_2d_v6m"] == 1


@pytest.mark.parametrize("zero_point", [-128, 100])
@pytest.mark.parametrize("shape", [(2, 8, 9, 3), (1, 3, 2, 1), (1, 2, 22, 5)])
def test_borders(shape: tuple[int, int, int, int], zero_point: int, tmp_path: Path) -> None:
    """Windows that are larger than the image, and beside it; parts of rows that overlap."""
    m = ModelBuilder(seed=shape[2])
    x = m.input(shape, Quant(0.05, zero_point))
    for kernel, stride, dilation in (
        ((5, 5), 1, (1, 1)),
        ((4, 7), 1, (1, 1)),
        ((5, 5), 2, (1, 1)),
        ((2, 6), 3, (1, 1)),
        ((3, 3), 1, (3, 5)),
        ((9, 11), 1, (1, 1)),
    ):
        m.output(m.depthwise_conv2d(x, 1, kernel, (stride, stride), dilation))
    assert taken(m, TARGET, tmp_path) == {"lotor_depthwise_conv_2d_v6m_general": 6}


@pytest.mark.parametrize("zero_point", [-128, 127])
@pytest.mark.parametrize(("kernel", "weight"), [((7, 7), 127), ((11, 11), 65), ((1, 31), 127)])
def test_sums_that_fill_their_room(
    kernel: tuple[int, int], weight: int, zero_point: int, tmp_path: Path
) -> None:
    """Sums that come close to what packed outputs have room for, in both directions."""
    rng = np.random.default_rng(weight)
    signs = np.where(rng.integers(0, 2, (1, *kernel, 4)), 1, -1)
    signs[..., 0], signs[..., 1] = 1, -1
    m = ModelBuilder(seed=weight)
    x = m.input((1, 9, 14, 4), Quant(0.05, zero_point))
    weights = (signs * weight).astype(np.int8)
    m.output(m.depthwise_conv2d(x, weights=weights, multiplier=0.0004))
    assert taken(m, TARGET, tmp_path) == {"lotor_depthwise_conv_2d_v6m_general": 1}


def test_sums_without_room() -> None:
    m = ModelBuilder(seed=1)
    x = m.input((1, 9, 14, 4), Quant(0.05, 3))
    weights = np.full((1, 8, 8, 4), 127, np.int8)
    m.output(m.depthwise_conv2d(x, weights=weights, multiplier=0.0004))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].variant.portable


@pytest.mark.parametrize("kernel", [(5, 5), (1, 31), (31, 1), (9, 3)])
def test_the_longest_code(
    kernel: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Branches reach 254 bytes: bent lines in three parts, a clamp, pixels far apart."""
    monkeypatch.setattr(v6m_scale, "_BITS", ())
    monkeypatch.setattr(v6m_scale.ShortLine, "bent", True)
    m = ModelBuilder(seed=5)
    x = m.input((1, 6, 7, 515), Quant(0.05, 3))
    scaling: dict[str, Any] = {"quant": Quant(0.05, 30), "activation": "RELU_N1_TO_1"}
    m.output(m.depthwise_conv2d(x, 1, kernel, dilation=(1, 2), multiplier=0.0023, **scaling))
    (layer,) = compile_model(m.build(), TARGET).layers
    params = layer.steps[0].call.params
    assert (params["deep"], params["bent"]) == (1, 1)
    assert taken(m, TARGET, tmp_path) == {"lotor_depthwise_conv_2d_v6m_general": 1}


@pytest.mark.parametrize("bits", [v6m_scale._BITS, ()])
@pytest.mark.parametrize("zero_point", [-128, 5, 90])
def test_lines_in_parts(
    bits: range, zero_point: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means and products whose multipliers have two or three parts."""
    monkeypatch.setattr(v6m_scale, "_BITS", bits)
    monkeypatch.setattr(v6m_scale, "_short_line", v6m_scale._short_line.__wrapped__)
    monkeypatch.setattr(pool_v6m, "_line", lambda *_: None)
    m = ModelBuilder(seed=7)
    x, y = m.input((1, 14, 14, 5), Quant(0.05, 3)), m.input((1, 1, 1, 5), Quant(0.07, 9))
    z = m.input((1, 40, 6, 9), Quant(0.05, 3))
    quant = Quant(0.04, zero_point)
    m.output(m.mean(x, (1, 2), quant=quant))
    m.output(m.mean(z, (2,), quant=Quant(0.05, zero_point)))
    m.output(binary(m, "MUL", x, y, quant=quant, activation="RELU6"))
    m.output(binary(m, "MUL", y, x, quant=Quant(0.01, zero_point), activation="NONE"))
    compiled = compile_model(m.build(), TARGET)
    calls = [layer.steps[0].call for layer in compiled.layers]
    means = [call.params for call in calls if call.kernel == "mean"]
    assert [p["parts"] for p in means] == [2 if bits else 3] * 2
    assert all(call.params["deep"] != bool(bits) for call in calls if call.kernel == "mul")
    assert taken(m, TARGET, tmp_path) == {"lotor_mean_v6m": 2, "lotor_mul_v6m": 2}
