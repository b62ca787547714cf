"""Detectors: anchors, what they should say, average precision, integers that are the same bits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import Lotor
from garden import make_garden, write_manifest
from lotor.box_evaluate import as_lines, assign, boxes_precision, by_label
from lotor.boxes import Found, boxes_of, overlap
from lotor.classifier import HostClassifier, classify
from lotor.data.manifest import Box, Photo, read_manifest
from lotor.device import emulator
from lotor.errors import LotorError
from lotor.evaluate import evaluate
from lotor.graph import DType, Quantization, Tensor
from lotor.locate import ask
from lotor.preprocess import image_input, read_image
from lotor.resources import resource
from lotor.train.anchors import STEP, corners, decode, encode, grid_anchors, match, overlaps
from lotor.train.recipe import Network, Recipe, read_recipe
from lotor.zoo import find_model

pytestmark = pytest.mark.xdist_group("ssd")  # one training for all

TEXT = """
name = "tiny"
task = "detect"
target = "raccoon"
labels = ["cat", "background", "raccoon"]
[input]
height = 32
width = 32
mean = 128.0
std = 128.0
[data]
folder = "nowhere"
other = "background"
[data.classes]
raccoon = "raccoon"
cat = "cat"
[data.share]
raccoon = 0.4
cat = 0.3
background = 0.3
[network]
kind = "ds_cnn"
width = 0.25
[detect]
strides = [4, 8]
scales = [0.3, 0.6]
ratios = [1.0, 2.0]
most = 5
[fit]
steps = 3
batch = 8
head_steps = 0
[quantize]
samples = 12
steps = 1
"""


def recipe_of(folder: Path, old: str = "", new: str = "") -> Recipe:
    assert old in TEXT
    (folder / "recipe.toml").write_text(TEXT.replace(old, new, 1))
    return read_recipe(folder / "recipe.toml")


def test_anchors_are_where_their_cells_are() -> None:
    found = grid_anchors([(2, 4), (1, 1)], [0.2, 0.8], [1.0, 4.0])
    assert found.shape == ((8 + 1) * 3, 4)
    assert found.dtype == np.float32
    steps = found / np.float32(STEP)  # what uint8 holds
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    # y, x, height, width; a square, one four times as wide as high, the geometric mean's square.
    assert found[0] == pytest.approx((0.25, 0.125, 0.2, 0.2), abs=STEP)
    assert found[1] == pytest.approx((0.25, 0.125, 0.1, 0.4), abs=STEP)
    assert found[2] == pytest.approx((0.25, 0.125, 0.4, 0.4), abs=STEP)
    assert found[3] == pytest.approx((0.25, 0.375, 0.2, 0.2), abs=STEP)  # then along the row
    assert found[23] == pytest.approx((0.75, 0.875, 0.4, 0.4), abs=STEP)
    assert found[25] == pytest.approx((0.5, 0.5, 0.4, 1.0), abs=STEP)  # 1.6, cut to the input's
    assert found[26] == pytest.approx((0.5, 0.5, 0.8**0.5, 0.8**0.5), abs=STEP)


def test_boxes_are_encoded_as_the_last_layer_decodes_them() -> None:
    anchor = np.array([[0.5, 0.4, 0.2, 0.1]], np.float32)
    box = np.array([[0.4, 0.35, 0.8, 0.45]])  # its middle half an anchor lower, twice as high
    (said,) = encode(box, anchor)
    assert said == pytest.approx((5.0, 0.0, 5 * np.log(2), 0.0), abs=1e-5)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.7, (50, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.3, (50, 2))], axis=1)
    anchors = rng.uniform(0.1, 0.9, (50, 4)).astype(np.float32)
    np.testing.assert_allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-9)
    assert corners(anchor)[0] == pytest.approx((0.4, 0.35, 0.6, 0.45), abs=1e-6)


def test_overlaps_are_shares_of_both() -> None:
    a = np.array([[0, 0, 0.2, 0.2], [0.5, 0.5, 0.6, 0.6]])
    b = np.array([[0, 0, 0.2, 0.1], [0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.6, 0.6]])
    np.testing.assert_allclose(overlaps(a, b), np.array([[0.5, 1 / 7, 0], [0, 0, 1]]), atol=1e-12)
    assert overlap((0, 0, 20, 20), Box(0, 0, 20, 10)) == 0.5
    assert overlap((0, 0, 20, 20), (10, 10, 30, 30)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 20, 20), (20, 0, 30, 30)) == 0


def test_every_box_has_an_anchor() -> None:
    shared = np.array([[0.6, 0.1], [0.45, 0.2], [0.3, 0.3], [0.7, 0.0], [0.0, 0.1]])
    chosen, background = match(shared, 0.5, 0.4)
    # The second box reaches no threshold anywhere, and has its best one all the same.
    assert chosen.tolist() == [0, -1, 1, 0, -1]
    assert background.tolist() == [False, False, False, False, True]
    # Two boxes want the last one: the later one takes the next best.
    chosen, _ = match(np.array([[0.1, 0.2], [0.3, 0.3]]), 0.5, 0.4)
    assert chosen.tolist() == [1, 0]
    chosen, background = match(np.zeros((3, 0)), 0.5, 0.4)
    assert chosen.tolist() == [-1, -1, -1]
    assert background.all()


def test_precision_is_that_of_pascal_voc() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, False, True, True, False])
    # Precisions 1, 1/2, 2/3, 3/4 at recalls 1/4, 1/4, 2/4, 3/4: raised to 1, 3/4, 3/4.
    expected = 0.25 * (1 + 0.75 + 0.75)
    assert boxes_precision(scores, right, 4) == pytest.approx(expected)
    assert boxes_precision(scores[::-1], right[::-1], 4) == pytest.approx(expected)
    # Equal scores, in whatever order, count together.
    for order in ([0, 1], [1, 0]):
        flags = np.array([True, False])[order]
        assert boxes_precision(np.array([0.5, 0.5]), flags, 1) == 0.5
    assert boxes_precision(np.zeros(0), np.zeros(0, bool), 3) == 0
    assert np.isnan(boxes_precision(scores, right, 0))


def found(score: float, *box: int, label: str = "raccoon") -> Found:
    return Found(label, score, (box[0], box[1], box[2], box[3]))


def test_a_box_is_found_once() -> None:
    boxes = [Box(0, 0, 20, 20), Box(10, 0, 30, 20)]
    said = [found(0.9, 0, 0, 20, 19), found(0.8, 0, 0, 20, 20), found(0.7, 12, 0, 30, 20),
            found(0.6, 0, 0, 9, 20)]  # fmt: skip
    assert assign(said, boxes) == [True, False, True, False]
    assert assign(said, []) == [False] * 4
    photos = [
        Photo(Path(f"{n}.png"), kind, "val", f"g{n}", 400, tuple(boxes))
        for n, (kind, boxes) in enumerate(
            [("raccoon", [Box(0, 0, 20, 20, "raccoon")]), ("raccoon", []), ("cat", [])]
        )
    ]
    every = [[found(0.9, 0, 0, 20, 20)], [found(0.95, 0, 0, 9, 9)], []]
    figures = by_label(photos, every, ["cat", "raccoon"], lambda kind: kind)
    # What is on the second one, nobody knows; no cat has a box.
    assert figures["labels"] == {
        "raccoon": {"boxes": 1, "average_precision": 1, "average_precision_95": [1, 1], "recall": 1}
    }
    assert figures["mean_average_precision"] == 1
    every[2] = [found(0.95, 0, 0, 5, 5)]
    assert by_label(photos, every, ["raccoon"], str)["mean_average_precision"] == 0.5
    assert "raccoon: 1.000 [1.000, 1.000], 1 boxes" in "\n".join(as_lines(figures))


def test_boxes_are_in_pixels_of_the_photograph() -> None:
    quant = Quantization(np.array([1 / 128], np.float32), np.array([0]))
    tensor = Tensor("image", (1, 32, 32, 3), DType.INT8, quant)
    row = np.zeros((1, 3 * 6 + 1), np.float32)
    row[0, :12] = (0.25, 0.5, 0.5, 1.0, -0.2, -0.1, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5)
    row[0, 12:15], row[0, 15:18], row[0, 18] = (1, 0, 1), (0.5, 0.75, 0.25), 3
    for aspect, boxes in (
        ("stretch", [(0, 0, 20, 10), (40, 10, 80, 20)]),  # without area: the third
        ("pad", [(0, 0, 20, 0), (40, 0, 80, 20)]),
    ):
        shape = image_input(tensor, {"input": {"mean": 128, "std": 128, "aspect": aspect}})
        classifier: Any = SimpleNamespace(labels=["cat", "background", "raccoon"], input=shape)
        classifier.infer = lambda tensor: row
        said = boxes_of(classifier, {"detect": {}})(np.zeros((40, 80, 3), np.uint8))
        wanted = [("cat", 0.75, boxes[0]), ("raccoon", 0.5, boxes[1])]
        wanted = [each for each in wanted if each[2][1] < each[2][3]]
        assert [(one.label, one.score, one.box) for one in said] == wanted
    row[0, 18] = 1  # the others count for nothing
    assert len(boxes_of(classifier, {"detect": {}})(np.zeros((40, 80, 3), np.uint8))) == 1


def test_the_recipe_that_ships_is_sound() -> None:
    recipe = read_recipe(resource("models", "raccoon-boxes", "recipe.toml"))
    assert recipe.task == "detect"
    assert recipe.pasting is recipe.detect


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("most = 5", "mots = 5", r"unknown key 'mots' \(did you mean 'most'"),
        ("strides = [4, 8]", "strides = [8, 4]", r"strides \[8, 4\] must rise"),
        (
            "strides = [4, 8]",
            "strides = [8, 24]",
            "32x32 pixels are no whole number of cells of 24",
        ),
        ("strides = [4, 8]", "strides = [8.5, 16]", "strides must be a list of whole numbers"),
        ("scales = [0.3, 0.6]", "scales = [0.3]", "scales has 1 numbers; one is needed for each"),
        ("scales = [0.3, 0.6]", "scales = [0.6, 0.3]", "must rise"),
        ("scales = [0.3, 0.6]", "scales = [0.0, 0.3]", "it must be above 0, at most 1"),
        ("ratios = [1.0, 2.0]", "ratios = []", "ratios .* must each lie in 0.1..10"),
        ("ratios = [1.0, 2.0]", "ratios = [-1.0]", "ratios .* must each lie in 0.1..10"),
        ("most = 5", "most = 0", "needs most from 1"),
        ("most = 5", "matched = 0.3", "detect.unmatched 0.4 is above 0.3, matched"),
        ("most = 5", "overlap = 1.5", "detect.overlap is 1.5"),
        ("most = 5", "smallest = 0.5", "detect.smallest 0.5 is above 0.3, largest"),
        ("most = 5", "paste = 1.5", "detect.paste is 1.5; it must lie in 0..1"),
        ("most = 5", 'background = "backgruond"', r"did you mean 'background'"),
        ("samples = 12", "samples = 12\nactivations = 16\n[ood]\ndirections = 0", "steps"),
        ("steps = 1", "activations = 16", "takes 8 bits"),
        ("samples = 12", "int8 = false", "a detector is measured as integers"),
        ("steps = 3", "steps = 3\nmixup = 0.2", "a detector is trained without"),
        ('target = "raccoon"', 'target = "background"', "the target must be a label beside"),
        ('"detect"', '"detct"', r"task 'detct' \(did you mean 'detect'"),
    ],
)
def test_unsound_recipes(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(LotorError, match=says):
        recipe_of(tmp_path, old, new)


def test_loss_of_boxes_and_labels() -> None:
    tf = pytest.importorskip("tensorflow")
    from lotor.train.box_loss import box_loss

    # Two anchors, two labels: the first one has a box, the second's second label does not matter.
    targets = np.array([[[1, 2, 3, 4, 1, 0, 1, 1, 1], [9, 9, 9, 9, 0, 0, 0, 1, 0]]], np.float32)
    p = np.array([[0.2, 0.7], [0.4, 0.9]])
    raw = np.zeros((1, 2, 6), np.float32)
    raw[0, :, 4:] = np.log(p / (1 - p))
    raw[0, 0, :4] = (1, 2.5, 5, 4)
    focal = (
        0.75 * 0.2**2 * -np.log(0.8) + 0.25 * 0.3**2 * -np.log(0.7) + 0.75 * 0.4**2 * -np.log(0.6)
    )
    smooth = 0.5 * 0.5**2 + (2 - 0.5)
    loss = box_loss(2.0, 0.25, 2.0)
    assert float(loss(tf.constant(targets), raw)) == pytest.approx(focal + 2 * smooth, rel=1e-5)
    both = np.concatenate([targets, targets]), np.concatenate([raw, raw])
    assert float(loss(*map(tf.constant, both))) == pytest.approx(focal + 2 * smooth, rel=1e-5)
    targets[0, 0, 4] = 0  # nothing to find is no division by nothing
    assert float(loss(tf.constant(targets), raw)) == pytest.approx(focal, rel=1e-5)


@pytest.mark.train
def test_anchors_say_what_is_in_a_box(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.boxes import Boxed, anchors_of

    recipe = recipe_of(tmp_path)
    photos = read_manifest(make_garden(tmp_path / "garden")).split("train")
    source, anchors = Boxed(photos, recipe), anchors_of(recipe)
    assert len(anchors) == (64 + 16) * 3
    cat, background, raccoon = range(3)
    # In the middle of the third row's third cell, hardly smaller than its first anchor.
    one = (5.5, 5.5, 14.5, 14.5, 1.0)
    marked = source.targets([one], [raccoon], [background])
    at = (2 * 8 + 2) * 3
    assert marked.shape == (240, 5 + 2 * 2)
    smaller = 5 * np.log(9 / 32 / 0.3)
    wanted = (0, 0, smaller, smaller, 1, 0, 1, 1, 1)
    assert marked[at] == pytest.approx(wanted, abs=0.05)
    has = marked[:, 4] == 1
    boxes = decode(marked[has, :4].astype(np.float64), anchors[has]) * 32
    np.testing.assert_allclose(boxes, [[5.5, 5.5, 14.5, 14.5]] * has.sum(), atol=1e-4)
    assert (marked[~has, 5:7] == 0).all()
    shared = overlaps(corners(anchors), np.array([one[:4]]) / 32)[:, 0]
    doubtful = (shared >= 0.4) & (shared < 0.5)
    assert doubtful.any()
    assert (marked[doubtful & ~has, 7:] == 0).all()
    # Elsewhere there may be cats; what has left the frame, and what has no label, tells little.
    marked = source.targets([one], [raccoon], [cat, background])
    assert marked[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert source.targets([(*one[:4], 0.1)], [raccoon], [background])[at, 7:].tolist() == [0, 0]
    marked = source.targets([one], [-1], [background])
    assert marked[at].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert marked[0, 7:].tolist() == [1, 1]
    nothing = source.targets([], [], [background])
    assert (nothing == np.array([0] * 7 + [1, 1])).all()


@pytest.mark.train
def test_pasting_is_shared_with_heat_maps(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.boxes import Boxed, anchors_of

    recipe = recipe_of(tmp_path, "most = 5", "paste = 1.0\nlargest = 0.05")
    recipe = replace(recipe, augment=replace(recipe.augment, full=1.0, rotate=0.0))
    photos = read_manifest(make_garden(tmp_path / "garden")).split("train")
    source = Boxed(photos, recipe)
    inputs, targets = next(source.batches(np.random.default_rng(1)))
    again, same = next(Boxed(photos, recipe).batches(np.random.default_rng(1)))
    assert inputs.shape == (8, 32, 32, 3)
    assert targets.shape == (8, 240, 9)
    assert (inputs == again).all()
    assert (targets == same).all()
    anchors, seen = anchors_of(recipe), 0
    for marked in targets:
        has = marked[:, 4] == 1
        for top, left, bottom, right in decode(marked[has, :4].astype(np.float64), anchors[has]):
            assert (bottom - top) * (right - left) == pytest.approx(0.04, abs=0.02)
            seen += 1
    assert seen


@pytest.mark.train
def test_labels_without_boxes_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.pipeline import train

    recipe_of(tmp_path)
    data = make_garden(tmp_path / "garden")
    rows = [
        [photo.path.relative_to(data).as_posix(), photo.kind, photo.split, photo.group, "400", box]
        for photo in read_manifest(data).photos
        for box in [";".join(f"{b.kind}:{b.x0},{b.y0},{b.x1},{b.y1}" for b in photo.boxes)]
    ]
    for kind, says in (
        ("cat", "no photograph to train on has a box of cat: add boxes"),
        ("raccoon", "no photograph of raccoon to train on has a box around it"),
    ):
        left = [[*row[:5], "" if row[1] == kind else row[5], "made up"] for row in rows]
        write_manifest(data, left)
        with pytest.raises(LotorError, match=says):
            train(str(tmp_path / "recipe.toml"), data, out=tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())


def network(kind: str, side: int = 64, **how: Any) -> Any:
    pytest.importorskip("tensorflow")
    from lotor.train import networks

    return networks.build(Network(kind, 0.25, **how), side, side, 4)


@pytest.mark.train
@pytest.mark.parametrize(
    ("kind", "strides", "channels"),
    [
        ("mobilenet_v1", [8, 16, 32], [64, 128, 256]),
        ("mobilenet_v2", [8, 16, 32], [48, 144, 1280]),  # expansions of the blocks that halve
        ("mcunet", [16, 32], [80, 40]),
        ("ds_cnn", [8], [16]),
        ("resnet8", [4, 8], [8, 16]),
    ],
)
def test_heads_stand_on_maps_of_every_family(
    kind: str, strides: list[int], channels: list[int]
) -> None:
    classifier = network(kind)
    from lotor.train.networks import ssd_lite

    model = ssd_lite.detector(classifier, 2, strides, 3)
    assert model.output_shape == (None, 3 * sum((64 // s) ** 2 for s in strides), 6)
    inputs = [model.get_layer(f"ssd{s}_boxes_depthwise").input.shape for s in strides]
    assert [shape[1] for shape in inputs] == [64 // s for s in strides]
    assert [shape[3] for shape in inputs] == channels
    kept = {layer.name: layer for layer in model.layers}
    backbone = [layer for layer in classifier.layers if layer.name in kept][1:-1]
    assert len(backbone) > 8
    assert all(kept[layer.name] is layer for layer in backbone if layer.name != "logits")
    # Before anything is learned, nothing is seen.
    scores = 1 / (1 + np.exp(-np.asarray(model(np.zeros((1, 64, 64, 3), np.float32)))[..., 4:]))
    np.testing.assert_allclose(scores, 0.01, atol=0.005)


@pytest.mark.train
def test_maps_that_are_not_there_are_told() -> None:
    classifier = network("resnet8")
    from lotor.train.networks import ssd_lite

    with pytest.raises(LotorError, match=r"strides has 32, but the cells .* are 2, 4, 8 pixels"):
        ssd_lite.detector(classifier, 2, [8, 32], 3)


def trained_a_little(recipe: Recipe, images: Any) -> Any:
    """A detector whose normalisations and scores have something to do."""
    import keras

    from lotor.train import networks
    from lotor.train.boxes import detector_of

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    classifier = networks.build(recipe.network, 32, 32, 3)
    model = detector_of(classifier, recipe)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.7, 1.4, layer.gamma.shape))
            layer.beta.assign(rng.normal(0.2, 0.3, layer.beta.shape))
        if layer.name.endswith("_labels"):
            weights, bias = layer.get_weights()
            layer.set_weights([weights * 8, bias + 4])
    model(images, training=True)
    return model


@pytest.mark.train
def test_a_detector_is_the_same_on_every_road(tmp_path: Path) -> None:
    """Integers that train, LiteRT and the generated C: raw numbers, and final boxes."""
    pytest.importorskip("tensorflow")
    from lotor.host import load
    from lotor.oracle import Oracle
    from lotor.train.boxes import ending_of
    from lotor.train.calibrate import ranges, watch
    from lotor.train.export import plan, to_float, to_int8
    from lotor.train.fold import fold
    from lotor.train.networks.ssd_lite import ends
    from lotor.train.qat import QuantizedModel
    from lotor.train.run import FloatNetwork

    recipe = recipe_of(tmp_path)
    rng = np.random.default_rng(0)
    images = (rng.integers(-128, 128, (6, 32, 32, 3)) / 128).astype(np.float32)
    model = trained_a_little(recipe, images)
    folded = fold(ends(model))
    run = FloatNetwork(folded)
    seen = run(images)
    both = np.concatenate([seen[name] for name in folded.heads], axis=-1)
    np.testing.assert_allclose(both, np.asarray(model(images)), rtol=1e-3, atol=1e-3)
    limits = ranges(folded, watch(folded, run, [images]), "min-max", (-1.0, 127 / 128))
    planned = plan(folded, limits)
    integers = QuantizedModel(folded, planned)
    trained = np.asarray(integers(images))
    ending = ending_of(recipe)
    whole, open_, real = (tmp_path / f"{name}.tflite" for name in ("whole", "open", "real"))
    whole.write_bytes(to_int8(integers.network, planned, ending))
    open_.write_bytes(to_int8(integers.network, planned))
    real.write_bytes(to_float(folded, ending))
    oracle, raw, host, floats = Oracle(whole), Oracle(open_), load(whole), Oracle(real)
    said = set()
    for image, expected in zip(images, trained, strict=True):
        tensor = planned.tensors[folded.input].quantize(image[None])
        boxes, _ = raw.run(tensor)
        steps = planned.tensors[folded.heads[0]].real(boxes)
        assert (steps[0] == expected[:, :4].astype(np.float32)).all()
        wanted, of_c = oracle.run(tensor), host.run(tensor)
        for one, other in zip(wanted, of_c, strict=True):
            assert one.dtype == np.float32
            assert one.tobytes() == other.tobytes()
        # The best box is that of the best score, decoded, whatever else is put out.
        encoded, logits = expected[:, :4].astype(np.float64), expected[:, 4:]
        best = decode(encoded, ending.anchors)[np.unravel_index(logits.argmax(), logits.shape)[0]]
        highest = np.flatnonzero(logits.max(axis=1) == logits.max())
        if len(highest) == 1:
            np.testing.assert_allclose(wanted[0][0, 0], best, atol=1e-5)
        score = 1 / (1 + np.exp(-logits.max()))
        assert wanted[2][0, 0] == pytest.approx(score, abs=1 / 256)
        assert floats.run(image[None])[2][0, 0] == pytest.approx(score, abs=0.1)
        said.add(b"".join(part.tobytes() for part in wanted))
    assert len(said) == len(images)


def test_what_is_joined_is_quantized_alike() -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.export import plan
    from lotor.train.layers import Layer
    from lotor.train.layers import Network as Folded

    def conv(name: str, most: float) -> Layer:
        weights = np.full((4, 1, 1, 3), most, np.float32)
        return Layer(name, "conv_2d", ("image",), (2, 2, 4), weights, np.zeros(4, np.float32))

    def joined(most: float) -> Folded:
        rows = tuple(Layer(f"{n}_rows", "reshape", (n,), (4, 4)) for n in "ab")
        both = Layer("both", "concatenation", ("a_rows", "b_rows"), (8, 4))
        layers = (conv("a", 1.0), conv("b", most), *rows, both)
        return Folded("x", "image", (2, 2, 3), layers, ("both",))

    names = ("a", "b", "a_rows", "b_rows", "both")
    limits = {"image": (-1.0, 1.0), "a": (-1.0, 0.5), "b": (-3.0, 4.0)}
    limits |= {"a_rows": limits["a"], "b_rows": limits["b"], "both": (-3.0, 4.0)}
    found = plan(joined(1.0), limits).tensors
    assert {found[name] for name in names} == {found["both"]}
    assert found["both"].scale == pytest.approx(7 / 255)
    assert found["image"].scale == pytest.approx(2 / 255)
    # One of sums that could not fill so fine a scale makes it coarser for all.
    coarse = plan(joined(1e6), limits).tensors
    assert {coarse[name] for name in names} == {coarse["both"]}
    assert coarse["both"].scale > 7 / 255
    ends = [(end - coarse["both"].zero_point) * coarse["both"].scale for end in (-128, 127)]
    assert ends[0] <= -3
    assert ends[1] >= 4


@pytest.mark.train
@pytest.mark.slow
def test_a_detector_learns_where_things_are(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.pipeline import train

    recipe = tmp_path / "recipe.toml"
    text = TEXT.replace("steps = 3", "steps = 300\nrate = 3e-3\naverage = 0.95")
    text = text.replace("samples = 12\nsteps = 1", "samples = 100\nsteps = 30")
    text = text.replace("width = 0.25", "width = 0.5\ndropout = 0.0")
    text = text.replace("batch = 8", "batch = 16")
    quiet = ("zoom", "soften", "grey", "infrared", "colour", "noise", "jpeg")
    recipe.write_text(text + "[augment]\n" + "".join(f"{name} = 0.0\n" for name in quiet))
    data = make_garden(tmp_path / "garden", each=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(tmp_path))
        patch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
        metrics = train(str(recipe), data, out=tmp_path / "out", test=True)["metrics"]
    assert metrics["test"]["boxes"]["mean_average_precision"] > 0.9
    assert metrics["test"]["best_box_hits"] > 0.9
    assert metrics["test_float"]["boxes"]["mean_average_precision"] > 0.9


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a detector of one map that was trained for some steps, also as integers."""
    pytest.importorskip("tensorflow")
    from lotor.train.pipeline import as_text, train

    folder = tmp_path_factory.mktemp("ssd")
    maps = "strides = [4, 8]\nscales = [0.3, 0.6]"
    recipe_of(folder, maps, "strides = [8]\nscales = [0.4]\nleast = 0.004")
    data = make_garden(folder / "garden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("LOTOR_CACHE", str(folder / "cache"))
        result = train(str(folder / "recipe.toml"), data, out=folder / "out", test=True)
    assert "mean average precision of boxes" in as_text(result)
    return folder


@pytest.mark.train
def test_the_road_to_an_int8_detector(trained: Path) -> None:
    from lotor.frontend.tflite import read_model
    from lotor.host import load
    from lotor.oracle import Oracle

    path = trained / "out" / "tiny.tflite"
    graph = read_model(path.read_bytes(), "tiny")
    assert [t.shape for t in graph.outputs] == [(1, 5, 4), (1, 5), (1, 5), (1,)]
    assert graph.ops[-1].kind == "CUSTOM:TFLite_Detection_PostProcess"
    assert graph.inputs[0].dtype is DType.INT8
    host, oracle = load(path), Oracle(path)
    rng = np.random.default_rng(0)
    for _ in range(5):
        tensor = rng.integers(-128, 128, (1, 32, 32, 3), np.int8)
        for one, other in zip(host.run(tensor), oracle.run(tensor), strict=True):
            assert one.tobytes() == other.tobytes()
    metrics = json.loads((trained / "out" / "metrics.json").read_text())
    assert set(metrics) == {"thresholds", "val", "test", "test_float"}
    assert metrics["test"]["thresholds"] == metrics["thresholds"] == metrics["val"]["thresholds"]
    val = metrics["val"]
    assert val["positives"] == 4
    assert {label: row["boxes"] for label, row in val["boxes"]["labels"].items()} == {
        "cat": 4,
        "raccoon": 4,
    }
    assert [row["count"] for row in val["pasted"]] == [16, 16, 16]
    lineage = json.loads((trained / "out" / "lineage.json").read_text())
    assert lineage["recipe"]["detect"]["strides"] == [8]
    golden = list((trained / "out" / "golden").glob("*.npz"))
    assert len(golden) == 2
    with np.load(golden[0]) as vectors:
        for index, output in enumerate(host.run(vectors["input"])):
            name = f"output_{index}" if index else "output"
            assert vectors[name].tobytes() == output.tobytes()


@pytest.mark.train
def test_commands(trained: Path, lotor: Lotor, tmp_path: Path) -> None:
    model, data = trained / "out" / "tiny.tflite", trained / "garden"
    image = next((data / "raccoon").glob("val*.png"))
    done = lotor("detect", image, "--model", model, "--draw", tmp_path / "drawn", "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["images"]
    assert {"path", "label", "score", "scores", "box", "found"} == set(entry)
    assert set(entry["scores"]) == {"cat", "background", "raccoon"}
    assert (entry["box"] is None) == (entry["label"] == "background") == (not entry["found"])
    assert (tmp_path / "drawn" / f"{image.stem}.png").is_file()
    done = lotor("evaluate", model, "--data", data, "--split", "val", "--json")
    assert done.returncode == 0, done.stderr
    kept = json.loads((trained / "out" / "metrics.json").read_text())["val"]
    assert json.loads(done.stdout)["located"] == kept
    told = lotor("evaluate", model, "--data", data, "--split", "val", "--float").stdout
    assert "float, LiteRT" in told
    assert "mean average precision of boxes at 0.5 overlap, by Pascal VOC" in told
    assert "best box overlaps by half" in told
    with pytest.raises(LotorError, match="tiny says where something is"):
        classify(HostClassifier(find_model(str(model))), read_image(image))
    with pytest.raises(LotorError, match="leave out --views"):
        ask(find_model(str(model)), [image], views=True)
    with pytest.raises(LotorError, match="leave out --views"):
        evaluate(find_model(str(model)), data, "val", views=True)
    done = lotor("evaluate", model, "--data", data, "--limit", 9, "--png", tmp_path / "a.png")
    assert done.returncode == 2
    assert "leave out --png" in done.stderr.splitlines()[-1]


@pytest.mark.train
@pytest.mark.hil
@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm")
def test_a_board_finds_the_same_boxes(
    trained: Path, lotor: Lotor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))  # another test may hold this board
    model, image = trained / "out" / "tiny.tflite", next((trained / "garden/cat").glob("val*.png"))
    here, there = (
        lotor("detect", image, "--model", model, "--json", *board)
        for board in ([], ["--board", "netduinoplus2"])
    )
    emulator.stop("netduinoplus2")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
