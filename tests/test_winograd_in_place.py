"""Winograd's convolutions whose output replaces the input, on an emulated Cortex-M4."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st

from cases.strategies import BRANCHES, Draw, builder, quants, scaling
from cortex_m import needs_emulator
from effort import examples
from kernel_layers import check_overlap, check_random_layers
from lotor.targets import variants
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator


FORMS = ["4x4_in_place", "2x4_in_place"]
FUNCTION = "lotor_conv_2d_dsp_winograd_tile"


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiles of one form, wherever they are exact."""
    free = (replace(v, spends=False, thrifty=False) for v in variants._FASTER if v.spends)
    chosen = [variant for variant in free if variant.form == request.param]
    monkeypatch.setattr(variants, "_FASTER", (*chosen, *variants._FASTER))
    return str(request.param)


@st.composite
def chains(draw: Draw) -> ModelBuilder:
    """Layers that replace their inputs: every rest of tiles, narrow clamps, wide scales."""
    m = builder(draw)
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 11))
    width, channels = draw(st.integers(1, 19)), 4 * draw(st.integers(1, 4))
    x = m.input((batch, height, width, channels), draw(quants))
    for _ in range(BRANCHES):
        x = m.conv2d(x, channels, **scaling(draw))
    m.output(x)
    return m


def test_random_layers(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_random_layers(chains, "cortex-m4", FUNCTION, tmp_path_factory, examples=examples(5))


def test_the_output_replaces_the_input(tmp_path: Path) -> None:
    """Every rest of tiles, several images, filters that come twice; a byte beside it is wrong."""
    models = {}
    for shape in ((1, 8, 16, 8), (2, 7, 11, 4), (1, 6, 9, 12), (1, 1, 13, 4), (1, 5, 2, 8)):
        m = ModelBuilder(seed=1)
        m.output(m.conv2d(m.input(shape, Quant(0.05, 3)), shape[3]))
        models[str(shape)] = m
    assert check_overlap(models, "cortex-m4", tmp_path) == {FUNCTION}
