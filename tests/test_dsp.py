"""The kernels for the DSP instructions on emulated cores, against LiteRT's reference."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from cortex_m import needs_emulator, run
from effort import examples
from exactness import as_list, difference, inputs_of
from kernel_layers import (
    check_overlap,
    check_random_layers,
    convolutions,
    dense,
    depthwise,
    overlapping,
    overlapping_convolutions,
    sums,
    taken,
)
from lotor.compiler import compile_model
from lotor.memory import NO_CLEARANCE
from lotor.oracle import Oracle
from lotor.targets.preference import Optimize, Preference
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
# Random models of each kernel: the cores run the same code, but for what gcc schedules.
EXAMPLES = {"cortex-m4": examples(4), "cortex-m7": examples(2), "cortex-m33": examples(2)}
INT4 = partial(convolutions, "int4", 45)  # up to three blocks of filters


@pytest.mark.parametrize("target", EXAMPLES)
@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(convolutions, "conv_2d"), (INT4, "conv_2d_int4"), (depthwise, "depthwise_conv_2d"),
     (partial(dense, 4, 4), "fully_connected"), (sums, "add")],
)  # fmt: skip
def test_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    target: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    check_random_layers(draw, target, f"lotor_{kernel}_dsp", tmp_path_factory, EXAMPLES[target])


@pytest.mark.parametrize(
    ("draw", "kernel"),
    [(convolutions, "conv_2d"), (INT4, "conv_2d_int4"), (depthwise, "depthwise_conv_2d"),
     (partial(dense, 4, 4), "fully_connected")],
)  # fmt: skip
def test_random_layers_with_functions_of_their_own(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The layers of one model share functions; alone they are specialised."""
    monkeypatch.setattr("lotor.codegen.c.find_groups", lambda steps, share_all: {})
    check_random_layers(draw, "cortex-m4", f"lotor_{kernel}_dsp", tmp_path_factory, 8)


