"""The kernels for Armv6-M on an emulated Cortex-M0+, against LiteRT's reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator
from effort import examples
from kernel_layers import (
    check_overlap,
    check_random_layers,
    convolutions,
    dense,
    depthwise,
    overlapping,
    sums,
    taken,
)
from lotor.compiler import compile_model
from lotor.targets import v6m_scale
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m0plus"
EXAMPLES = examples(4)


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(convolutions, "conv_2d"), (depthwise, "depthwise_conv_2d"),
     (dense, "fully_connected"), (sums, "add")],
)  # fmt: skip
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, TARGET, f"lotor_{kernel}_v6m", tmp_path_factory, EXAMPLES)


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), TARGET, tmp_path) == {
        "lotor_conv_2d_v6m forward",
        "lotor_depthwise_conv_2d_v6m forward",
        "lotor_add_v6m forward",
    }


@pytest.mark.parametrize(
    ("filters", "zero_point"), [(16, -128), (17, 5), (35, 5), (258, 5), (515, -128)]
)
def test_many_filters(filters: int, zero_point: int, tmp_path: Path) -> None:
    m = ModelBuilder(seed=filters)
    x = m.input((1, 3, 3, 21), Quant(0.05, 3))
    m.output(m.conv2d(x, filters, (1, 1), quant=Quant(0.1, zero_point)))
    assert taken(m, TARGET, tmp_path) == {"lotor_conv_2d_v6m": 1}


@pytest.mark.parametrize(
    ("inputs", "weight", "parts"),
    [(64, 20, 1), (64, 127, 2), (75, 127, 3), (67, 127, 0), (576, 60, 8)],
)
@pytest.mark.parametrize("zero_point", [-128, 127])
def test_packed_pixels(
    inputs: int, weight: int, parts: int, zero_point: int, tmp_path: Path
) -> None:
    """Sums that come close to what packed pixels have room for, in both directions."""
    rng = np.random.default_rng(inputs)
    signs = rng.permuted(np.tile([-1, 1], (9, inputs))[:, :inputs], axis=1)
    m = ModelBuilder(seed=inputs)
    x = m.input((2, 3, 5, inputs), Quant(0.05, zero_point))
    weights = (signs * weight).astype(np.int8).reshape(9, 1, 1, inputs)
    m.output(m.conv2d(x, weights=np.tile(weights, (4, 1, 1, 1)), multiplier=0.003))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["parts"] == parts
    assert taken(m, TARGET, tmp_path) == {"lotor_conv_2d_v6m": 1}


@pytest.mark.parametrize(("channels", "multiplier"), [(300, 1), (2, 3), (1, 8)])
@pytest.mark.parametrize("stride", [1, 3, 4])
def test_many_channels(channels: int, multiplier: int, stride: int, tmp_path: Path) -> None:
    m = ModelBuilder(seed=channels)
    x = m.input((2, 9, 10, channels), Quant(0.05, 3))
    m.output(m.depthwise_conv2d(x, stride=(stride, stride), depth_multiplier=multiplier))
    assert taken(m, TARGET, tmp_path) == {"lotor_depthwise_conv_2d_v6m": 1}


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((1, 1, 1, 21), 1), ((3, 1, 1, 21), 1), ((1, 1, 2, 5), 1), ((2, 3, 3, 7), 3)],
)
def test_convolutions_of_few_pixels(
    shape: tuple[int, int, int, int], kernel: int, tmp_path: Path
) -> None:
    m = ModelBuilder(seed=2)
    x = m.input(shape, Quant(0.05, 3))
    m.output(m.conv2d(x, 9, (kernel, kernel), padding="VALID", quant=Quant(0.1, 5)))
    assert taken(m, TARGET, tmp_path) == {"lotor_fully_connected_v6m": 1}


@pytest.mark.parametrize("inputs", [9, 30])
def test_the_longest_code(inputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches reach 254 bytes: bent lines in three parts, a clamp, pixels far apart."""
    monkeypatch.setattr(v6m_scale, "_BITS", ())
    monkeypatch.setattr(v6m_scale.ShortLine, "bent", True)
    m = ModelBuilder(seed=5)
    x, y = m.input((1, 3, 3, inputs), Quant(0.05, 3)), m.input((1, 30), Quant(0.05, 3))
    scaling: dict[str, Any] = {"quant": Quant(0.05, 30), "activation": "RELU_N1_TO_1"}
    m.output(m.conv2d(x, 517, (1, 1), multiplier=0.0023, **scaling))
    m.output(m.fully_connected(y, 40, multiplier=0.0023, **scaling))
    m.output(m.depthwise_conv2d(x, multiplier=0.0023, **scaling))
    compiled = compile_model(m.build(), TARGET)
    for layer in compiled.layers:
        params = layer.steps[0].call.params
        assert (params["deep"], params["bent"]) == (1, 1)
        assert (params["out_min"], params["out_max"]) != (-128, 127)
    assert sum(taken(m, TARGET, tmp_path).values()) == 3


@pytest.mark.parametrize("zero_point", [-128, 30])
def test_multipliers_of_three_parts(
    zero_point: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which only few layers need, with large sums."""
    monkeypatch.setattr(v6m_scale, "_BITS", ())
    m = ModelBuilder(seed=5)
    x, y = m.input((1, 7, 5, 9), Quant(0.05, 3)), m.input((2, 800), Quant(0.05, 3))
    quant = Quant(0.05, zero_point)
    m.output(m.conv2d(x, 64, (3, 3), quant=quant, multiplier=0.0008))
    m.output(m.conv2d(x, 8, (1, 1), quant=quant, multiplier=0.0016))
    m.output(m.depthwise_conv2d(x, quant=quant, multiplier=0.0021))
    m.output(m.fully_connected(y, 64, quant=quant, multiplier=0.0013))
    compiled = compile_model(m.build(), TARGET)
    calls = [layer.steps[0].call for layer in compiled.layers]
    assert [call.params["deep"] for call in calls] == [1] * 4
    parts = [call.params["parts"] for call in calls if call.kernel == "conv_2d"]
    assert {n > 0 for n in parts} == {False, True}
    assert sum(taken(m, TARGET, tmp_path).values()) == 4


@pytest.mark.parametrize(("a", "b", "y"), [(0.25, 0.25, 0.5), (0.5, 0.25, 1.0), (0.125, 0.5, 0.5)])
def test_sums_that_end_at_halves(a: float, b: float, y: float, tmp_path: Path) -> None:
    m = ModelBuilder(seed=4)
    shape = (1, 9, 7)
    m.output(m.add(m.input(shape, Quant(a, 3)), m.input(shape, Quant(b, -5)), quant=Quant(y, 4)))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["away"] == 1  # as the reference rounds
    assert taken(m, TARGET, tmp_path) == {"lotor_add_v6m": 1}


def test_layers_take_the_kernels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), activation="RELU")
    x = m.depthwise_conv2d(x, activation="RELU")
    y = m.conv2d(x, 8, (1, 1))
    x = m.depthwise_conv2d(m.add(x, y), stride=(2, 2))
    m.output(m.fully_connected(m.reshape(x, (1, 72)), 5))
    compiled = compile_model(m.build(), TARGET)
    assert [layer.steps[0].variant.name for layer in compiled.layers] == ["v6m"] * 6
