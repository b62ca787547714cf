"""Weights from files of others: what the backbone then computes is what the file computes."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.oracle import Oracle
from lotor.resources import resource
from lotor.train.recipe import Network, Transfer, read_recipe
from test_networks import LABELS, SIZE, SMALL, built, images

pytestmark = pytest.mark.train

SHARED = Path(__file__).resolve().parents[2] / "shared" / "models"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pooled(model: Any, inputs: Any) -> Any:
    import keras

    return np.asarray(keras.Model(model.input, model.get_layer("pool").output)(inputs))


def started(how: Network, source: Path, inputs: Any) -> Any:
    """A new network with a file's weights."""
    from lotor.train import networks, transfer

    height, width = inputs.shape[1:3]
    model = networks.build(how, height, width, LABELS)
    transfer.transfer(model, transfer.read_weights(source, digest(source)), inputs)
    return model


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize(
    ("kind", "suffix", "stem"),
    [
        ("ds_cnn", "_int8.tflite", 2),
        ("ds_cnn", ".h5", 1),
        ("resnet8", ".tflite", 2),  # whose shortcuts have convolutions
        ("resnet8", ".keras", 2),
        ("mobilenet_v2", ".tflite", 1),
    ],
)
def test_a_file_of_ours_is_read_back(kind: str, suffix: str, stem: int, tmp_path: Path) -> None:
    inputs, how = images(12), replace(SMALL[kind], stem_stride=stem)
    donor = built(how, inputs)
    from lotor.train.calibrate import ranges, watch
    from lotor.train.export import plan, to_float, to_int8
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    source = tmp_path / f"donor{suffix}"
    if source.suffix == ".tflite":
        network = fold(donor)
        if "int8" in suffix:
            seen = watch(network, FloatNetwork(network), [inputs])
            source.write_bytes(to_int8(network, plan(network, ranges(network, seen))))
        else:
            source.write_bytes(to_float(network))
    else:
        donor.save(source)
    model = started(how, source, inputs)
    found, expected = pooled(model, inputs), pooled(donor, inputs)
    if "int8" in suffix:
        assert 0.999 < cosine(found, expected) < 1
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    # Normalisation is back: in training, every layer sees what it has statistics of.
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.momentum = 0.0
    before = [layer.get_weights()[2:] for layer in model.layers if layer.name.endswith("_bn")]
    model(inputs, training=True)
    after = [layer.get_weights()[2:] for layer in model.layers if layer.name.endswith("_bn")]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(old[0], new[0], rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(old[1], new[1], rtol=5e-2, atol=1e-2)


@pytest.mark.parametrize("suffix", [".tflite", "_int8.tflite", ".keras"])
def test_a_classifier_of_the_same_labels(suffix: str, tmp_path: Path) -> None:
    inputs, how = images(12), SMALL["ds_cnn"]
    donor = built(how, inputs)
    from lotor.train import networks, transfer
    from lotor.train.calibrate import ranges, watch
    from lotor.train.export import plan, to_float, to_int8
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    source, network = tmp_path / f"donor{suffix}", fold(donor)
    if suffix == ".keras":
        donor.save(source)
    elif suffix == ".tflite":
        source.write_bytes(to_float(network))
    else:
        seen = watch(network, FloatNetwork(network), [inputs])
        source.write_bytes(to_int8(network, plan(network, ranges(network, seen))))
    recipe = read_recipe(resource("models", "raccoon", "recipe.toml"))
    recipe = replace(recipe, transfer=Transfer(str(source), digest(source), classifier=True))
    model = networks.build(how, SIZE, SIZE, LABELS)
    transfer.start_classifier(model, recipe)
    found, expected = (m.get_layer("logits").get_weights() for m in (model, donor))
    step = np.abs(expected[0]).max() / 127 if "int8" in suffix else 1e-6
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=step)
    other = networks.build(how, SIZE, SIZE, LABELS + 1)
    with pytest.raises(LotorError, match=r"transfer.classifier: .* leave it out"):
        transfer.start_classifier(other, recipe)
    unasked = replace(recipe, transfer=Transfer(str(source), digest(source)))
    before = other.get_layer("logits").get_weights()[0].copy()
    transfer.start_classifier(other, unasked)
    np.testing.assert_array_equal(other.get_layer("logits").get_weights()[0], before)


@pytest.mark.parametrize("centred", [False, True])
def test_a_filter_folded_with_an_enlargement(centred: bool) -> None:
    """With either padding: of stride 1 on an image, what one of stride 2 gives on a larger one."""
    tf = pytest.importorskip("tensorflow")
    import cv2

    from lotor.train.transfer import _of_enlarged

    rng = np.random.default_rng(0)
    image, weights = (rng.normal(0, 1, n).astype(np.float32) for n in ((10, 10, 3), (3, 3, 3, 2)))
    large = cv2.resize(image, (20, 20), interpolation=cv2.INTER_LINEAR)
    before, after = (1, 1) if centred else (0, 1)
    wide = [[0, 0], [before, after], [before, after], [0, 0]]
    expected = tf.nn.conv2d(large[None], weights, 2, wide)
    found = tf.nn.conv2d(image[None], _of_enlarged(weights, centred), 1, "SAME")
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)


