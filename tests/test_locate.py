"""Heat maps: boxes follow the augmentation, cells are marked, peaks found, integers exact."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import Lotor
from garden import make_garden
from lotor import geometry
from lotor.classifier import HostClassifier, classify
from lotor.data.manifest import Box, Photo, read_manifest
from lotor.data.paste import Cutout, cut_out, paste
from lotor.errors import LotorError
from lotor.graph import DType, Quantization, Tensor
from lotor.locate import find, peak_of, regions
from lotor.locate_evaluate import as_lines, measure, pasted, peaks
from lotor.preprocess import Image, ImageInput, image_input, read_image, resize
from lotor.resources import resource
from lotor.train.augment import augment_tracked
from lotor.train.recipe import Augment, Input, Network, read_recipe
from lotor.zoo import find_model

pytestmark = pytest.mark.xdist_group("locate")  # one training for all

TEXT = """
name = "tiny"
task = "locate"
target = "raccoon"
labels = ["raccoon", "other_animal", "background"]
[input]
height = 32
width = 32
[data]
folder = "nowhere"
other = "other_animal"
[data.classes]
raccoon = "raccoon"
background = "background"
[data.share]
raccoon = 0.4
other_animal = 0.3
background = 0.3
[locate]
blocks = 6
paste = 0.5
[transfer]
file = "FILE"
sha256 = "HASH"
[fit]
steps = 2
batch = 8
head_steps = 0
[quantize]
samples = 12
steps = 1
"""

MOVED = Augment(soften=0.0, gain=0.0, colour=0.0, grey=0.0, infrared=0.0, noise=0.0, jpeg=0.0,
                zoom=0.0, rotate=0.5, max_angle=30.0, tilt=0.4)  # fmt: skip


def write_recipe(folder: Path, **replaced: str) -> Path:
    text = TEXT
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


def shape_of(height: int, width: int, aspect: str = "stretch") -> ImageInput:
    quant = Quantization(np.array([1 / 128], np.float32), np.array([0]))
    tensor = Tensor("image", (1, height, width, 3), DType.INT8, quant)
    return image_input(tensor, {"input": {"mean": 128, "std": 128, "aspect": aspect}})


def dot(height: int, width: int, x: int, y: int, radius: int = 5) -> tuple[Image, Box]:
    """A red disc on black, and its box."""
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (x, y), radius, (0, 0, 255), -1)
    return image, Box(x - radius, y - radius, x + radius + 1, y + radius + 1, "raccoon")


def middle_of_red(pixels: Image) -> tuple[float, float]:
    """Return the middle of what is red in an RGB image, the first pixel's middle at 0.5."""
    weight = pixels[:, :, 0].astype(float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


@pytest.mark.parametrize("aspect", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(100, 140), (140, 90), (40, 30)])
def test_points_go_where_resizing_puts_them(aspect: str, size: tuple[int, int]) -> None:
    height, width = size
    image, box = dot(height, width, width // 2 + 6, height // 2 - 5)
    to = geometry.of_view((0, 0, width, height), 64, 48, aspect)
    middle = to @ ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, 1.0)
    assert middle[:2] == pytest.approx(middle_of_red(resize(image, 64, 48, aspect)), abs=0.3)


@pytest.mark.parametrize("aspect", ["stretch", "crop", "pad"])
def test_boxes_follow_every_augmentation(aspect: str) -> None:
    rng = np.random.default_rng(2)
    image, box = dot(120, 160, 70, 50, 8)
    photo = Photo(Path("a.png"), "raccoon", "train", "g", 400, (box,))
    whole = 0
    for _ in range(160):
        pixels, to = augment_tracked(image, photo, Input(96, 80, aspect=aspect), MOVED, rng)
        ((x0, y0, x1, y1, left),) = geometry.move([box], to, 96, 80)
        # Turning mirrors what is near the edge into the frame: a second disc, out of sight here.
        if left < 0.999 or min(x0, y0, 80 - x1, 96 - y1) < 8:
            continue
        seen = np.zeros((96, 80, 1), bool)
        seen[int(y0) - 4 : int(y1) + 5, int(x0) - 4 : int(x1) + 5] = True
        pixels = np.where(seen, pixels, 0)
        # Nor does what was cut off, and then turned into the frame again, say where a middle is.
        if pixels[:, :, 0].sum() / 255 < 0.84 * np.pi / 4 * (x1 - x0) * (y1 - y0):
            continue
        whole += 1
        assert middle_of_red(pixels) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.6)
        # A disc fills its box, however it is turned.
        red = np.argwhere(pixels[:, :, 0] > 128)
        assert red.min(axis=0) == pytest.approx((y0, x0), abs=1.6)
        assert red.max(axis=0) + 1 == pytest.approx((y1, x1), abs=1.6)
    assert whole > 20