@pytest.mark.parametrize(
    ("draw", "kernel"), [(convolutions, "conv_2d"), (depthwise, "depthwise_conv_2d")]
)
def test_random_layers_of_the_least_flash(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    kernel: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Convolutions, too, have no addends then where these follow from the multipliers."""
    check_random_layers(
        draw, "cortex-m4", f"lotor_{kernel}_dsp", tmp_path_factory, 12, optimize="size"
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("zero_point", [-128, 40])
@pytest.mark.parametrize("kept", [False, True])
def test_addends_of_depthwise_layers(
    kept: bool, zero_point: int, stride: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept:
        monkeypatch.setattr("lotor.targets.linear_scale.Sums.implied", lambda sums, line: None)
    m = ModelBuilder(seed=6)
    x = m.input((1, 25, 27, 9), Quant(0.05, 3))
    quant = Quant(0.4, zero_point)
    m.output(m.depthwise_conv2d(x, stride=(stride, stride), activation="RELU", quant=quant))
    (layer,) = compile_model(m.build(), "cortex-m4").layers
    assert layer.steps[0].call.params["words"] == (5 if kept else 4)
    assert taken(m, "cortex-m4", tmp_path) == {"lotor_depthwise_conv_2d_dsp": 1}


@pytest.mark.slow
def test_overlap_is_as_declared(tmp_path: Path) -> None:
    assert check_overlap(overlapping(), "cortex-m4", tmp_path) == {
        "lotor_conv_2d_dsp forward",
        "lotor_conv_2d_dsp_pointwise forward",
        "lotor_depthwise_conv_2d_dsp",
        "lotor_depthwise_conv_2d_dsp forward",
        "lotor_add_dsp forward",
    }


def test_overlap_of_int4_weights_is_as_declared(tmp_path: Path) -> None:
    """A layer whose filters are unpacked in blocks reads its input once for each."""
    models = overlapping_convolutions("int4")
    models = {name: models[name] for name in ("pixels that grow", "windows with stride")}
    assert check_overlap(models, "cortex-m4", tmp_path) == {
        "lotor_conv_2d_int4_dsp forward",
        "lotor_conv_2d_int4_dsp_pointwise forward",
    }
    for side in (3, 12):
        m = ModelBuilder(seed=1)
        m.output(m.conv2d(m.input((1, side, side, 8)), 18, (1, 1), weight_dtype="int4"))
        (layer,) = compile_model(m.build(), "cortex-m4").layers
        (step,) = layer.steps
        assert (step.call.params["at_once"] < step.call.params["twos"]) == (side == 3)
        assert (list(step.variant.clearances(step.call)) == [NO_CLEARANCE]) == (side == 3)
        assert set(taken(m, "cortex-m4", tmp_path / str(side))) == {step.function}


@pytest.mark.parametrize(("filters", "optimize"), [(2, "speed"), (4, "size"), (6, "speed")])
def test_blocks_of_int4_filters(
    filters: int, optimize: Optimize, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even and odd numbers of filters, in blocks of which the last is whole, or the least."""
    monkeypatch.setattr("lotor.targets.dsp_int4._FILTERS", filters)
    monkeypatch.setattr("lotor.targets.dsp_int4._PART", 1 << 20)
    m = ModelBuilder(seed=7)
    x = m.input((1, 3, 3, 7), Quant(0.05, 3))
    for count in (2, 3, 5, 6, 8, 13, 14):
        # Every pair of weights that two filters can have.
        ones = m.rng.integers(-8, 8, (count, 1, 1, 7), dtype=np.int8)
        m.output(m.conv2d(x, weights=ones, weight_dtype="int4"))
        threes = m.rng.integers(-8, 8, (count, 3, 3, 7), dtype=np.int8)
        m.output(m.conv2d(x, weights=threes, weight_dtype="int4"))
    compiled = compile_model(m.build(), "cortex-m4", preference=Preference(optimize))
    blocks = {step.call.params["at_once"] for layer in compiled.layers for step in layer.steps}
    assert max(blocks) == max(2, filters // 2)
    if filters == 2:  # an odd number needs two pairs at first
        assert blocks == {1, 2}
    assert taken(m, "cortex-m4", tmp_path, optimize=optimize) == {
        "lotor_conv_2d_int4_dsp_pointwise": 7,
        "lotor_conv_2d_int4_dsp": 7,
    }


def test_what_int4_kernels_leave_to_the_portable_one(tmp_path: Path) -> None:
    m = ModelBuilder(seed=7)
    x = m.input((1, 3, 3, 6), Quant(0.05, 3))
    groups = m.rng.integers(-8, 8, (4, 1, 1, 3), dtype=np.int8)
    m.output(m.conv2d(x, weights=groups, weight_dtype="int4"))
    m.output(m.conv2d(x, 1, (1, 1), weight_dtype="int4"))
    m.output(m.conv2d(m.input((1, 1, 3, 6)), 4, (1, 1), weight_dtype="int4"))
    assert taken(m, "cortex-m4", tmp_path) == {"lotor_conv_2d_int4_portable": 3}


@pytest.mark.parametrize(("a", "b", "y"), [(0.25, 0.25, 0.5), (0.5, 0.25, 1.0), (0.125, 0.5, 0.5)])
def test_sums_that_end_at_halves(a: float, b: float, y: float, tmp_path: Path) -> None:
    m = ModelBuilder(seed=4)
    shape = (1, 9, 7)
    m.output(m.add(m.input(shape, Quant(a, 3)), m.input(shape, Quant(b, -5)), quant=Quant(y, 4)))
    (layer,) = compile_model(m.build(), "cortex-m4").layers
    assert layer.steps[0].call.params["away"] == 1  # as the reference rounds
    assert taken(m, "cortex-m4", tmp_path) == {"lotor_add_dsp": 1}


def test_filters_without_weights(tmp_path: Path) -> None:
    """Constant channels, as training leaves them: a huge bias of a scale of almost nothing."""
    m = ModelBuilder(seed=5)
    x = m.input((1, 5, 6, 6), Quant(0.05, 3))
    bias = np.array([900, 1 << 30, -700, -(1 << 30), 300, 0])
    for make, shape, axis in (
        (m.conv2d, (6, 3, 3, 6), 0),
        (m.conv2d, (6, 1, 1, 6), 0),
        (m.depthwise_conv2d, (1, 3, 3, 6), 3),
    ):
        for small in (1e-12, 3e-7, 1e-5):  # 0, somewhere between, the end of the range
            weights = m.weights(shape)
            np.moveaxis(weights, axis, 0)[1::2] = 0
            scales = Quant((0.01, small, 0.02, small, 0.013, small), 0, axis)
            m.output(make(x, weights=weights, weight_quant=scales, bias=bias, quant=Quant(0.4, -5)))
    weights = m.weights((6, 36))
    weights[1::2] = 0
    m.output(m.fully_connected(m.reshape(x, (5, 36)), weights=weights))
    found = taken(m, "cortex-m4", tmp_path, ("remove_constant_channels",))
    assert all("dsp" in function for function in found), found


def test_a_scale_that_rounds_to_nothing(tmp_path: Path) -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 3, 3, 4), Quant(1e-6, 3))
    m.output(m.conv2d(x, 4, (1, 1), multiplier=1e-12))
    assert taken(m, "cortex-m4", tmp_path) == {"lotor_conv_2d_dsp_general": 1}


