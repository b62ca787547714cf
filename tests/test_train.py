"""Training on a made-up data set: transfer, the int8 file, its evidence, repeatability."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from garden import make_garden
from lotor.compiler import compile_model
from lotor.data.manifest import read_manifest
from lotor.errors import LotorError
from lotor.host import HostModel
from lotor.infer import as_list
from lotor.oracle import Oracle
from lotor.resources import resource
from lotor.train.recipe import Network, Transfer, read_recipe
from lotor.zoo import model_names

pytestmark = pytest.mark.xdist_group("train")  # one training for all

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
[transfer]
file = "FILE"
sha256 = "HASH"
[fit]
steps = 3
batch = 8
seed = 5
head_steps = 0
[quantize]
samples = 12
steps = 3
correct_bias = true
"""


SMALL = Network("ds_cnn", 0.25)  # as in `MORE`
MORE = """
[decision]
false_alarm_cost = 1
miss_cost = 20
prior = 0.1
[ood]
directions = 4
[network]
kind = "ds_cnn"
width = 0.25
"""


def write_recipe(folder: Path, text: str = TEXT, **replaced: str) -> Path:
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


@pytest.mark.parametrize("name", model_names())
def test_a_shipped_model_is_what_its_recipe_makes(name: str) -> None:
    folder = resource("models", name)
    recipe = read_recipe(folder / "recipe.toml")
    assert recipe.name == name
    assert (folder / "labels.txt").read_text().splitlines() == recipe.labels
    assert set(recipe.data.share) == set(recipe.labels)
    assert recipe.labels[recipe.label_of(recipe.target)] == recipe.target
    assert recipe.labels[recipe.label_of("deer")] == recipe.data.other
    lineage = json.loads((folder / "lineage.json").read_text())
    int8 = (folder / f"{name}.tflite").read_bytes()
    assert lineage["model_sha256"] == hashlib.sha256(int8).hexdigest()
    # Keys that recipes have got since then stand at what they were before they existed.
    assert _within(lineage["recipe"], json.loads(json.dumps(dataclasses.asdict(recipe))))
    assert {"val", "test", "test_float", "thresholds"} <= set(
        json.loads((folder / "metrics.json").read_text())
    )
    assert (folder / "card.md").read_text().startswith(f"# {name}: ")


def _within(part: Any, whole: Any) -> bool:
    if not isinstance(part, dict):
        return bool(part == whole)
    return set(part) <= set(whole) and all(_within(part[key], whole[key]) for key in part)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("steps = 3", "stepps = 3", r"\[fit\]: unknown key 'stepps' \(did you mean 'steps'"),
        ("steps = 3", "steps = 0", "fit.steps is 0"),
        ("steps = 3", 'steps = "many"', "steps must be int"),
        ('target = "raccoon"', 'target = "racoon"', r"did you mean 'raccoon'"),
        ("person = 0.25", "", "data.share lacks person"),
        ("person = 0.25", 'person = "some"', "share must be a table of numbers"),
        ("height = 32", "", "height missing"),
        ("width = 32", 'width = 32\naspect = "streched"', r"did you mean 'stretch'"),
        ("[input]", "[input", "is no TOML"),
        ("[fit]", "[augment]\nrain = 1.5\n[fit]", "augment.rain is 1.5; it must lie in 0..1"),
        ("[fit]", "[augment]\ndistant_least = 0\n[fit]", "augment.distant_least is 0"),
    ],
)
def test_unsound_recipes(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write_recipe(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(LotorError, match=says):
        read_recipe(path)


@pytest.mark.train
def test_transfer_computes_what_the_file_computes(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import networks, transfer
    from lotor.train.export import to_float
    from lotor.train.fold import fold

    rng = np.random.default_rng(0)
    donor = networks.build(Network(dropout=0.0), 32, 32, 4)
    for layer in donor.layers:
        if layer.name.endswith("_bn"):
            n = layer.gamma.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, n), rng.normal(0, 0.5, n),
                               rng.normal(0, 0.2, n), rng.uniform(0.5, 2, n)])  # fmt: skip
    source = tmp_path / "donor.tflite"
    source.write_bytes(to_float(fold(donor)))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    model = networks.build(Network(dropout=0.0), 32, 32, 4)
    images = rng.normal(0, 0.5, (16, 32, 32, 3)).astype(np.float32)
    pairs = transfer.read_weights(source, digest)
    transfer.transfer(model, pairs, images)
    model.get_layer("logits").set_weights(donor.get_layer("logits").get_weights())
    expected = donor.predict(images, verbose=0)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-3, atol=1e-4)
    # In training, too, every layer sees normalised activations: the batch's own statistics agree.
    np.testing.assert_allclose(model(images, training=True), expected, rtol=0.05, atol=0.02)
    with pytest.raises(LotorError, match="SHA-256 differs"):
        transfer.read_weights(source, "0" * 64)
    with pytest.raises(LotorError, match=r"check \[network\] width"):
        transfer.transfer(networks.build(Network(width=0.5), 32, 32, 4), pairs, images)