def test_a_box_that_leaves_the_frame_is_cut() -> None:
    ((*corners, left),) = geometry.move([Box(-10, 0, 10, 20)], np.eye(3), 50, 50)
    assert corners == [0, 0, 10, 20]
    assert left == pytest.approx(0.5)
    assert geometry.move([Box(60, 0, 80, 20)], np.eye(3), 50, 50)[0][4] == 0


def test_pasting_puts_an_animal_where_its_box_says() -> None:
    rng = np.random.default_rng(1)
    cutout = cut_out(np.full((60, 90, 3), (0, 0, 255), np.uint8), Box(10, 10, 60, 50), False)
    assert cutout.pixels.shape == (40, 50, 3)
    assert cutout.cover[20, 25] == 1
    assert cutout.cover[0, 0] < 0.1  # corners are off, edges soft
    scene = np.zeros((100, 120, 3), np.uint8)
    places = set()
    for area in (0.03, 0.1, 0.3):
        for _ in range(10):
            image, box = paste(scene, cutout, area, rng, "raccoon")
            assert (box.x1 - box.x0) * (box.y1 - box.y0) / 12000 == pytest.approx(area, rel=0.1)
            inside = np.zeros((100, 120), bool)
            inside[box.y0 : box.y1, box.x0 : box.x1] = True
            assert image[~inside].max() == 0
            assert image[inside][:, 2].mean() > 150
            places.add((box.x0, box.y0))
    assert len(places) > 20
    half = np.zeros((40, 50), np.float32)
    half[:, :25] = 1
    halved = Cutout(half.astype(np.uint8)[:, :, None] * np.array((0, 0, 255), np.uint8), half)
    for _ in range(8):
        image, box = paste(scene, halved, 0.2, rng)
        assert image[box.y0 : box.y1, box.x0 : box.x1, 2].mean() > 110
    assert not scene.any()
    _, box = paste(scene, cutout, 1.0, rng)
    assert box.x1 <= 120
    assert box.y1 <= 100


def test_an_outline_follows_the_animal() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(40, 80, (100, 100, 3), np.uint8)
    cv2.circle(image, (50, 50), 25, (0, 0, 230), -1)
    cover = cut_out(image, Box(20, 20, 80, 80)).cover
    truth = cv2.circle(np.zeros((60, 60)), (30, 30), 25, (1.0,), -1)
    assert np.abs(cover - truth).mean() < 0.06
    again = cut_out(image, Box(20, 20, 80, 80)).cover
    assert (again == cover).all()
    # Nothing to tell from what is around it: the box.
    plain = cut_out(np.full((100, 100, 3), 90, np.uint8), Box(20, 20, 80, 80)).cover
    assert plain.mean() > 0.7


def test_peaks_are_told_apart_and_weaker_ones_nearby_are_not() -> None:
    heat = np.zeros((12, 12))
    heat[1:4, 1:4] = 0.9
    heat[2, 4] = 0.6  # a shoulder of the first
    heat[4, 2] = 0.4  # its slope
    heat[8:10, 8] = (0.7, 0.75)
    heat[11, 0] = 0.3
    found = regions(heat, 0.5)
    assert [int(region.sum()) for region in found] == [10, 2]
    assert [round(heat[region].max(), 2) for region in found] == [0.9, 0.75]
    assert len(regions(heat, 0.2)) == 3
    assert not regions(heat, 0.95)
    # Cells that a peak has taken are no peak for those left, not beside a lone one either.
    ring = np.zeros((12, 12))
    ring[3:8, 3:8] = 0.9
    ring[4:7, 4:7] = 0.3
    assert [int(region.sum()) for region in regions(ring, 0.2)] == [16, 1]
    # Of nine equal cells the middle one.
    assert peak_of(heat) == (2, 2)


