"""Learning from a teacher: its soft labels, the loss, the batches, and the whole road."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from garden import make_garden
from lotor.data.manifest import read_manifest
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.train.recipe import Recipe, Teacher, read_recipe
from test_networks import SMALL, built, images
from test_train import TEXT, write_recipe

pytestmark = pytest.mark.train

LABELS = ["raccoon", "person", "other_animal", "background"]
TRANSFER = '[transfer]\nfile = "FILE"\nsha256 = "HASH"\n'
assert TRANSFER in TEXT


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One network as three teachers: with a softmax, without, and in Keras."""
    folder = tmp_path_factory.mktemp("teachers")
    model = built(SMALL["ds_cnn"], images(12))
    from lotor.train.export import to_float
    from lotor.train.fold import fold

    paths = {name: folder / f"teacher{name}" for name in ("_logits.tflite", ".tflite", ".keras")}
    paths["_logits.tflite"].write_bytes(to_float(fold(model, softmax=False)))
    paths[".tflite"].write_bytes(to_float(fold(model)))
    model.save(paths[".keras"])
    return {"model": model, "paths": list(paths.values())}


def teacher_of(path: Path, **more: Any) -> Teacher:
    return Teacher(str(path), digest(path), **more)


def test_a_teacher_says_its_softened_probabilities(teachers: dict[str, Any]) -> None:
    from lotor.train import distill

    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    logits = np.asarray(teachers["model"]((pixels.astype(np.float32) - 128) / 128))
    powers = np.exp(logits / 3)
    expected = powers / powers.sum(axis=1, keepdims=True)
    for path in teachers["paths"]:
        teacher = distill.Teacher(teacher_of(path, temperature=3.0), LABELS)
        assert (teacher.height, teacher.width) == (32, 32)
        found = teacher.soft_labels(pixels)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert np.ptp(found, axis=0).max() > 0.01  # pictures differ


def recipe_with(teacher: Teacher, folder: Path) -> Recipe:
    return replace(read_recipe(write_recipe(folder)), teacher=teacher)


def test_the_loss_is_that_of_the_paper(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    from lotor.train import distill

    rng = np.random.default_rng(0)
    logits, told = rng.normal(0, 2, (2, 6, 4)).astype(np.float32)
    hard = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 6)]
    smooth = read_recipe(write_recipe(tmp_path)).fit.smoothing

    def softmax(values: Any) -> Any:
        return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)

    for weight, heat in ((0.0, 2.0), (0.3, 2.0), (1.0, 4.0)):
        how = recipe_with(Teacher("", "", "same", weight, heat), tmp_path)
        soft = softmax(told / heat)
        labels = np.concatenate([hard, soft], axis=1)
        true = hard * (1 - smooth) + smooth / 4
        entropy = -(true * np.log(softmax(logits))).sum(axis=1).mean()
        divergence = (soft * np.log(soft / softmax(logits / heat))).sum(axis=1).mean()
        expected = (1 - weight) * entropy + weight * heat**2 * divergence
        found = distill.loss(how)(tf.constant(labels), tf.constant(logits))
        assert float(found) == pytest.approx(expected, rel=1e-4)
        if weight == 1:  # a student that says what the teacher says has nothing to learn
            assert float(distill.loss(how)(labels, told + 3)) == pytest.approx(0, abs=1e-5)