@pytest.mark.train
def test_a_stem_of_stride_1_sees_an_enlarged_image(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    import keras

    from lotor.train import networks, transfer

    rng = np.random.default_rng(0)
    coarse = networks.build(Network(), 64, 64, 4)
    kernels = [
        layer.get_weights()[0]
        for layer in coarse.layers
        if layer.name.startswith(("conv", "depth", "point"))
        and not layer.name.endswith(("_bn", "_relu"))
    ]
    biases = [np.zeros(k.shape[3] if k.shape[3] > 1 else k.shape[2], np.float32) for k in kernels]
    folded = [transfer.Folded(k, b, 2) for k, b in zip(kernels, biases, strict=True)]
    images = rng.normal(0, 0.5, (4, 32, 32, 3)).astype(np.float32)
    fine = networks.build(Network(stem_stride=1), 32, 32, 4)
    transfer.transfer(fine, folded, images)
    large = np.stack([cv2.resize(i, (64, 64), interpolation=cv2.INTER_LINEAR) for i in images])
    found, expected = (
        keras.Model(model.input, model.get_layer("conv0").output)(inputs)[:, 1:-1, 1:-1]
        for model, inputs in ((fine, images), (coarse, large))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert fine.get_layer("pool").output.shape == coarse.get_layer("pool").output.shape


@pytest.mark.train
def test_a_recipe_decides_how_training_starts_and_what_weights_become(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import convert, fit, networks, transfer
    from lotor.train.export import to_float
    from lotor.train.fold import fold
    from lotor.train.narrow import weight_bytes

    how = Network("ds_cnn", 0.25, 0.5)
    donor = networks.build(how, 32, 32, 4)
    source = tmp_path / "source.tflite"
    source.write_bytes(to_float(fold(donor)))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    largest = max(fold(donor), key=lambda layer: weight_bytes(layer) * (layer.kind == "conv_2d"))
    budget = sum(weight_bytes(layer) for layer in fold(donor)) - 1
    recipe = read_recipe(write_recipe(tmp_path))
    recipe = dataclasses.replace(
        recipe,
        network=how,
        transfer=Transfer(str(source), digest, classifier=True),
        quantize=dataclasses.replace(recipe.quantize, steps=0, weight_bytes=budget),
    )
    photos = fit.Photos(read_manifest(make_garden(tmp_path / "garden")).split("train"), recipe)
    rng = np.random.default_rng(0)
    model = fit.started(photos, transfer.weights_of(recipe), rng)
    for found, expected in zip(
        model.get_layer("logits").get_weights(), donor.get_layer("logits").get_weights(),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=1e-6)
    integers, _ = convert.quantized(model, photos, rng)
    assert integers.planned.weight_bits == {largest.name: 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training, and what it takes to repeat it."""
    pytest.importorskip("tensorflow")
    from lotor.train import networks
    from lotor.train.export import to_float
    from lotor.train.fold import fold
    from lotor.train.pipeline import train

    folder = tmp_path_factory.mktemp("train")
    source = folder / "source.tflite"
    source.write_bytes(to_float(fold(networks.build(SMALL, 32, 32, 4))))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    recipe = str(write_recipe(folder, TEXT + MORE, FILE=str(source), HASH=digest))
    data = make_garden(folder / "garden")
    with pytest.MonkeyPatch.context() as patch:
        # No network: golden vectors are made of noise then.
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("LOTOR_CACHE", str(folder / "cache"))
        first = train(recipe, data, steps=2, seed=6, out=folder / "a", test=True)
    return {"folder": folder, "recipe": recipe, "data": data, "a": first}


@pytest.mark.slow
@pytest.mark.train
def test_a_seed_decides_every_byte(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lotor.train.pipeline import train

    folder, recipe, data = (trained[name] for name in ("folder", "recipe", "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("LOTOR_CACHE", str(folder / "cache"))
    again = train(recipe, data, steps=2, seed=6, out=folder / "b")
    a, b = ((trained["folder"] / n / "tiny.tflite").read_bytes() for n in "ab")
    assert a == b
    assert trained["a"]["lineage"] == again["lineage"]
    # Nothing depends on whether test is measured.
    figures = dict(trained["a"]["metrics"])
    assert {figures.pop(name)["all"]["photos"] for name in ("test", "test_float")} == {16}
    assert figures == again["metrics"]
    assert trained["a"]["lineage"]["seed"] == 6
    assert trained["a"]["lineage"]["recipe"]["fit"]["steps"] == 2


@pytest.mark.train
def test_another_seed_trains_on_other_variants(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.fit import Photos

    photos = read_manifest(make_garden(tmp_path)).split("train")
    source = Photos(photos, read_recipe(write_recipe(tmp_path)))
    batches = [next(source.batches(np.random.default_rng(seed))) for seed in (1, 1, 2)]
    (one, labels), (same, _), (other, _) = batches
    assert one.shape == (8, 32, 32, 3)
    assert (one == same).all()
    assert (one != other).mean() > 0.5
    assert labels.shape == (8, 4)
    assert (labels.sum(axis=1) == 1).all()


@pytest.mark.train
def test_the_file_is_int8_and_takes_pixels_less_128(trained: dict[str, Any]) -> None:
    from lotor.frontend.tflite import read_model

    graph = read_model((trained["folder"] / "a" / "tiny.tflite").read_bytes(), "tiny")
    assert graph.inputs[0].shape == (1, 32, 32, 3)
    assert graph.inputs[0].dtype.value == graph.outputs[0].dtype.value == "int8"
    assert (graph.inputs[0].q.scale, graph.inputs[0].q.zero_point) == (1 / 128, 0)
    assert {op.kind for op in graph.ops} == {
        "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX",
    }  # fmt: skip


@pytest.mark.train
def test_its_evidence_is_written(trained: dict[str, Any]) -> None:
    folder = trained["folder"] / "a"
    lineage = json.loads((folder / "lineage.json").read_text())
    model = (folder / "tiny.tflite").read_bytes()
    assert lineage["model_sha256"] == hashlib.sha256(model).hexdigest()
    manifest = (trained["folder"] / "garden" / "manifest.csv").read_bytes()
    assert lineage["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert lineage["photos"] == {"train": 16, "val": 16, "test": 16}
    assert {"keras", "numpy"} <= set(lineage["packages"])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) >= {"thresholds", "val", "test", "test_float"}
    assert metrics["test"]["all"]["positives"] == 4
    assert (folder / "labels.txt").read_text().split()[2] == "other_animal"
    goldens = sorted((folder / "golden").glob("*.npz"))
    assert len(goldens) == 2
    for path in goldens:
        golden = np.load(path)
        scores, unlike = Oracle(folder / "tiny.tflite").run(golden["input"])
        assert (scores == golden["output"]).all()
        assert (unlike == golden["output_1"]).all()
        assert "BUILTIN_REF" in str(golden["oracle"])


@pytest.mark.train
def test_what_was_chosen_on_val_is_written_and_used(trained: dict[str, Any]) -> None:
    from lotor.classifier import HostClassifier
    from lotor.decision import LEAST_COST, read_chosen
    from lotor.detect import detect
    from lotor.train.pipeline import as_text
    from lotor.zoo import find_model

    folder = trained["folder"]
    said = as_text(trained["a"])
    assert "calibration error" in said
    assert said.count("without any alarm") == 2
    model = find_model(str(folder / "a" / "tiny.tflite"))
    metrics = json.loads((folder / "a" / "metrics.json").read_text())
    assert {"temperature", "used", "before", "after"} <= set(metrics["calibration"])
    assert set(metrics["thresholds_views"]) == {"1%", "5%"}
    assert metrics["decision"]["miss"] == 20
    for views, part in ((False, "full"), (True, "views")):
        found = read_chosen(model, views)
        assert found.alarm == metrics["decision"][part]["threshold"]
        assert set(found.thresholds) == {"1%", "5%", LEAST_COST}
    # 95 % of the 16 photographs of val are known: 15, or one more.
    assert metrics["ood"]["accepted"] >= 0.95
    val = [photo.path for photo in read_manifest(folder / "garden").split("val")]
    classifier = HostClassifier(model)
    images = detect(classifier, val, None, read_chosen(model), 0)
    assert sum(image["label"] == "unknown" for image in images) <= 1
    assert all(image["alarm"] in (True, False) for image in images)
    alarms = [image["scores"]["raccoon"] >= read_chosen(model).alarm for image in images]
    assert [image["alarm"] for image in images] == alarms
    assert all(image["ood"] >= 0 for image in images)


@pytest.mark.train
def test_mistakes_are_told_before_training(tmp_path: Path) -> None:
    from lotor.train.pipeline import train

    recipe = str(write_recipe(tmp_path))
    with pytest.raises(LotorError, match="with --data"):
        train(recipe)
    with pytest.raises(LotorError, match="did you mean 'raccoon'"):
        train("racoon")
    with pytest.raises(LotorError, match="at least 1 step"):
        train(recipe, steps=0)
    with pytest.raises(LotorError, match="cannot read the weights to start from"):
        train(recipe, make_garden(tmp_path / "garden"), out=tmp_path / "out")


@pytest.mark.parametrize("name", model_names())
def test_shipped_golden_vectors_are_the_models(name: str) -> None:
    folder = resource("models", name)
    model = folder / f"{name}.tflite"
    goldens = sorted((folder / "golden").glob("*.npz"))
    assert 1 <= len(goldens) <= 5
    oracle, host = Oracle(model), HostModel(compile_model(model))
    for path in goldens:
        golden = np.load(path)
        assert str(golden["model_sha256"]) == hashlib.sha256(model.read_bytes()).hexdigest()
        assert golden["input"].dtype == np.int8
        outputs = [golden[name] for name in golden.files if name.startswith("output")]
        assert {output.dtype.type for output in outputs} <= {np.int8, np.float32}
        for run in (oracle.run, host.run):
            for found, expected in zip(as_list(run(golden["input"])), outputs, strict=True):
                assert (found == expected).all()


NO_TENSORFLOW = """
import importlib, pathlib, pkgutil, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing either fails from now on
import lotor
for module in pkgutil.walk_packages(lotor.__path__, "lotor."):
    if not module.name.startswith(("lotor.train.", "lotor.__main__", "lotor._data")):
        importlib.import_module(module.name)
from lotor.errors import LotorError
from lotor.train.pipeline import train
try:
    train(sys.argv[1], pathlib.Path(sys.argv[2]), out=pathlib.Path(sys.argv[3]))
except LotorError as error:
    print(error)
"""


def test_only_training_needs_tensorflow(tmp_path: Path) -> None:
    arguments = [write_recipe(tmp_path), make_garden(tmp_path / "garden", 1), tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", NO_TENSORFLOW, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'lotor[train]'" in done.stdout