def test_boxes_are_in_pixels_of_the_photograph() -> None:
    heat = np.zeros((12, 12, 2))
    heat[3:5, 6:9, 0] = 0.8
    heat[:, :, 1] = 1 - heat[:, :, 0]
    (one,) = find(heat, ["raccoon", "background"], "background", 0.5, (240, 480), shape_of(96, 96))
    assert (one.label, one.score) == ("raccoon", 0.8)
    assert one.box == (6 * 40, 3 * 20, 9 * 40, 5 * 20)
    (one,) = find(heat, ["raccoon", "background"], "background", 0.5, (240, 480),
                  shape_of(96, 96), core=0.5)  # fmt: skip
    assert one.box == (180, 40, 420, 120)
    # A square in the middle of bars: 240 rows of 480 are what rows 3 to 8 show.
    (one,) = find(heat, ["raccoon", "background"], "background", 0.5, (240, 480),
                  shape_of(96, 96, "pad"))  # fmt: skip
    assert one.box == (240, 0, 360, 80)


def test_cells_say_what_is_in_the_middle_of_a_box() -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.scenes import mark

    recipe = read_recipe(resource("models", "raccoon-locate", "recipe.toml"))
    recipe = replace(recipe, labels=["raccoon", "other_animal", "background"])
    large = (0.0, 0.0, 64.0, 64.0, 1.0)
    cells = mark([large], [0], [2], (12, 12), recipe)
    assert cells.shape == (12, 12, 4)
    raccoon = cells[:, :, 0] == 1
    assert raccoon[2:6, 2:6].all()
    assert raccoon.sum() == 16
    assert cells[raccoon][:, 3].sum() == pytest.approx(1)
    assert (cells[:8, :8, 3][~raccoon[:8, :8]] == 0).all()  # the rest of the box does not matter
    assert (cells[8:, 8:] == np.array((0, 0, 1, recipe.locate.quiet), np.float32)).all()
    # A small one in its middle has cells of its own, and weighs as much.
    small = (28.0, 28.0, 34.0, 34.0, 1.0)
    both = mark([small, large], [1, 0], [2], (12, 12), recipe)
    assert (both[3, 3] == (0, 1, 0, 1)).all()
    assert both[:, :, 0].sum() == 15
    # Unknown things are not the target; what has left the frame says nothing.
    unknown = mark([large], [-1], [2], (12, 12), recipe)
    assert (unknown[0, 0, :3] == (0, 1, 1)).all()
    gone = mark([(0.0, 0.0, 16.0, 96.0, 0.1)], [0], [2], (12, 12), recipe)
    assert (gone[:, :2, 3] == 0).all()
    assert not gone[:, :, 0].any()