def test_a_teacher_of_other_labels_tells_a_second_classifier(
    teachers: dict[str, Any], tmp_path: Path
) -> None:
    """The loss is that of both classifiers, and training leaves a model with the first alone."""
    tf = pytest.importorskip("tensorflow")
    from lotor.train import convert, distill, fit, networks

    how = teacher_of(teachers["paths"][1], labels="own", temperature=1.0, weight=0.25)
    recipe = recipe_with(how, tmp_path)
    labels = recipe.labels[:3]  # which the teacher has not
    data = replace(
        recipe.data,
        classes={"raccoon": "raccoon", "person": "person"},
        share={label: 1.0 for label in labels},
    )
    recipe = replace(recipe, labels=labels, data=data, transfer=None)
    photos = fit.Photos(read_manifest(make_garden(tmp_path / "garden")).split("train"), recipe)
    rng = np.random.default_rng(1)
    inputs, wanted = next(photos.batches(rng))
    assert wanted.shape == (8, 3 + 4)
    assert next(photos.batches(rng, taught=False))[1].shape == (8, 3)

    model = networks.build(SMALL["ds_cnn"], 32, 32, 3)
    learner = distill.pupil(model, photos.teacher)
    logits = np.asarray(learner(inputs))
    np.testing.assert_allclose(logits[:, :3], np.asarray(model(inputs)), rtol=1e-4, atol=1e-5)
    own = np.log(np.exp(logits[:, 3:]) / np.exp(logits[:, 3:]).sum(axis=1, keepdims=True))
    divergence = (wanted[:, 3:] * (np.log(wanted[:, 3:]) - own)).sum(axis=1).mean()
    plain = distill.loss(replace(recipe, teacher=None))
    expected = 0.75 * float(plain(wanted[:, :3], logits[:, :3])) + 0.25 * divergence
    assert float(distill.loss(recipe)(tf.constant(wanted), logits)) == pytest.approx(
        expected, rel=1e-4
    )
    before = [np.array(v) for v in model.trainable_variables]
    fit.fit(model, photos, recipe, rng)
    after = [np.array(v) for v in model.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    integers, network = convert.quantized(model, photos, rng)
    assert network.shape(network.outputs[0]) == (3,)
    assert integers.network.outputs == network.outputs


def test_a_quantized_teacher_says_what_its_integers_stand_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.oracle import Oracle
    from lotor.train import distill

    path = resource("models", "raccoon", "raccoon.tflite")
    teacher = distill.Teacher(teacher_of(path, labels="own", temperature=1.0), ["a", "b"])
    count = len(path.with_name("labels.txt").read_text("utf-8").splitlines())
    assert (teacher.height, teacher.width, teacher.labels, teacher.own) == (96, 96, count, True)
    oracle = Oracle(path)
    for golden in sorted(path.parent.glob("golden/*.npz")):
        tensor = np.load(golden)["input"]
        pixels = (tensor.astype(np.int16) + 128).astype(np.uint8)
        scores, _ = oracle.run(tensor)  # the second output tells the unknown
        wanted = (scores[0].astype(np.float32) + 128) / 256
        np.testing.assert_allclose(teacher.soft_labels(pixels)[0], wanted, atol=0.08)


def test_integers_between_float_borders_are_asked_as_they_are() -> None:
    pytest.importorskip("tensorflow")
    from lotor.train import distill

    path = (
        resource("models").parent.parent / "shared/models/mit-han-lab+tinyengine/assets/vww.tflite"
    )
    if not path.is_file():
        pytest.skip("no shared/models")
    how = teacher_of(path, temperature=1.0, mean=127.5, std=127.5)
    teacher = distill.Teacher(how, ["not_person", "person"])
    people = np.load(resource("models", "raccoon", "golden", "person.npz"))["input"]
    pixels = (people.astype(np.int16) + 128).astype(np.uint8)
    image = cv2.resize(pixels[0], (80, 80), interpolation=cv2.INTER_AREA)
    (said,) = teacher.soft_labels(image[None])
    assert said[1] > 0.9
    assert said.sum() == pytest.approx(1)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_both_see_the_same_picture(teachers: dict[str, Any], tmp_path: Path, mixup: float) -> None:
    from lotor.train.fit import Photos

    recipe = recipe_with(teacher_of(teachers["paths"][0]), tmp_path)
    recipe = replace(
        recipe,
        input=replace(recipe.input, height=16, width=16),
        fit=replace(recipe.fit, mixup=mixup),
    )
    photos = Photos(read_manifest(make_garden(tmp_path / "garden")).split("train"), recipe)
    assert photos.teacher
    seen: list[Any] = []
    answer = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (8, 1))

    def soft_labels(pixels: Any) -> Any:
        seen.append(np.array(pixels))
        return answer

    photos.teacher.soft_labels = soft_labels  # type: ignore[method-assign]
    inputs, labels = next(photos.batches(np.random.default_rng(2)))
    assert seen[0].shape == (8, 32, 32, 3)
    assert inputs.shape == (8, 16, 16, 3)
    small = np.stack([cv2.resize(p, (16, 16), interpolation=cv2.INTER_AREA) for p in seen[0]])
    np.testing.assert_allclose(inputs * 128 + 128, small, atol=0.51)  # rounded to pixels
    assert labels.shape == (8, 8)
    np.testing.assert_array_equal(labels[:, 4:], answer)
    np.testing.assert_allclose(labels[:, :4].sum(axis=1), 1, rtol=1e-6)
    assert (labels[:, :4].max(axis=1) < 1).any() == bool(mixup)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('file = "t"', "sha256 missing"),
        ('file = "t"\nsha256 = ""\nweight = 1.5', "teacher.weight is 1.5; 0 to 1"),
        ('file = "t"\nsha256 = ""\nlabels = "other"', "teacher.labels is 'other'; 'same' or"),
        ('file = "t"\nsha256 = ""\ntemperature = 0', "teacher.temperature is 0; above 0"),
        ('file = "t"\nsha256 = ""\ntemprature = 1', "did you mean 'temperature'"),
    ],
)
def test_unsound_teachers_in_recipes(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(LotorError, match=says):
        read_recipe(write_recipe(tmp_path, f"{TEXT}[teacher]\n{table}\n"))


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ('kind = "mobilnet_v2"', r"did you mean 'mobilenet_v2'\?\) is none of mobilenet_v1"),
        ("width = 0", "network.width is 0; above 0"),
        ("dropout = 1.0", "network.dropout is 1"),
        ("stem_stride = 3", "network.stem_stride is 3"),
        ('kind = "mcunet"\ndepth = 2', "mcunet has one depth, 1"),
    ],
)
def test_unsound_networks_in_recipes(tmp_path: Path, network: str, says: str) -> None:
    with pytest.raises(LotorError, match=says):
        read_recipe(write_recipe(tmp_path, f"{TEXT}[network]\n{network}\n"))