def test_uint8_weights_stand_for_real_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.frontend.write import NewOperator, NewSubgraph, NewTensor, write_model
    from lotor.train.transfer import read_weights

    raw = np.arange(18, dtype=np.uint8).reshape(2, 3, 3, 1)
    tensors = [
        NewTensor("x", (1, 8, 8, 1), "uint8", (0.5,), 128),
        NewTensor("w", raw.shape, "uint8", (0.25,), 4, data=raw),
        NewTensor("b", (2,), "int32", (0.125,), data=np.array([8, -8], np.int32)),
        NewTensor("y", (1, 6, 6, 2), "uint8", (0.5,), 128),
    ]
    options = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1, "Padding": 1})
    graph = NewSubgraph(tensors, [NewOperator("CONV_2D", (0, 1, 2), (3,), options, 1)], [0], [3])
    source = tmp_path / "old.tflite"
    source.write_bytes(write_model([graph], "old"))
    ((weights, bias, _),) = read_weights(source, digest(source))
    np.testing.assert_array_equal(weights, (raw.astype(np.float32) - 4).transpose(1, 2, 3, 0) / 4)
    np.testing.assert_array_equal(bias, [1, -1])


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    inputs = images(2)
    donor = built(SMALL["ds_cnn"], inputs)
    from lotor.train.export import to_float
    from lotor.train.fold import fold
    from lotor.train.transfer import read_weights

    source = tmp_path / "donor.tflite"
    source.write_bytes(to_float(fold(donor)))
    with pytest.raises(LotorError, match="another kind or depth"):
        started(SMALL["resnet8"], source, inputs)
    with pytest.raises(LotorError, match=r"check \[network\] width"):
        started(Network("ds_cnn", 0.5, 0.5), source, inputs)
    for name, content in (("w.tflite", b"no model at all"), ("w.keras", b"PK"), ("w.h5", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LotorError, match=r"is no (\.tflite|Keras model)"):
            read_weights(tmp_path / name, hashlib.sha256(content).hexdigest())
    with pytest.raises(LotorError, match=r"under \[transfer\] in the recipe"):
        read_weights(tmp_path / "absent.tflite", "")


V1_QUARTER = (
    "tensorflow+tflite-support/tensorflow_lite_support/cc/test/testdata/task/vision/"
    "mobilenet_v1_0.25_224_1_default_1.tflite"
)
V2_SMALL = (
    "tensorflow+examples/tensorflow_examples/lite/model_maker/core/data_util/testdata/"
    "mobilenet_v2_035_96_embedder_with_metadata.tflite"
)
CORAL = "google-coral+test_data/"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "kind", "width", "least"),
    [
        (V1_QUARTER, "mobilenet_v1", 0.25, 0.999),
        (f"{CORAL}mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v1", 0.25, 0.95),
        (f"{CORAL}mobilenet_v1_0.5_160_quant.tflite", "mobilenet_v1", 0.5, 0.95),
        (f"{CORAL}mobilenet_v1_0.75_192_quant.tflite", "mobilenet_v1", 0.75, 0.95),
        ("mlcommons+tiny/benchmark/training/visual_wake_words/trained_models/vww_96_float.tflite",
         "mobilenet_v1", 0.25, 0.99),  # it has ReLU where ours has ReLU6
        (V2_SMALL, "mobilenet_v2", 0.35, 0.999),
        (f"{CORAL}mobilenet_v2_1.0_224_quant.tflite", "mobilenet_v2", 1.0, 0.95),
        (f"{CORAL}tf2_mobilenet_v2_1.0_224_ptq.tflite", "mobilenet_v2", 1.0, 0.95),
        ("mit-han-lab+tinyengine/assets/vww.tflite", "mcunet", 1.0, 0.95),
        ("mlcommons+tiny/benchmark/training/image_classification/trained_models/"
         "pretrainedResnet.tflite", "resnet8", 1.0, 0.999),
    ],
)  # fmt: skip
def test_published_weights_fit(file: str, kind: str, width: float, least: float) -> None:
    """The features in front of the classifier, on a smooth picture."""
    pytest.importorskip("tensorflow")
    source = SHARED / file
    if not source.is_file():
        pytest.skip("no ../shared/models")
    found = published_cosine(source, kind, width)
    print(f"\n| `{source.name}` | {kind} | {width:g} | {found:.4f} |")
    assert found > least


def published_cosine(source: Path, kind: str, width: float) -> float:
    import cv2

    stem = 1 if kind == "resnet8" else 2  # as published
    oracle = Oracle(source)
    (detail,) = oracle._interpreter.get_input_details()
    side = int(detail["shape"][1])
    rng = np.random.default_rng(0)
    grid = rng.integers(0, 256, (7, 7, 3), np.uint8)
    pixels = np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    scale = 255.0 if kind == "resnet8" or "vww_96" in source.name else 127.5
    real = pixels / np.float32(scale)
    if scale == 127.5:
        real = real - np.float32(1)
    if kind == "resnet8":
        real = pixels.astype(np.float32)
    said = real
    if detail["dtype"] is np.uint8:
        size, zero = detail["quantization"]
        said = np.clip(np.rint(real / size) + zero, 0, 255).astype(np.uint8)
    elif source.name == Path(V2_SMALL).name:  # which has (p - 127.5) / 127.5 inside
        said = (real + 1) / 2
    oracle.run(said.astype(detail["dtype"])[None])
    features = _features(oracle)
    model = started(Network(kind, width, stem_stride=stem), source, real.astype(np.float32)[None])
    return cosine(pooled(model, real.astype(np.float32)[None])[0], features)


def _features(oracle: Oracle) -> Any:
    """What the file pools in front of its classifier, as real numbers."""
    interpreter = oracle._interpreter
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    for op in interpreter._get_ops_details():
        if op["op_name"] in ("AVERAGE_POOL_2D", "MEAN"):
            index = op["outputs"][0]
    size, zero = details[index]["quantization"]
    value = oracle.tensor(index).astype(np.float64).reshape(-1)
    return (value - zero) * size if size else value