def test_cores_without_a_floating_point_unit(tmp_path: Path) -> None:
    """Numbers that its registers hold otherwise are on the stack."""
    m = ModelBuilder(seed=3)
    x = m.input((1, 9, 11, 8), Quant(0.05, 3))
    for channels in (6, 7):
        m.output(m.conv2d(x, channels, (3, 3)))
        m.output(m.conv2d(x, channels, (1, 1), activation="RELU"))
    for stride in (1, 1, 2, 2):
        m.output(m.depthwise_conv2d(x, stride=(stride, stride), activation="RELU"))
    flat = m.input((1, 20), Quant(0.05, 3))
    for outputs in (8, 9):
        m.output(m.fully_connected(flat, outputs))
    content = m.build()
    compiled = compile_model(content, "cortex-m4")
    soft = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
    compiled = replace(compiled, target=replace(compiled.target, flags=soft))
    assert all(step.variant.instruction_set == "dsp" for y in compiled.layers for step in y.steps)
    inputs = list(inputs_of(m))
    oracle = Oracle(content)
    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


def test_long_windows(tmp_path: Path) -> None:
    for inputs in (8176, 20000):
        m = ModelBuilder(seed=3)
        weights = np.ones((2, 1, 1, inputs), np.int8)
        m.output(m.conv2d(m.input((1, 2, 2, inputs), Quant(0.05, 3)), weights=weights))
        folder = tmp_path / str(inputs)
        assert taken(m, "cortex-m4", folder) == {"lotor_conv_2d_dsp_pointwise": 1}


@pytest.mark.parametrize("least", [4, 64])
def test_every_rest_of_a_turn(least: int, tmp_path: Path) -> None:
    """Few inputs take short turns of the loop, many take long ones."""
    m = ModelBuilder(seed=3)
    for inputs in range(least, least + 64, 4):
        m.output(m.conv2d(m.input((1, 1, 5, inputs), Quant(0.05, 3)), 3, (1, 1)))
    content = m.build()
    turn = 8 if least < 64 else 16
    dense = {f.text for layer in compile_model(content, "cortex-m4").layers
             for f in layer.steps[0].call.functions.values()}  # fmt: skip
    assert all(f", {turn}, " in text for text in dense)
    assert taken(m, "cortex-m4", tmp_path) == {"lotor_conv_2d_dsp_pointwise": 16}


def test_layers_take_the_kernels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 12, 12, 3))
    x = m.conv2d(x, 8, (3, 3), (2, 2), activation="RELU")
    x = m.depthwise_conv2d(x, activation="RELU")
    y = m.conv2d(x, 8, (1, 1))
    x = m.depthwise_conv2d(m.add(x, y), stride=(2, 2))
    m.output(m.fully_connected(m.reshape(x, (1, 72)), 5))
    compiled = compile_model(m.build(), "cortex-m4")
    taking = [layer.steps[0].variant.instruction_set for layer in compiled.layers]
    assert taking == ["dsp"] * 6
