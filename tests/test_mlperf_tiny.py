"""The four MLPerf Tiny models, bit for bit against LiteRT's reference kernels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from exactness import Array, assert_file_exact
from lotor.compiler import compile_model
from lotor.targets.preference import Preference

pytestmark = pytest.mark.shared

SAMPLES = 100
MODELS = {
    "vww": ("visual_wake_words", "vww_96_int8", (1, 96, 96, 3)),
    "ic": ("image_classification", "pretrainedResnet_quant", (1, 32, 32, 3)),
    "kws": ("keyword_spotting", "kws_ref_model", (1, 49, 10, 1)),
    "ad": ("anomaly_detection", "ad01_int8", (1, 640)),
}


@pytest.fixture
def model(shared: Path, request: pytest.FixtureRequest) -> Path:
    """A model file of the benchmark."""
    task, name, _ = MODELS[request.param]
    folder = shared / "models/mlcommons+tiny/benchmark/training" / task / "trained_models"
    path = folder / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"no {path.name} in ../shared/models")
    return path


def _sample_folder(shared: Path, name: str) -> Path:
    folder = shared / "models/sample_inputs" / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in ../shared/models/sample_inputs")
    return folder


@pytest.mark.parametrize(("model", "name"), [(n, n) for n in MODELS], indirect=["model"])
def test_random_inputs(model: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    shape = MODELS[name][2]
    inputs = [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(SAMPLES - 2)]
    extremes = [np.full(shape, value, np.int8) for value in (-128, 127)]
    assert_file_exact(model, inputs + extremes)


# What TensorFlow Lite Micro takes on a Cortex-M4.
TFLM_BYTES = {"vww": 100_708, "ic": 54_996, "kws": 22_820, "ad": 2_580}
ARENA_BYTES = {"vww": 38_000, "ic": 35_000, "kws": 9_500, "ad": 1_300}
PLENTY = 1 << 20  # bytes of flash


@pytest.mark.parametrize("target", ["cortex-m4", "host"])
@pytest.mark.parametrize(("model", "name"), [(n, n) for n in MODELS], indirect=["model"])
def test_the_arena_is_small(model: Path, name: str, target: str) -> None:
    compiled = compile_model(model, target, preference=Preference("ram", PLENTY))
    assert compiled.plan.arena_bytes <= ARENA_BYTES[name]


@pytest.mark.parametrize(("model", "name"), [(n, n) for n in MODELS], indirect=["model"])
def test_speed_takes_less_ram_than_others(model: Path, name: str) -> None:
    """Half of what others take; IC's fastest kernels take 38,304 bytes."""
    compiled = compile_model(model, "cortex-m4", preference=Preference("speed", PLENTY))
    assert compiled.plan.arena_bytes <= max(TFLM_BYTES[name] // 2, 40_000 * (name == "ic"))


@pytest.mark.parametrize("model", list(MODELS), indirect=True)
def test_weights_of_the_least_flash(model: Path) -> None:
    """Little more than what the portable kernels keep."""
    report = compile_model(model, "cortex-m4", preference=Preference("size")).report
    assert report["weights_bytes"] <= 1.04 * report["unpacked_bytes"]


@pytest.mark.parametrize("model", ["kws"], indirect=True)
def test_spoken_words(model: Path, shared: Path) -> None:
    folder = _sample_folder(shared, "eembc+energyrunner/datasets/kws01")
    files = sorted(folder.glob("*.bin"))[::20]
    assert len(files) >= 40
    assert_file_exact(model, [np.fromfile(f, np.int8).reshape(1, 49, 10, 1) for f in files])


@pytest.mark.parametrize(("model", "name"), [("vww", "vww"), ("ic", "ic")], indirect=["model"])
def test_photographs(model: Path, name: str, shared: Path) -> None:
    folder = _sample_folder(shared, "tensorflow+tflite-micro/tensorflow/lite/micro/examples")
    files = sorted(folder.glob("person_detection/testdata/*.bmp"))
    if not files:
        pytest.skip("no photographs in ../shared/models/sample_inputs")
    assert_file_exact(model, [_photograph(f, MODELS[name][2]) for f in files])


def _photograph(path: Path, shape: tuple[int, ...]) -> Array:
    """An image as int8 of the model's size."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    small = cv2.resize(image, (shape[2], shape[1]), interpolation=cv2.INTER_AREA)
    return (small.astype(np.int16) - 128).astype(np.int8).reshape(shape)