def test_loss_is_that_of_the_labels_allowed() -> None:
    tf = pytest.importorskip("tensorflow")
    from lotor.train.heat_loss import heat_loss

    logits = np.log(np.array([[[[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]]], np.float32))
    cells = np.array([[[[0, 1, 1, 2], [1, 0, 0, 0.5]]]], np.float32)
    expected = 2 * 0.2**2 * -np.log(0.8) + 0.5 * 0.4**2 * -np.log(0.6)
    assert float(heat_loss(2.0)(tf.constant(cells), logits)) == pytest.approx(expected, rel=1e-5)


class Redness:
    """A heat map that is right: how red each cell is."""

    def __init__(self, cells: int = 12) -> None:
        self.shape, self.cells = shape_of(96, 96), cells

    def __call__(self, image: Image) -> np.ndarray:
        pixels = resize(image, 96, 96)
        red = pixels[:, :, 0].astype(float) - pixels[:, :, 1]
        return np.clip(cv2.resize(red, (self.cells, self.cells), interpolation=cv2.INTER_AREA),
                       0, 255) / 255  # fmt: skip


def gallery(folder: Path) -> list[Photo]:
    """Photographs of a red disc, called raccoon, and of noise."""
    rng = np.random.default_rng(3)
    photos = []
    for number in range(8):
        ground = rng.integers(60, 90, (96, 128, 3), np.uint8)
        image, box = dot(96, 128, int(rng.integers(30, 90)), int(rng.integers(30, 60)), 6 + number)
        both = np.where(image > 0, image, ground // 3)
        for kind, pixels, boxes in (("raccoon", both, (box,)), ("background", ground, ())):
            path = folder / f"{kind}{number}.png"
            cv2.imwrite(str(path), pixels)
            photos.append(Photo(path, kind, "val", f"{kind}{number}", 400, boxes))
    return photos


def test_a_model_that_is_right_gets_full_marks(tmp_path: Path) -> None:
    photos, model = gallery(tmp_path), Redness()
    found = measure(peaks(model, model.shape), photos, lambda kind: kind == "raccoon")
    assert (found["photos"], found["positives"]) == (16, 8)
    assert found["peak_inside"] == found["average_precision"] == 1
    assert [row["photos"] for row in found["by_area"]] == [8]
    assert found["at_threshold"]["5%"]["found"] == 1
    assert found["at_threshold"]["5%"]["false_alarms"] == 0
    tenth = found["pasted"][1]
    assert (tenth["area"], tenth["count"], tenth["peak_inside"]) == (0.1, 16, 1)
    assert "pasted at 10% of the frame (16): peak inside the box 1.000" in "\n".join(
        as_lines(found, "raccoon")
    )

    def mirrored(image: Image) -> np.ndarray:
        return model(image)[:, ::-1]

    wrong = measure(peaks(mirrored, model.shape), photos, lambda kind: kind == "raccoon")
    assert wrong["peak_inside"] < 0.7
    assert wrong["pasted"][1]["peak_inside"] < 0.5
    assert wrong["average_precision"] == 1  # it only looks in the wrong place
    with pytest.raises(LotorError, match="nothing to locate"):
        measure(peaks(model, model.shape), photos[1::2], lambda kind: kind == "raccoon")


def test_pasted_scenes_are_the_same_every_time(tmp_path: Path) -> None:
    photos = gallery(tmp_path)
    one, two = (list(pasted(photos, lambda k: k == "raccoon", 0.1, 20)) for _ in range(2))
    assert len(one) == 20
    for (a, boxes), (b, same) in zip(one, two, strict=True):
        assert (a == b).all()
        assert boxes == same
        assert boxes[0].kind == "raccoon"
    assert len({tuple(boxes[0]) for _, boxes in one}) > 10


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"locate"', '"locat"', r"task 'locat' \(did you mean 'locate'"),
        ("blocks = 6", 'background = "backgruond"', r"did you mean 'background'"),
        ("blocks = 6", "blocks = -1", "locate.blocks is -1; 0 is the least"),
        ("[fit]", '[network]\nkind = "resnet8"\n[fit]', "is 6, which resnet8 does not number; 0"),
        ("blocks = 6", "core = 0", "locate.core is 0.0; it must be above 0"),
        ("blocks = 6", "smallest = 0.5", "locate.smallest 0.5 is above 0.3"),
        ("width = 32", "width = 36", "32x36 pixels are no whole number of cells of 8"),
        ("samples = 12", "int8 = false", "a heat map is measured as integers"),
        ("steps = 2", "steps = 2\nmixup = 0.2", "fit.mixup is 0.2; a heat map is trained without"),
        ("blocks = 6", "block = 6", r"unknown key 'block' \(did you mean 'blocks'"),
    ],
)
def test_unsound_recipes(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "recipe.toml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(LotorError, match=says):
        read_recipe(tmp_path / "recipe.toml")


def heat_map(**how: Any) -> Any:
    pytest.importorskip("tensorflow")
    import keras

    from lotor.train import networks
    from lotor.train.networks import fomo

    keras.utils.set_random_seed(0)
    network = Network(how.pop("kind", "mobilenet_v1"), stem_stride=how.pop("stem_stride", 2))
    classifier = networks.build(network, 32, 32, 4)
    return classifier, fomo.heat_map(classifier, 3, 2, **how)


def draw_statistics(model: Any, rng: np.random.Generator) -> None:
    """Give every normalisation something to do."""
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            n = layer.gamma.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, n), rng.normal(0, 0.5, n),
                               rng.normal(0, 0.1, n), rng.uniform(0.02, 0.2, n)])  # fmt: skip


@pytest.mark.train
@pytest.mark.parametrize(("stem", "blocks"), [(2, 5), (2, 11), (1, 11)])
def test_a_heat_map_has_a_cell_for_eight_pixels(stem: int, blocks: int) -> None:
    classifier, model = heat_map(stem_stride=stem, blocks=blocks)
    assert model.output.shape[1:] == (4, 4, 3)
    name = f"pointwise{blocks}"
    kept, cut = (m.get_layer(name).get_weights()[0] for m in (classifier, model))
    assert (kept == cut).all()
    # Nothing is expected anywhere before it has learned.
    image = np.zeros((1, 32, 32, 3), np.float32)
    assert (np.asarray(model(image)).argmax(axis=-1) == 2).all()


