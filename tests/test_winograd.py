"""Winograd's convolutions with the DSP instructions, on an emulated Cortex-M4."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from cases.movement import concatenation
from cases.strategies import BRANCHES, Draw, builder, paddings, quants, scaling
from cortex_m import needs_emulator, run
from effort import examples
from exactness import as_list, difference
from kernel_layers import check_overlap, check_random_layers, taken
from lotor.compiler import compile_model
from lotor.oracle import Oracle
from lotor.targets import variants
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
TARGET = "cortex-m4"
# Where the output replaces the input: `test_winograd_in_place.py`.
FORMS = [v.label for v in variants._FASTER if v.spends and not v.form.endswith("in_place")]


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiles of one form, wherever they are exact; return the function."""
    free = (replace(v, spends=False, thrifty=False) for v in variants._FASTER if v.spends)
    chosen = [variant for variant in free if variant.label == request.param]
    monkeypatch.setattr(variants, "_FASTER", (*chosen, *variants._FASTER))
    return f"lotor_conv_2d_{chosen[0].name}"


@st.composite
def convolutions(draw: Draw) -> ModelBuilder:
    """Every rest of blocks and of filters, narrow clamps, wide scales."""
    m = builder(draw)
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 9))
    width, channels = draw(st.integers(1, 19)), 4 * draw(st.integers(1, 6))
    x = m.input((batch, height, width, channels), draw(quants))
    for _ in range(BRANCHES):
        padding = draw(paddings) if min(height, width) > 2 else "SAME"
        m.output(m.conv2d(x, draw(st.integers(4, 11)), padding=padding, **scaling(draw)))
    return m


def test_random_layers(tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    check_random_layers(convolutions, TARGET, form, tmp_path_factory, examples=examples(4))


@pytest.mark.parametrize("target", ["cortex-m7", "cortex-m33"])
def test_other_cores(target: str, tmp_path: Path, form: str) -> None:
    m = ModelBuilder(seed=5)
    x = m.input((2, 7, 11, 12), Quant(0.05, 3))
    m.output(m.conv2d(x, 6))
    m.output(m.conv2d(x, 7, activation="RELU", padding="VALID"))
    m.output(m.conv2d(x, 5, activation="RELU6"))
    assert taken(m, target, tmp_path) == {form: 3}


def test_pairs_of_channels(tmp_path: Path, form: str) -> None:
    """Every rest of eight pairs, one turn of the loop and several."""
    m = ModelBuilder(seed=1)
    for channels in (4, 8, 12, 16, 20, 32, 36, 64):
        x = m.input((1, 2, 3, channels), Quant(0.05, 3))
        m.output(m.conv2d(x, weights=m.rng.integers(-40, 41, (4, 3, 3, channels), np.int8)))
    assert taken(m, TARGET, tmp_path) == {form: 8}


@pytest.mark.parametrize("signs", [[1, 1, 1], [1, -1, 1]])
def test_largest_weights(signs: list[int], tmp_path: Path, form: str) -> None:
    """Weights that are the largest at some point, for the largest inputs too."""
    m = ModelBuilder(seed=1)
    x = m.input((1, 5, 9, 8), Quant(0.05, -128))
    pattern = 127 * np.multiply.outer(signs, signs)[None, :, :, None]
    weights = np.broadcast_to(pattern, (4, 3, 3, 8)).astype(np.int8)
    weights[1::2] *= -1
    for multiplier in (1e-5, 1e-3):
        m.output(m.conv2d(x, weights=weights, multiplier=multiplier))
        m.output(m.conv2d(x, weights=weights, multiplier=multiplier, activation="RELU"))
    assert taken(m, TARGET, tmp_path) == {form: 4}


def test_largest_inputs(tmp_path: Path, form: str) -> None:
    """Tiles of inputs that are the largest at each of the points, and the least."""
    m = ModelBuilder(seed=1)
    x = m.input((1, 6, 6, 4), Quant(0.05, 127))
    m.output(m.conv2d(x, 4, padding="VALID"))
    content = m.build()
    compiled = compile_model(content, TARGET)
    assert [step.function for step in compiled.layers[0].steps] == [form]
    lines = np.array(
        [[1, 1, -1, 1, 1, 1], [1, -1, -1, 1, 1, 1], [1, 1, -1, -1, 1, 1], [1, -1, -1, 1, 1, 1],
         [1, 1, -1, -1, 1, 1], [1, 1, 1, -1, 1, 1], [1, 1, -1, -1, -1, -1], [1, 1, 1, 1, 1, 1]]
    )  # fmt: skip
    images = [sign * np.outer(a, b) for a in lines for b in lines for sign in (1, -1)]
    inputs = [
        [np.where(one > 0, 127, -128).astype(np.int8)[None, :, :, None].repeat(4, axis=3)]
        for one in images
    ]
    oracle = Oracle(content)
    for got, (one,) in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(one))) == ""


def test_no_line(tmp_path: Path, form: str) -> None:
    """A requantization that rounds twice, of sums that come four times as large."""
    m = ModelBuilder(seed=2)
    m.output(m.conv2d(m.input((1, 8, 8, 8), Quant(0.05, 3)), 4, multiplier=2.0**-9))
    (layer,) = compile_model(m.build(), TARGET).layers
    assert layer.steps[0].call.params["shift"] == 0
    assert taken(m, TARGET, tmp_path) == {form: 1}


def test_parts_of_larger_tensors(tmp_path: Path, form: str) -> None:
    m = ModelBuilder(seed=3)
    quant = Quant(0.05, 3)
    x = m.input((1, 5, 11, 8), quant)
    parts = [m.conv2d(x, n, quant=quant) for n in (4, 8)]
    m.output(m.conv2d(concatenation(m, parts, 3), 5))
    m.output(m.conv2d(parts[1], 5))
    compiled = compile_model(m.build(), TARGET)
    params = [step.call.params for layer in compiled.layers for step in layer.steps]
    assert any(p["out_step"] > p["out_c"] for p in params)
    assert any(p["in_step"] > p["in_c"] for p in params)
    assert taken(m, TARGET, tmp_path) == {form: 4}


def test_layers_that_are_refused(form: str) -> None:
    """Other windows, odd channels, and sums that leave no room for their factor."""
    for channels, options in (
        (8, {"stride": (1, 2)}),
        (8, {"dilation": (2, 1)}),
        (8, {"kernel": (3, 1)}),
        (6, {}),
        (8, {"bias": np.full(4, 1 << 29, np.int32)}),
    ):
        m = ModelBuilder(seed=3)
        m.output(m.conv2d(m.input((1, 8, 8, channels), Quant(0.05, 3)), 4, **options))
        (layer,) = compile_model(m.build(), TARGET).layers
        assert layer.steps[0].function != form, options


def test_overlap_is_as_declared(tmp_path: Path, form: str) -> None:
    models = {}
    for name, shape, filters, padding in (
        ("blocks", (1, 8, 16, 8), 8, "SAME"),
        ("parts of blocks", (2, 7, 11, 4), 4, "SAME"),
        ("fewer outputs", (1, 8, 10, 8), 5, "VALID"),
        ("more outputs", (1, 6, 9, 4), 9, "SAME"),
    ):
        m = ModelBuilder(seed=1)
        m.output(m.conv2d(m.input(shape, Quant(0.05, 3)), filters, padding=padding))
        models[name] = m
    assert check_overlap(models, TARGET, tmp_path) == {f"{form} forward"}
