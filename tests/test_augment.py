"""What happens to training photographs: by itself, all of it off, composites and their masks."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from garden import make_garden
from lotor.cli import main
from lotor.data.manifest import Box, Photo
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.train.augment import NOTHING, Scenery, augment, composite, cutout, night, optics
from lotor.train.augment.composite import paste
from lotor.train.augment.cutout import Cutout, plausible, prior_box, segment
from lotor.train.recipe import Augment, Input
from test_train import TEXT, write_recipe

SHAPE = Input(32, 32)


def boxed(box: tuple[int, int, int, int]) -> Photo:
    return Photo(Path("a.png"), "raccoon", "train", "g", 400, (Box(*box),))


def test_augmentation_can_be_turned_off() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    got = augment(image, boxed((0, 0, 9, 9)), SHAPE, NOTHING, np.random.default_rng(0))
    assert (got == image[:, :, ::-1]).all()


def test_half_of_the_photographs_are_mirrored() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    how = replace(NOTHING, flip=0.5)
    rng = np.random.default_rng(3)
    plain, seen = image[:, :, ::-1], []
    for _ in range(40):
        got = augment(image, boxed((0, 0, 32, 32)), SHAPE, how, rng)
        mirrored = bool((got == plain[:, ::-1]).all())
        assert mirrored or (got == plain).all()
        seen.append(mirrored)
    assert 10 < sum(seen) < 30


def test_zooming_shows_the_surroundings_of_a_box() -> None:
    """Red box on black: in a window around it, red fills at least 1 / 2.5^2."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:70, 30:60, 2] = 255
    how = replace(NOTHING, full=0.0, zoom=1.0)
    rng = np.random.default_rng(4)
    shares = [
        (augment(image, boxed((30, 40, 60, 70)), SHAPE, how, rng)[:, :, 0] > 128).mean()
        for _ in range(50)
    ]
    assert min(shares) > 0.14
    assert max(shares) > 0.5