def test_teachers_that_cannot_teach(teachers: dict[str, Any], tmp_path: Path) -> None:
    from lotor.train import distill

    path = teachers["paths"][1]
    with pytest.raises(LotorError, match="the recipe has 3 labels"):
        distill.Teacher(teacher_of(path), LABELS[:3])
    with pytest.raises(LotorError, match="SHA-256 differs"):
        distill.Teacher(Teacher(str(path), "0" * 64), LABELS)
    with pytest.raises(LotorError, match=r"cannot read the teacher.*under \[teacher\]"):
        distill.Teacher(Teacher(str(tmp_path / "absent.tflite"), ""), LABELS)
    other = tmp_path / "teacher.tflite"
    other.write_bytes(path.read_bytes())
    (tmp_path / "labels.txt").write_text("\n".join(LABELS[::-1]))
    with pytest.raises(LotorError, match="has the labels background"):
        distill.Teacher(teacher_of(other), LABELS)
    noise = tmp_path / "noise.tflite"
    noise.write_bytes(b"noise")
    with pytest.raises(LotorError, match="noise"):
        distill.Teacher(teacher_of(noise), LABELS)


@pytest.mark.slow
def test_from_teacher_to_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher from scratch, in float and larger; a student of another family from it."""
    pytest.importorskip("tensorflow")
    from lotor.train.pipeline import train

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    data = make_garden(tmp_path / "garden", 2)
    text = TEXT.replace(TRANSFER, "").replace("[quantize]", "[network]\nNETWORK\n[quantize]\nMORE")
    text = text.replace("correct_bias = true", "").replace("samples = 12", "samples = 4")
    network = 'kind = "ds_cnn"\nwidth = 0.25\ndepth = 0.25'
    (tmp_path / "large").mkdir()
    large = text.replace("= 32", "= 48")
    recipe = write_recipe(tmp_path / "large", large, NETWORK=network, MORE="int8 = false")
    with pytest.raises(LotorError, match=r"tiny stays in float, .*: leave out --test"):
        train(str(recipe), data, steps=1, test=True)
    result = train(str(recipe), data, steps=1)
    out = recipe.parent
    teacher = out / "tiny_float.tflite"
    assert not (out / "tiny.tflite").exists()
    assert set(result["metrics"]) == {"thresholds", "val"}
    assert result["lineage"]["model_sha256"] == digest(teacher)
    assert result["lineage"]["source_weights_sha256"] is None

    (tmp_path / "small").mkdir()
    table = f'[teacher]\nfile = "{teacher}"\nsha256 = "{digest(teacher)}"\n'
    recipe = write_recipe(tmp_path / "small", text + table, NETWORK=network, MORE="")
    result = train(str(recipe), data, steps=2, test=True)
    assert (recipe.parent / "tiny.tflite").is_file()
    assert result["lineage"]["teacher_sha256"] == digest(teacher)
    assert set(result["metrics"]) >= {"thresholds", "val", "test", "test_float"}
