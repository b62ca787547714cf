"""An interrupted training goes on to the same bytes, and only one that is the same goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from garden import make_garden
from interrupts import heed_ctrl_c
from lotor.data.manifest import read_manifest
from lotor.errors import LotorError
from lotor.train import checkpoint
from lotor.train.checkpoint import ALL, FITTED, HEAD, INTEGERS, Checkpoint
from lotor.train.recipe import Recipe, Transfer, read_recipe

TEXT = """
name = "tiny"
target = "raccoon"
labels = ["raccoon", "person", "other_animal", "background"]
[input]
height = 32
width = 32
[data]
folder = "nowhere"
other = "other_animal"
[data.classes]
raccoon = "raccoon"
person = "person"
background = "background"
[data.share]
raccoon = 0.25
person = 0.25
other_animal = 0.25
background = 0.25
[network]
kind = "ds_cnn"
width = 0.25
[fit]
steps = 4
batch = 8
seed = 5
head_steps = 1
average = 0.8
[quantize]
samples = 12
steps = 4
correct_bias = true
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.toml").write_text(TEXT)
    return read_recipe(tmp_path / "recipe.toml")


class Interrupted(Exception):
    pass


def small_model() -> Any:
    """A model with all that has a state: normalisation, dropout, layers frozen at first."""
    import keras
    from keras import layers

    x = image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(6, 3, 4, "same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="bn")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x), name="small")


def run(recipe: Recipe, garden: Path, state: Path | None, steps: int | None) -> bytes:
    """Train the small model; after so many steps it is interrupted, the last one not kept yet."""
    import keras

    from lotor.train import convert, export, fit
    from lotor.train.qat import QuantizedModel

    saved = Checkpoint(state)
    saved.load()
    fit.make_repeatable(recipe.fit.seed)
    rng = np.random.default_rng(recipe.fit.seed)
    photos = fit.Photos(read_manifest(garden).split("train"), recipe)
    real: Callable[..., Any] = keras.Model.train_on_batch
    done = 0

    def step(model: Any, *batch: Any) -> Any:
        nonlocal done
        value = real(model, *batch)
        done += 1
        if done == steps:
            raise Interrupted
        return value

    model = small_model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", step)
        fit.fit(model, photos, recipe, rng, saved)
        integers, network = convert.quantized(model, photos, rng, saved)
    assert isinstance(integers, QuantizedModel)
    # Files, and the weights of the integers before rounding, which would hide small differences.
    weights = b"".join(np.asarray(array).tobytes() for array in integers.get_weights())
    return weights + export.to_int8(integers.network, integers.planned) + export.to_float(network)


@pytest.mark.train
def test_a_training_that_is_interrupted_at_every_step(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second step is taken, but not kept. All phases together end with the same bytes."""
    pytest.importorskip("tensorflow")
    from lotor.train import fit

    recipe = replace(recipe, transfer=Transfer("none", "0"))  # or the classifier has no head start
    monkeypatch.setattr(fit, "_REFRESHES", 2)  # scales that lag behind by a step
    garden, state = make_garden(tmp_path / "garden"), tmp_path / "state"
    expected = run(recipe, garden, None, None)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    seen = []
    for _ in range(40):
        try:
            found = run(recipe, garden, state, steps=2)
            break
        except Interrupted:
            seen.append(kept(state))
    assert found == expected
    assert seen == [(HEAD, 1), (ALL, 1), (ALL, 2), (FITTED, 4), *((INTEGERS, n) for n in (1, 2, 3))]
    other = replace(recipe, fit=replace(recipe.fit, seed=6))
    assert run(other, garden, None, None) != expected


@pytest.mark.train
def test_without_an_average_and_without_integers(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    plain = replace(
        recipe,
        fit=replace(recipe.fit, average=0.0, head_steps=0, mixup=0.2),
        quantize=replace(recipe.quantize, steps=0),
    )
    garden, state = make_garden(tmp_path / "garden"), tmp_path / "state"
    expected = run(plain, garden, None, None)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    with pytest.raises(Interrupted):
        run(plain, garden, state, steps=3)
    assert run(plain, garden, state, None) == expected


COMMAND = """
import sys
import time
from lotor.train import checkpoint
checkpoint.EVERY = 0.0
kept = checkpoint.Checkpoint.advance
def advance(self, *about):
    kept(self, *about)
    time.sleep(0.6)  # or it had ended before it was looked at
checkpoint.Checkpoint.advance = advance
from lotor.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(folder: Path, out: str) -> subprocess.Popen[str]:
    """Start `lotor train`, which keeps its state after every step."""
    command = [
        *(sys.executable, "-c", COMMAND, "train", str(folder / "recipe.toml")),
        *("--data", str(folder / "garden"), "--out", str(folder / out)),
    ]
    quiet = {"PIP_NO_INDEX": "1", "LOTOR_CACHE": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | quiet,
        preexec_fn=heed_ctrl_c,
    )


def kept(state: Path) -> tuple[str | None, int]:
    """Return the phase and step of a state, of whatever training."""
    if not state.exists():
        return None, 0
    with np.load(state) as file:
        saved = Checkpoint(state, json.loads(file["about"].tobytes())["identity"])
    saved.load()
    return saved.phase, saved.step


def wait_for(process: subprocess.Popen[str], state: Path, phase: str, step: int) -> None:
    """Wait until a training has got so far."""
    for _ in range(2000):
        found = kept(state)
        if found[0] == phase and found[1] >= step:
            return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise AssertionError(f"it came to {found}, never to {phase} {step}")


@pytest.mark.slow
@pytest.mark.train
def test_a_killed_process(recipe: Recipe, tmp_path: Path) -> None:
    """Ctrl-C, then SIGKILL at a random moment; beside it a process that nothing happens to."""
    pytest.importorskip("tensorflow")
    make_garden(tmp_path / "garden")
    out, state = tmp_path / "out", tmp_path / "out" / ".tiny.training"
    first = start(tmp_path, "out")
    wait_for(first, state, ALL, 2)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 130
    assert said.endswith("interrupted; the same command goes on from what is done\n")
    assert [path.name for path in out.iterdir()] == [".tiny.training"]

    second = start(tmp_path, "out")
    wait_for(second, state, INTEGERS, 1)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
    second.kill()
    second.communicate(timeout=120)
    if second.returncode == 0:
        pytest.skip("it had ended before it was killed")
    assert {path.name for path in out.iterdir()} <= {
        ".tiny.training", ".tiny.training.new", ".tiny.new",
    }  # fmt: skip

    third, whole = start(tmp_path, "out"), start(tmp_path, "whole")
    _, said = third.communicate(timeout=240)
    assert third.returncode == 0, said
    assert "going on from step" in said
    assert "(integers)" in said
    whole.communicate(timeout=240)
    for name in ("tiny.tflite", "tiny_float.tflite", "metrics.json", "lineage.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


IDENTITY = {"recipe.fit.seed": 5, "data version": "a" * 64, "code": "b" * 64, "packages.keras": "3"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a training that was interrupted at step 7."""
    saved = Checkpoint(tmp_path / ".tiny.training", IDENTITY)
    saved.keep(ALL, 7, [np.arange(3.0)], np.random.default_rng(1))
    return tmp_path / ".tiny.training"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"recipe.fit.seed": 6}, "training with recipe.fit.seed 5, this one has 6; .* --anew"),
        ({"data version": "c" * 64}, "with data version a{16}, this one has c{16};"),
        ({"code": "c" * 64}, "with code b{16}, this one has c{16}"),
        ({"packages.keras": "4"}, "with packages.keras 3, this one has 4"),
        ({"recipe.fit.new": 1}, "with recipe.fit.new none, this one has 1"),
    ],
)
def test_another_training_does_not_go_on(state: Path, other: dict[str, Any], says: str) -> None:
    with pytest.raises(LotorError, match=says):
        Checkpoint(state, IDENTITY | other).load()
    assert Checkpoint(state, IDENTITY).load()  # it is still there


def test_what_is_kept_comes_back(state: Path) -> None:
    class Variable:
        value: Any = None

        def assign(self, value: Any) -> None:
            self.value = value

    variable, rng = Variable(), np.random.default_rng(2)
    saved = Checkpoint(state, IDENTITY)
    assert saved.load()
    assert saved.passed(HEAD)
    assert not saved.passed(ALL)
    assert saved.restore(HEAD, [], rng) == 0
    assert saved.restore(ALL, [variable], rng) == 7
    assert variable.value.tolist() == [0, 1, 2]
    assert rng.random() == np.random.default_rng(1).random()
    saved.remove()
    assert not Checkpoint(state, IDENTITY).load()
    assert not list(state.parent.iterdir())


def test_damaged_states_are_told(state: Path) -> None:
    content = state.read_bytes()
    for damaged in (b"", b"nonsense", content[: len(content) // 2], content[:-1]):
        state.write_bytes(damaged)
        with pytest.raises(LotorError, match=r"\.tiny\.training, .* is damaged; start over"):
            Checkpoint(state, IDENTITY).load()


def test_a_full_disk_does_not_end_a_training(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    before = state.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    saved = Checkpoint(state, IDENTITY)
    for step in (8, 9):
        saved.keep(ALL, step, [np.arange(3.0)], np.random.default_rng(1))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: cannot write {state} (No space left on device)")
    assert [path.read_bytes() for path in state.parent.iterdir()] == [before]