@pytest.mark.train
@pytest.mark.parametrize(
    ("kind", "last", "channels"),
    [
        ("mobilenet_v1", "pointwise5_relu", 64),
        ("mobilenet_v2", "block7_expand_relu", 48),
        ("mcunet", "block8_expand_relu", 48),
        ("ds_cnn", "pointwise4_relu", 16),
        ("resnet8", "block3_relu", 16),
    ],
)
def test_every_family_is_cut_behind_its_last_map(kind: str, last: str, channels: int) -> None:
    """And there its normalisation can be folded, as everything behind training needs."""
    classifier, model = heat_map(kind=kind, blocks=0)
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    assert model.output.shape[1:] == (4, 4, 3)
    cut = model.get_layer("logits").input
    assert cut is classifier.get_layer(last).output
    assert cut.shape[3] == channels
    rng = np.random.default_rng(0)
    draw_statistics(model, rng)
    image = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    folded, wanted = FloatNetwork(fold(model))(image)["logits"], np.asarray(model(image))
    np.testing.assert_allclose(folded, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.train
@pytest.mark.parametrize("stem", [1, 2])
def test_a_heat_map_is_folded_once_though_it_shares_its_layers(stem: int) -> None:
    _, model = heat_map(stem_stride=stem)
    from lotor.train.fold import fold
    from lotor.train.run import FloatNetwork

    rng = np.random.default_rng(0)
    draw_statistics(model, rng)
    image = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    folded = FloatNetwork(fold(model))(image)["logits"]
    np.testing.assert_allclose(folded, np.asarray(model(image)), rtol=1e-3, atol=1e-3)


@pytest.mark.train
def test_what_cannot_be_cut_is_told() -> None:
    with pytest.raises(LotorError, match=r"locate.blocks is 14, but .* has 13 numbered blocks; 0"):
        heat_map(blocks=14)
    with pytest.raises(LotorError, match=r"locate.blocks is 3, but .* has 0 numbered blocks; 0"):
        heat_map(kind="resnet8", blocks=3)
    with pytest.raises(LotorError, match=r"locate.cell is 16, but the cells .* are 2, 4, 8 pixels"):
        heat_map(kind="resnet8", blocks=0, cell=16)
    with pytest.raises(LotorError, match="2 blocks make cells of 4 pixels of 32"):
        heat_map(blocks=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a heat map that was trained for some steps, as floats and as integers."""
    pytest.importorskip("tensorflow")
    from lotor.train import networks
    from lotor.train.export import to_float
    from lotor.train.fold import fold
    from lotor.train.pipeline import as_text, train

    folder = tmp_path_factory.mktemp("locate")
    source = folder / "source.tflite"
    source.write_bytes(to_float(fold(networks.build(Network(), 32, 32, 4))))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    recipe = str(write_recipe(folder, FILE=str(source), HASH=digest))
    data = make_garden(folder / "garden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("LOTOR_CACHE", str(folder / "cache"))
        result = train(recipe, data, out=folder / "out", test=True)
    assert "peak inside the box" in as_text(result)
    return folder


@pytest.mark.train
def test_the_road_to_an_int8_heat_map(trained: Path) -> None:
    from lotor.frontend.tflite import read_model
    from lotor.host import load
    from lotor.oracle import Oracle

    path = trained / "out" / "tiny.tflite"
    graph = read_model(path.read_bytes(), "tiny")
    assert graph.outputs[0].shape == (1, 4, 4, 3)
    assert graph.outputs[0].dtype.value == "int8"
    assert graph.ops[-1].kind == "SOFTMAX"
    host, oracle = load(path), Oracle(path)
    rng = np.random.default_rng(0)
    for _ in range(5):
        tensor = rng.integers(-128, 128, (1, 32, 32, 3), np.int8)
        assert (host.run(tensor) == oracle.run(tensor)).all()
    metrics = json.loads((trained / "out" / "metrics.json").read_text())
    assert set(metrics) == {"thresholds", "val", "test", "test_float"}
    assert metrics["val"]["positives"] == 4
    assert metrics["test"]["thresholds"] == metrics["thresholds"] == metrics["val"]["thresholds"]
    assert [row["count"] for row in metrics["val"]["pasted"]] == [16, 16, 16]
    assert len(list((trained / "out" / "golden").glob("*.npz"))) == 2


@pytest.mark.train
def test_training_as_integers_computes_what_the_file_computes(tmp_path: Path) -> None:
    """The integers that train, LiteRT and the generated C agree, before and behind softmax."""
    _, model = heat_map(blocks=6)
    from lotor.host import load
    from lotor.oracle import Oracle
    from lotor.train.calibrate import ranges, watch
    from lotor.train.export import plan, to_int8
    from lotor.train.fold import fold
    from lotor.train.qat import QuantizedModel
    from lotor.train.run import FloatNetwork

    rng = np.random.default_rng(0)
    draw_statistics(model, rng)
    images = (rng.integers(-128, 128, (6, 32, 32, 3)) / 128).astype(np.float32)
    network = fold(model)
    assert [layer.kind for layer in network][-2:] == ["conv_2d", "softmax"]
    seen = watch(network, FloatNetwork(network), [images])
    planned = plan(network, ranges(network, seen, "min-max", (-1.0, 127 / 128)))
    integers = QuantizedModel(network, planned)
    logits = np.asarray(integers(images))
    whole, open_ = tmp_path / "whole.tflite", tmp_path / "logits.tflite"
    whole.write_bytes(to_int8(integers.network, planned))
    cut = replace(integers.network, layers=network.layers[:-1], outputs=("logits",))
    open_.write_bytes(to_int8(cut, planned))
    reference, behind, host = Oracle(open_), Oracle(whole), load(whole)
    said = set()
    for image, expected in zip(images, logits, strict=True):
        tensor = np.rint(image * 128).astype(np.int8)[None]
        found = planned.tensors["logits"].real(reference.run(tensor))
        assert (found[0] == expected.astype(np.float32)).all()
        scores = behind.run(tensor)
        assert (host.run(tensor) == scores).all()
        said.add(scores.tobytes())
    assert len(said) == len(images)


@pytest.mark.train
def test_scenes_hold_animals_at_the_sizes_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from lotor.train.scenes import Cells

    photos = read_manifest(make_garden(tmp_path)).split("train")
    recipe = read_recipe(write_recipe(tmp_path))
    source = Cells(photos, recipe)
    one, same, other = (next(source.batches(np.random.default_rng(s))) for s in (1, 1, 2))
    assert one[0].shape == (8, 32, 32, 3)
    assert one[1].shape == (8, 4, 4, 4)
    assert (one[0] == same[0]).all()
    assert (one[1] == same[1]).all()
    assert (one[0] != other[0]).mean() > 0.5
    # The made-up raccoon is the only thing of its colour: where it is, its cells are.
    plain = replace(recipe, augment=replace(MOVED, rotate=0.0, full=1.0))
    plain = replace(plain, locate=replace(plain.locate, paste=0.0))
    inputs, targets = next(Cells(photos, plain).batches(np.random.default_rng(0)))
    checked = 0
    for pixels, cells in zip(inputs, targets, strict=True):
        if not cells[:, :, 0].any():
            continue
        y, x = np.argwhere(cells[:, :, 0] > 0).mean(axis=0) * 8 + 4
        blue = pixels[:, :, 2] - pixels[:, :, 0]
        assert blue[int(y), int(x)] > 0.8
        checked += 1
    assert checked


@pytest.mark.train
def test_commands(trained: Path, lotor: Lotor, tmp_path: Path) -> None:
    model, data = trained / "out" / "tiny.tflite", trained / "garden"
    image = next((data / "raccoon").glob("val*.png"))
    done = lotor("detect", image, "--model", model, "--draw", tmp_path / "drawn", "--json")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["images"]
    assert {"path", "label", "score", "scores", "box", "found"} == set(entry)
    assert (entry["box"] is None) == (entry["label"] == "background") == (not entry["found"])
    assert (tmp_path / "drawn" / f"{image.stem}.png").is_file()
    done = lotor("evaluate", model, "--data", data, "--split", "val", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["located"]
    assert found["at_threshold"] == json.loads((trained / "out" / "metrics.json").read_text())[
        "val"]["at_threshold"]  # fmt: skip
    assert "peak inside the box" in lotor("evaluate", model, "--data", data, "--limit", 9).stdout
    # Its cells are no labels of a photograph.
    with pytest.raises(LotorError, match="tiny says where something is"):
        classify(HostClassifier(find_model(str(model))), read_image(image))
    before = image.read_bytes()
    done = lotor("detect", image, "--model", model, "--draw", image.parent)
    assert done.returncode == 2
    assert "would draw over" in done.stderr
    assert image.read_bytes() == before
    for arguments in (["detect", image, "--model", model, "--views"],
                      ["evaluate", model, "--data", data, "--views"],
                      ["detect", image, "--model", "raccoon", "--draw", tmp_path]):  # fmt: skip
        done = lotor(*arguments)
        assert done.returncode == 2
        assert "leave out --" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
