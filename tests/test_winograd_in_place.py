"""Winograd's convolutions whose output replaces the input, on an emulated Cortex-M4."""

from dataclasses import replace
from pathlib import Path

import pytest

from cortex_m import needs_emulator
from kernel_layers import check_overlap
from lotor.targets import variants
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator


@pytest.mark.parametrize("form", ["4x4_in_place", "2x4_in_place"])
def test_the_output_replaces_the_input(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rest of tiles, several images, filters that come twice; a byte beside it is wrong."""
    free = (replace(v, spends=False, thrifty=False) for v in variants._FASTER if v.spends)
    chosen = [variant for variant in free if variant.form == form]
    monkeypatch.setattr(variants, "_FASTER", (*chosen, *variants._FASTER))
    models = {}
    for shape in ((1, 8, 16, 8), (2, 7, 11, 4), (1, 6, 9, 12), (1, 1, 13, 4), (1, 5, 2, 8)):
        m = ModelBuilder(seed=1)
        m.output(m.conv2d(m.input(shape, Quant(0.05, 3)), shape[3]))
        models[str(shape)] = m
    assert check_overlap(models, "cortex-m4", tmp_path) == {"lotor_conv_2d_dsp_winograd_tile"}