def test_crops_keep_the_animal() -> None:
    """The red animal stays in sight in every crop, at least `min_box` of it."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[70:95, 65:95, 2] = 255
    how = replace(NOTHING, full=0.0, min_area=0.2, min_box=0.7)
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        pixels = augment(image, boxed((65, 70, 95, 95)), SHAPE, how, rng)
        shares.append((pixels[:, :, 0] > 128).mean())
    assert min(shares) > 0.7 * 0.075 * 0.9
    assert max(shares) > 0.2  # and there were real crops


def test_softening_takes_sharpness_away() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    how = replace(NOTHING, soften=1.0, softest=24)
    shape = Input(96, 96)
    rng = np.random.default_rng(2)

    def sharpness(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels.astype(int), axis=1)).mean())

    plain = sharpness(augment(image, boxed((0, 0, 96, 96)), shape, NOTHING, rng))
    soft = [sharpness(augment(image, boxed((0, 0, 96, 96)), shape, how, rng)) for _ in range(30)]
    assert np.median(soft) < 0.5 * plain


# What each new one does alone; those of the night need an infrared photograph.
NEW: dict[str, dict[str, Any]] = {
    name: {name: 1.0}
    for name in (
        "tilt", "motion", "vignette", "fog", "rain", "drops", "leaves", "grass", "mesh",
    )
} | {"eyes": {"infrared": 1.0, "eyes": 1.0}, "dim": {"infrared": 1.0, "dim": 1.0}}  # fmt: skip


def scene(seed: int = 0, height: int = 60, width: int = 80) -> Image:
    """Return a soft coloured texture."""
    rough = np.random.default_rng(seed).integers(40, 215, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 1.5), np.uint8)


def test_what_a_recipe_leaves_off_draws_no_random_numbers() -> None:
    """The number after 200 variants is the one that the first version of augmentation left."""
    image = np.random.default_rng(11).integers(0, 256, (120, 150, 3), np.uint8)
    boxes = (Box(30, 20, 90, 100, "raccoon"),)
    two = [Photo(Path("a.png"), "cat", "train", "g", 400), boxed((30, 20, 90, 100))]
    assert two[1].boxes[0][:4] == boxes[0][:4]
    rng = np.random.default_rng(5)
    for number in range(200):
        augment(image, two[number % 2], Input(32, 32), Augment(infrared=0.3), rng)
    assert rng.integers(1 << 30) == 59433447


def test_new_augmentations_are_off() -> None:
    new = [field.name for field in fields(Augment)]
    new = new[new.index("tilt") :]
    assert set(NEW) < set(new)
    assert all(getattr(Augment(), name) == 0 for name in new if not name.endswith("_least"))


@pytest.mark.parametrize("name", NEW)
def test_each_changes_pictures_repeatably(name: str) -> None:
    image = scene()
    before = image.copy()
    photo = boxed((20, 10, 60, 50))
    shape = Input(40, 56)
    how = replace(NOTHING, **NEW[name])
    off: dict[str, Any] = {name: 0.0}
    without = replace(how, **off)
    different = 0
    for seed in range(20):
        got = augment(image, photo, shape, how, np.random.default_rng(seed))
        again = augment(image, photo, shape, how, np.random.default_rng(seed))
        plain = augment(image, photo, shape, without, np.random.default_rng(seed))
        assert got.shape == (40, 56, 3) and got.dtype == np.uint8
        assert (got == again).all()
        different += bool((got != plain).any())
    assert different >= 19
    assert (image == before).all()


@pytest.mark.parametrize("aspect", ["stretch", "crop", "pad"])
def test_eyes_shine_in_the_upper_half_of_the_animal(aspect: str) -> None:
    """On a dark photograph nothing else is bright; flips and turns take the eyes along."""
    image = np.full((100, 160, 3), 20, np.uint8)
    image[30:70, 20:60] = 25
    shape = Input(96, 96, aspect=aspect)
    how = replace(NOTHING, infrared=1.0, eyes=1.0, flip=1.0)
    photo = boxed((20, 30, 60, 70))
    # Mirrored, the box spans 100..140 of 160; its upper half 30..50 of 100.
    scale = {"stretch": (0.6, 0.96), "crop": (0.96, 0.96), "pad": (0.6, 0.6)}[aspect]
    edge = {"stretch": (0.0, 0.0), "crop": (-28.8, 0.0), "pad": (0.0, 18.0)}[aspect]
    left, right = (at * scale[0] + edge[0] for at in (100, 140))
    top, bottom = (at * scale[1] + edge[1] for at in (30, 50))
    seen = 0
    for seed in range(40):
        pixels = augment(image, photo, shape, how, np.random.default_rng(seed))
        y, x = np.nonzero(pixels.min(axis=2) > 150)
        seen += len(x) > 0
        if len(x):
            assert left - 3 <= x.min() and x.max() <= right + 3
            assert top - 3 <= y.min() and y.max() <= bottom + 3
    assert seen > 20


def test_people_have_no_eyes_that_shine() -> None:
    image = np.full((64, 64, 3), 20, np.uint8)
    how = replace(NOTHING, infrared=1.0, eyes=1.0)
    for seed in range(10):
        photo = replace(boxed((10, 10, 50, 60)), kind="person")
        assert augment(image, photo, SHAPE, how, np.random.default_rng(seed)).max() < 120


def test_motion_smears_by_at_most_a_twelfth_of_the_width() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[50, 50] = 255
    for seed in range(50):
        smeared = optics.blur_motion(image, np.random.default_rng(seed))
        y, x = np.nonzero(smeared[:, :, 0])
        assert max(np.ptp(x), np.ptp(y)) <= 9
        assert len(x) >= 2
        assert int(smeared[:, :, 0].sum()) == pytest.approx(255, abs=len(x))


def test_what_dims_flattens() -> None:
    image = scene()
    for name in ("fog", "dim"):
        how = replace(NOTHING, **NEW[name])
        off: dict[str, Any] = {name: 0.0}
        without = replace(how, **off)
        spread = [
            [
                cv2.GaussianBlur(augment(image, boxed((0, 0, 9, 9)), Input(96, 96), each,
                        np.random.default_rng(seed)), (0, 0), 2)[32:64, 32:64].std()
                for seed in range(10)
            ]
            for each in (how, without)
        ]  # fmt: skip
        assert np.mean(spread[0]) < 0.8 * np.mean(spread[1]), name


def test_corners_are_dark_and_the_middle_is_not() -> None:
    light = night.corners(41, 61, 0.6)[:, :, 0]
    assert light[20, 30] == 1
    assert light[0, 0] == pytest.approx(0.4)
    assert light[0, 30] == pytest.approx(0.7)


def animal_on(height: int = 120, width: int = 160) -> tuple[Image, Box, np.ndarray]:
    """Return a brown ellipse on green texture, its box and its true mask."""
    image = scene(3, height, width) // 4 + np.array([40, 120, 40], np.uint8)
    truth = np.zeros((height, width), np.uint8)
    cv2.ellipse(truth, (80, 62), (38, 30), 0, 0, 360, 255, -1)
    fur = scene(4, height, width) // 4 + np.array([30, 40, 110], np.uint8)
    image[truth > 0] = fur[truth > 0]
    return image, Box(42, 32, 119, 93, "raccoon"), truth > 0


def test_grabcut_finds_an_animal_in_its_box() -> None:
    image, box, truth = animal_on()
    mask = segment(image, box)
    assert mask is not None
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_nothing_is_cut_out_where_a_box_shows_nothing() -> None:
    flat = np.full((120, 160, 3), 90, np.uint8)
    assert segment(flat, Box(42, 32, 119, 93, "raccoon")) is None
    # A box as large as the photograph leaves nothing to learn the surroundings from.
    assert segment(scene(), Box(0, 0, 80, 60, "raccoon")) is None


@pytest.mark.parametrize(
    ("part", "box", "good"),
    [
        ((20, 20, 60, 60), (15, 15, 65, 65), True),
        ((20, 20, 30, 30), (18, 18, 32, 32), False),  # tiny
        ((20, 20, 60, 60), (20, 20, 60, 60), False),  # fills its box
        ((20, 20, 45, 60), (15, 15, 65, 65), False),  # half as wide as its box
        ((0, 20, 100, 60), (0, 15, 100, 65), False),  # from edge to edge
        ((0, 20, 60, 60), (0, 15, 65, 65), True),  # cut off at one side
    ],
)
def test_plausible_masks(
    part: tuple[int, int, int, int], box: tuple[int, int, int, int], good: bool
) -> None:
    mask = np.zeros((80, 100), np.bool_)
    mask[part[1] : part[3], part[0] : part[2]] = True
    assert plausible(mask, Box(*box)) is good


def test_the_box_to_cut_out_is_the_largest_of_the_class() -> None:
    boxes = (Box(0, 0, 90, 90, "person"), Box(1, 1, 9, 9, "dog"), Box(5, 5, 30, 30, "dog"))
    photo = Photo(Path("a.png"), "dog", "train", "g", 400, boxes)
    assert prior_box(photo, 100, 100) == boxes[2]
    assert prior_box(replace(photo, kind="raccoon"), 100, 100) == boxes[0]
    guess = prior_box(replace(photo, boxes=()), 100, 200)
    assert 0 < guess.x0 < 100 < guess.x1 < 200 and 0 < guess.y0 < 50 < guess.y1 < 100


def red_disc(cut: tuple[bool, bool, bool, bool] = (False,) * 4) -> Cutout:
    mask = np.zeros((60, 50), np.uint8)
    cv2.ellipse(mask, (25, 30), (24, 29), 0, 0, 360, 255, -1)
    image = np.zeros((60, 50, 3), np.uint8)
    image[:] = (30, 200, 30)  # old surroundings, which must not show
    image[mask > 0] = (20, 20, 230)
    return Cutout(image, mask, cut)


def test_something_pasted_lies_inside_and_changes_nothing_else() -> None:
    canvas = np.full((96, 128, 3), 128, np.uint8)
    before = canvas.copy()
    areas = []
    for seed in range(100):
        picture, (x0, y0, x1, y1) = paste(canvas, red_disc(), 0.03, np.random.default_rng(seed))
        assert 0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 96
        # Its middle lies in the lower two thirds.
        assert (y0 + y1) / 2 >= 96 / 3 - 1 or y1 - y0 > 60
        outside = np.ones((96, 128), np.bool_)
        outside[y0:y1, x0:x1] = False
        assert (picture[outside] == 128).all()
        inside = picture[y0:y1, x0:x1].astype(int)
        # In a grey scene it is grey; it is there all the same: darker than the scene.
        assert np.abs(inside - inside.mean(axis=2, keepdims=True)).max() < 12
        assert (inside != 128).any()
        areas.append((x1 - x0) * (y1 - y0) / (96 * 128))
    assert (canvas == before).all()
    assert 0.02 < min(areas) < 0.06 and 0.3 < max(areas) <= 0.8
    assert 0.05 < np.median(areas) < 0.3  # log-uniform, not uniform


def test_old_surroundings_do_not_show() -> None:
    canvas = scene(5, 96, 128)
    canvas[:, :, 1] //= 4  # hardly any green
    for seed in range(20):
        picture, (x0, y0, x1, y1) = paste(canvas, red_disc(), 0.1, np.random.default_rng(seed))
        b, g, r = picture[y0:y1, x0:x1].astype(int).transpose(2, 0, 1)
        assert not ((g > r + 40) & (g > b + 40)).any()


@pytest.mark.parametrize("side", range(4))
def test_what_was_cut_off_stays_at_that_edge(side: int) -> None:
    cut = tuple(index == side for index in range(4))
    canvas = scene(5, 96, 128)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        _, box = paste(canvas, red_disc(cut), 0.05, rng)  # type: ignore[arg-type]
        assert box[side] == (0, 0, 128, 96)[side]


def garden(count: int = 4) -> tuple[list[Photo], list[Image]]:
    """Return animals that can be cut out, cats that cannot, and empty scenes."""
    photos, images = [], []
    for number in range(count):
        image, box, _ = animal_on()
        photos.append(Photo(Path(f"r{number}.png"), "raccoon", "train", f"r{number}", 400, (box,)))
        images.append(image)
        boxes = (box._replace(kind="cat"),) if number == 0 else ()
        photos.append(Photo(Path(f"c{number}.png"), "cat", "train", f"c{number}", 400, boxes))
        flat = np.full((120, 160, 3), 90 + number, np.uint8)
        images.append(image if number == 0 else flat)
        photos.append(Photo(Path(f"b{number}.png"), "background", "train", f"b{number}", 400))
        images.append(scene(10 + number, 120, 160))
    return photos, images


LABELS = np.array([0, 1, 2] * 4)


def test_every_label_is_composited_equally_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    photos, images = garden()
    scenery = Scenery(photos, images, LABELS, replace(NOTHING, composite=0.5))
    assert sorted(scenery.cutouts) == [0, 1, 3, 6, 9]  # one cat of four
    rng = np.random.default_rng(0)
    changed = np.zeros((3, 2))
    for _ in range(100):
        for index, photo in enumerate(photos):
            image, placed = scenery.place(index, rng)
            # The label goes by the kind, which is the pasted animal's.
            assert placed.kind == photo.kind
            changed[index % 3, int(image is not images[index])] += 1
            if image is not images[index]:
                (box,) = placed.boxes
                assert 0 <= box.x0 < box.x1 <= image.shape[1] == placed.width
                assert 0 <= box.y0 < box.y1 <= image.shape[0] == placed.height
    shares = changed[:, 1] / changed.sum(axis=1)
    assert (np.abs(shares - 0.5) < 0.08).all(), shares


def test_a_distant_photograph_takes_its_boxes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    photos, images = garden()
    images[0] = np.full_like(images[0], 10)
    box = photos[0].boxes[0]
    images[0][box.y0 : box.y1, box.x0 : box.x1] = 250
    for index in range(2, 12, 3):
        images[index] = np.full_like(images[index], 120)
    scenery = Scenery(photos, images, LABELS, replace(NOTHING, distant=1.0))
    assert not scenery.cutouts  # nothing is cut out for this
    for seed in range(20):
        picture, placed = scenery.place(0, np.random.default_rng(seed))
        (small,) = placed.boxes
        grey = picture.mean(axis=2)
        middle = grey[(small.y0 + small.y1) // 2, (small.x0 + small.x1) // 2]
        y, x = np.nonzero(grey > (middle + 120) / 2)
        assert abs(x.min() - small.x0) <= 2 and abs(x.max() + 1 - small.x1) <= 2
        assert abs(y.min() - small.y0) <= 2 and abs(y.max() + 1 - small.y1) <= 2


def test_masks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    image, box, _ = animal_on()
    first = composite.kept_mask(image, box)
    empty = composite.kept_mask(np.full_like(image, 90), box)
    assert first is not None and empty is None

    def never(image: Image, box: Box) -> None:
        raise AssertionError("made again")

    with monkeypatch.context() as patched:
        patched.setattr(composite, "segment", never)
        again = composite.kept_mask(image, box)
        assert again is not None and (again == first).all()
        assert composite.kept_mask(np.full_like(image, 90), box) is None
        with pytest.raises(AssertionError):
            composite.kept_mask(image, box._replace(x0=box.x0 + 1))
    # Half a file is no mask: it is made anew.
    for path in tmp_path.rglob("*.z"):
        path.write_bytes(path.read_bytes()[:40])
    again = composite.kept_mask(image, box)
    assert again is not None and (again == first).all()


def test_composites_need_scenes() -> None:
    photos, images = garden(1)
    with pytest.raises(LotorError, match="at least two photographs of class background"):
        Scenery(photos, images, LABELS[:3], replace(NOTHING, distant=0.5))


def test_masks_of_other_versions_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    image, box, _ = animal_on()
    before = cutout.mask_key(image, box)
    monkeypatch.setattr(cutout, "VERSION", cutout.VERSION + 1)
    assert cutout.mask_key(image, box) != before


@pytest.mark.train
def test_a_sheet_shows_what_a_recipe_has_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    data = make_garden(tmp_path / "data")
    recipe = write_recipe(
        tmp_path, TEXT.replace("[quantize]", "[augment]\nrain = 0.3\ndistant = 0.2\n[quantize]")
    )
    sheet = tmp_path / "out" / "sheet.png"
    given = ["train", str(recipe), "--data", str(data), "--preview", str(sheet), "--json"]
    assert main(given) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[:2] == ["photograph", "all together"]
    assert {"flip", "rain", "distant", "zoom"} <= set(rows)
    assert not {"composite", "mesh", "fog"} & set(rows)
    drawn = cv2.imread(str(sheet))
    assert drawn is not None and drawn.shape[0] > 128 * (len(rows) + 3)
    assert not (tmp_path / "tiny.tflite").exists()
    # The same seed gives the same sheet.
    before = sheet.read_bytes()
    assert main(given) == 0
    assert sheet.read_bytes() == before
