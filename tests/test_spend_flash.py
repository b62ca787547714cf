"""How flash is spent on weights that take more of it, and less time."""

from pathlib import Path

from lotor.compiler import Compiled, compile_model
from lotor.targets.preference import Preference
from lotor.targets.select import constant_bytes
from tflite_builder import ModelBuilder, Quant


def _compiled(flash: int | None) -> Compiled:
    """Two equal layers and one that is too narrow for blocks of outputs."""
    m = ModelBuilder(seed=1)
    x = m.input((1, 16, 16, 16), Quant(0.05, -128))
    for _ in range(2):
        x = m.conv2d(x, 16, quant=Quant(0.05, -128), activation="RELU")
    m.output(x)
    narrow = m.input((1, 16, 1, 16), Quant(0.05, -128))
    m.output(m.conv2d(narrow, 16))
    return compile_model(m.build(), "cortex-m4", preference=Preference(flash=flash))


def _labels(compiled: Compiled) -> list[str]:
    """Of the two layers, then of the narrow one."""
    layers = sorted(compiled.layers, key=lambda layer: -layer.output.shape[2])
    labels = [step.variant.label for layer in layers for step in layer.steps]
    return [label.removeprefix("dsp_winograd_") for label in labels]


def _bytes(compiled: Compiled) -> int:
    calls = [step.call for layer in compiled.layers for step in layer.steps]
    return sum(constant_bytes(call) for call in calls)


def test_no_flash_is_spent_unasked() -> None:
    assert _labels(_compiled(None)) == ["dsp"] * 3
    least = _bytes(_compiled(None))
    assert _labels(_compiled(least)) == ["dsp"] * 3


def test_flash_is_spent_where_a_byte_saves_most() -> None:
    """A little for each layer before more for one, never more than there is."""
    least = _bytes(_compiled(None))
    seen = []
    for extra in range(0, 36_000, 2_000):
        compiled = _compiled(least + extra)
        assert _bytes(compiled) <= least + extra
        *equal, narrow = _labels(compiled)
        assert narrow == "dsp"  # where no time is saved
        seen.append("+".join(sorted(equal)))
    order = ["dsp+dsp", "2x2+dsp", "2x2+2x2", "2x2+4x4", "4x4+4x4"]
    assert list(dict.fromkeys(seen)) == order


def test_weights_of_the_least_flash() -> None:
    """Little more than their bytes, in the model of the repository."""
    model = Path(__file__).parents[1] / "models/raccoon/raccoon.tflite"
    report = compile_model(model, "cortex-m4", preference=Preference("size")).report
    assert report["weights_bytes"] <= 1.04 * report["unpacked_bytes"]
