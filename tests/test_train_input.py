"""What a training is given: photographs that are bad in any way, versions, folders, full disks."""

import hashlib
import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from garden import make_garden, write_manifest
from lotor.cli import main
from lotor.data.forget import forget
from lotor.data.ingest import import_photos
from lotor.data.manifest import DataSet, Photo, read_manifest
from lotor.data.picture import read_picture
from lotor.data.store import FORGOTTEN, Tombstone, open_store, tombstone_bytes, tombstones
from lotor.errors import LotorError
from lotor.preprocess import read_image
from lotor.train.check import check_data
from lotor.train.recipe import Recipe, read_recipe

RECIPE = """
name = "tiny"
target = "raccoon"
labels = ["raccoon", "person", "other_animal", "background"]
[input]
height = 96
width = 96
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
[fit]
steps = 3
"""


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    return make_garden(tmp_path / "garden", each=2)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return read_recipe(tmp_path / "recipe.toml")


def change(garden: Path, which: Callable[[Photo], bool], **fields: Any) -> DataSet:
    """Return a garden as it would be if some rows said something else."""
    data = read_manifest(garden)
    return replace(data, photos=tuple(replace(p, **fields) if which(p) else p for p in data.photos))


def every(photo: Photo) -> bool:
    return True


def one(photo: Photo) -> bool:
    return photo.path.match("raccoon/train0.png")


def test_a_sound_garden(garden: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    data, digest = check_data(read_manifest(garden), recipe)
    assert data == read_manifest(garden)
    assert capsys.readouterr().err == ""
    assert check_data(data, recipe)[1] == digest
    path = garden / "raccoon" / "train0.png"
    cv2.imwrite(str(path), read_image(path)[::-1])
    assert check_data(data, recipe)[1] != digest


def test_all_bad_photographs_are_told_at_once(
    garden: Path, recipe: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cut off, damaged, empty, text, missing, changed: what decoders say of them is not shown."""
    png = (garden / "raccoon/train0.png").read_bytes()
    photo = read_image(garden / "raccoon/train1.png")
    jpeg = cv2.imencode(".jpg", photo)[1].tobytes()
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 0x55
    bad = {
        "raccoon/train0.png": png[: len(png) // 2],
        "raccoon/train1.png": jpeg[:-20],
        "person/val0.png": bytes(damaged),
        "person/val1.png": b"",
        "cat/test0.png": b"no image at all",
    }
    for name, content in bad.items():
        (garden / name).write_bytes(content)
    (garden / "cat/test1.png").unlink()
    with pytest.raises(LotorError) as caught:
        check_data(read_manifest(garden), recipe)
    text = str(caught.value)
    assert text.startswith("6 of 24 photographs cannot be used: ")
    assert "train0.png is no image" in text
    assert "; and 3 more; mend them, or take them out of the manifest" in text
    assert capfd.readouterr().err == ""
    for name in bad:
        with pytest.raises(LotorError, match=Path(name).name):
            read_image(garden / name)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"path": Path("GARDEN/none.png")}, r"cannot read image .*none\.png: No such file"),
        ({"path": Path("GARDEN/raccoon")}, r"cannot read image .*raccoon: Is a directory"),
        ({"sha256": "0" * 64}, r"train0\.png has changed: its SHA-256 is not the manifest's"),
        ({"width": 60, "height": 48}, "has 64x48 pixels, the manifest says 60x48"),
        ({"boxes": ((64, 2, 70, 9, "raccoon"),)}, "box 64,2,70,9 is outside the image of 64x48"),
    ],
)
def test_a_photograph_that_is_not_what_the_manifest_says(
    garden: Path, recipe: Recipe, fields: dict[str, Any], says: str
) -> None:
    if path := fields.get("path"):
        fields = {"path": Path(str(path).replace("GARDEN", str(garden)))}
    with pytest.raises(LotorError, match=f"1 of 24 photographs cannot be used: .*{says}"):
        check_data(change(garden, one, **fields), recipe)


@pytest.mark.parametrize(
    ("kind", "split", "says"),
    [
        (None, "train", "no photograph with a class in split train, to learn from"),
        (None, "val", "no photograph with a class in split val, to choose thresholds by"),
        ("cat", "train", "no photograph to train on is labelled other_animal: add some"),
    ],
)
def test_splits_that_cannot_be_trained_on(
    garden: Path, recipe: Recipe, kind: str | None, split: str, says: str
) -> None:
    def chosen(photo: Photo) -> bool:
        return photo.split == split and kind in (None, photo.kind)

    with pytest.raises(LotorError, match=says):
        check_data(change(garden, chosen, split=""), recipe)


def test_one_class_only(garden: Path, recipe: Recipe) -> None:
    data = change(garden, every, kind="raccoon")
    with pytest.raises(LotorError, match="is labelled person, other_animal, background: add"):
        check_data(data, recipe)
    alone = {"raccoon": 1.0, "person": 0.0, "other_animal": 0.0, "background": 0.0}
    single = replace(recipe, data=replace(recipe.data, share=alone))
    with pytest.raises(LotorError, match="all photographs to train on would be raccoon: a class"):
        check_data(data, single)


@pytest.mark.parametrize(
    ("which", "fields", "says"),
    [
        (lambda p: p.split == "test", {"split": ""}, "split test is empty: no figure"),
        (
            lambda p: p.split == "val" and p.kind == "raccoon",
            {"split": ""},
            "split val has no raccoon: its figures tell nothing of that",
        ),
        (
            lambda p: p.kind == "person" and p.split != "train",
            {"kind": "unlabelled"},
            "4 photographs have no class yet and are left out (person/val0.png, person/val1.png, "
            "person/test0.png, and 1 more); `lotor data label",
        ),
        (
            lambda p: p.path.match("person/*0.png"),
            {"kind": "unlabelled"},
            "3 photographs have no class yet and are left out",
        ),
    ],
)
def test_what_training_can_live_with(
    garden: Path,
    recipe: Recipe,
    capsys: pytest.CaptureFixture[str],
    which: Callable[[Photo], bool],
    fields: dict[str, str],
    says: str,
) -> None:
    data, _ = check_data(change(garden, which, **fields), recipe)
    said = capsys.readouterr().err
    assert f"warning: {says}" in said
    assert all(line.startswith("warning: ") for line in said.splitlines())
    assert not [photo for photo in data.photos if photo.kind == "unlabelled"]


def test_classes_that_nothing_has(
    garden: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {**recipe.data.classes, "racoon": "raccoon"}
    check_data(read_manifest(garden), replace(recipe, data=replace(recipe.data, classes=named)))
    assert "no photograph has the class racoon that the recipe names" in capsys.readouterr().err


def test_a_photograph_in_two_splits(
    garden: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = garden / "raccoon/test1.png"
    twin.write_bytes((garden / "raccoon/train1.png").read_bytes())
    check_data(read_manifest(garden), recipe)
    said = capsys.readouterr().err
    assert "1 photographs are in two splits (raccoon/train1.png in train and raccoon/test1" in said


def test_all_wrong_rows_are_counted(garden: Path) -> None:
    row = ["a.png", "raccoon", "train", "g", "48", "", ""]
    rows = [row, [*row[:5], "raccoon:1,2,3", ""], [*row[:5], "raccoon:1,2,inf,4", ""]]
    write_manifest(garden, [[f"{n}.png", *r[1:]] for n, r in enumerate(rows)])
    with pytest.raises(LotorError, match=r"line 3: box 'raccoon:1,2,3' is not .*and 1 more lines"):
        read_manifest(garden)


def picture(folder: Path, name: str) -> Path:
    """Write an image file that is not plain."""
    blobs = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(blobs).resize((64, 48), Image.Resampling.BICUBIC)
    path, pixels = folder / name, np.asarray(image)
    turned = Image.Exif()
    turned[0x0112] = 6
    fade = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    clear = Image.fromarray(np.dstack([pixels, fade]))
    frames = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), image.rotate(90)]
    more = {"save_all": True, "append_images": frames}
    if name.startswith("deep"):
        deep = pixels.astype(np.uint16) * 257
        cv2.imwrite(str(path), deep if "colour" in name else deep[:, :, 0])
        return path
    saved: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 95}),
        "cmyk.tif": (image.convert("CMYK"), {}),
        "turned.jpg": (image, {"exif": turned, "quality": 95}),
        "turned.png": (image, {"exif": turned}),
        "clear.png": (clear, {}),
        "clear.webp": (clear, {"lossless": True, "exact": True}),
        "clear_grey.png": (clear.convert("LA"), {}),
        "palette.png": (image.quantize(64), {"transparency": 3}),
        "moving.gif": (image, more),
        "moving.png": (image, more),
        "moving.webp": (image, more),
    }
    what, how = saved[name]
    what.save(path, **how)
    return path


@pytest.mark.parametrize(
    "name",
    ["cmyk.jpg", "cmyk.tif", "turned.jpg", "turned.png", "clear.png", "clear.webp",
     "clear_grey.png", "palette.png", "moving.gif", "moving.png", "moving.webp", "deep.png",
     "deep_colour.png"],
)  # fmt: skip
def test_a_file_is_read_as_import_would_make_it(name: str, tmp_path: Path) -> None:
    path = picture(tmp_path, name)
    plain = np.asarray(read_picture(path).image())[:, :, ::-1]
    found = read_image(path)
    assert found.shape == plain.shape
    # Lossy files are stored once more by import, and colours of CMYK differ a little.
    most = 12 if path.suffix == ".jpg" else 1
    assert np.abs(found.astype(int) - plain).max() <= most


@pytest.fixture
def trained(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`lotor train` whose optimisation is left out: what comes of it has learned nothing."""
    pytest.importorskip("tensorflow")
    from lotor.train import export, fold, networks, pipeline

    network = fold.fold(networks.build(recipe.network, 96, 96, len(recipe.labels)))
    content = export.to_float(network)
    given: list[DataSet] = []

    def fit(recipe: Recipe, photos: DataSet, saved: Any) -> tuple[bytes, bytes, dict[str, Any]]:
        given.append(photos)
        saved.keep("all", 1, [], np.random.default_rng(0))
        return content, content, {}

    def train(data: Path, out: Path, *more: str) -> int:
        start = ["train", str(tmp_path / "recipe.toml"), "--data", str(data), "--out", str(out)]
        return main([*start, *more])

    def no_samples() -> None:
        raise LotorError("no network")

    monkeypatch.setattr(pipeline, "_fit", fit)
    monkeypatch.setattr(pipeline, "get_samples", no_samples)  # golden vectors are made of noise
    train.given = given  # type: ignore[attr-defined]
    return train


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def old_model(out: Path) -> dict[str, bytes]:
    """Write what an earlier training has left."""
    for name in ("tiny.tflite", "labels.txt", "lineage.json", "golden/old.npz"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("of before")
    return contents(out)


@pytest.mark.train
def test_files_appear_together(
    trained: Callable[..., int], garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are made nothing changes; what is broken off between renames is done again."""
    tensorflow = pytest.importorskip("tensorflow")
    out = tmp_path / "out"
    before = old_model(out)
    real = Path.replace
    moved: list[Path] = []

    def replace_(path: Path, to: Path) -> Path:
        if path.parent.name == ".tiny.new" and not moved:
            assert {n: c for n, c in contents(out).items() if not n.startswith(".")} == before
        if path.suffix != ".new":
            moved.append(to)
        if len(moved) == 4:
            raise KeyboardInterrupt
        return real(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_)
        assert trained(garden, out) == 130
    assert (out / ".tiny.training").is_file()
    assert trained(garden, out) == 0
    now = contents(out)
    assert set(now) == {
        "tiny.tflite", "tiny_float.tflite", "labels.txt", "recipe.toml", "metrics.json",
        "lineage.json", "golden/noise0.npz", "golden/noise1.npz",
    }  # fmt: skip
    lineage = json.loads(now["lineage.json"])
    assert lineage["model_sha256"] == hashlib.sha256(now["tiny.tflite"]).hexdigest()
    assert lineage["cpu"]
    used = tensorflow.config.threading.get_intra_op_parallelism_threads()
    assert lineage["threads"]["tensorflow"] == used
    assert {"python", "packages", "code_sha256", "seed"} <= set(lineage)


@pytest.mark.train
def test_a_full_disk_changes_nothing(
    trained: Callable[..., int], garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    before = old_model(out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # bytes of a file
        code = trained(garden, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    *_, line = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith(f"lotor: cannot write to {out}: File too large; nothing there has cha")
    now = contents(out)
    assert now.pop(".tiny.training")  # to go on from
    assert now == before
    assert trained(garden, out) == 0
    assert "going on from step 1 (all)" in capsys.readouterr().err


@pytest.mark.train
def test_folders_that_will_not_do(
    trained: Callable[..., int], garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    for out, says in (
        (tmp_path / "file", "is a file; give a folder with --out"),
        (Path("/proc"), "give another folder with --out"),
        (tmp_path / "file" / "below", "give another folder with --out"),
    ):
        assert trained(garden, out) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("lotor: ")
        assert str(out) in line
        assert says in line
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "garden")


@pytest.mark.train
def test_another_training_in_the_same_folder(
    trained: Callable[..., int],
    garden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Recipe, seed, photographs, code: one line says in what they differ; --anew starts over."""
    from lotor.train import pipeline

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "staged", broken)
        assert trained(garden, out) == 130
    said = []
    for more in (["--seed", "3"], ["--steps", "9"]):
        assert trained(garden, out, *more) == 2
        said.append(capsys.readouterr().err.splitlines()[-1])
    path = garden / "raccoon" / "train0.png"
    before = path.read_bytes()
    cv2.imwrite(str(path), read_image(path)[::-1])
    assert trained(garden, out) == 2
    said.append(capsys.readouterr().err.splitlines()[-1])
    path.write_bytes(before)
    for text, what in zip(
        said, ("recipe.fit.seed 0, this one has 3", "recipe.fit.steps 3, this", "photographs "),
        strict=True,
    ):  # fmt: skip
        assert f"{out}/.tiny.training is the state of an interrupted training with {what}" in text
    assert trained(garden, out, "--seed", "3", "--anew") == 0
    assert "going on" not in capsys.readouterr().err
    assert json.loads((out / "lineage.json").read_text())["seed"] == 3


@pytest.mark.train
def test_a_photograph_is_forgotten_by_the_next_training(
    trained: Callable[..., int], garden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train, forget: the model is named; trained again, it has not seen the photograph."""
    given: list[DataSet] = trained.given  # type: ignore[attr-defined]
    store, out = tmp_path / "set", tmp_path / "models" / "tiny"

    def ids() -> set[str]:
        return {photo.id for photo in given[-1].split("train")}

    def lineage() -> dict[str, Any]:
        return dict(json.loads((out / "lineage.json").read_text()))

    first = import_photos(garden, store).version
    assert trained(store, out) == 0
    old = lineage()
    assert old["manifest_sha256"] == first
    assert old["forgotten"] == []
    gone = next(photo for photo in open_store(store).photos if photo.split == "train")
    assert gone.id in ids()
    done = forget(store, [gone.id], "asked by mail", [tmp_path / "models"])
    assert done.models == [str(out)]
    assert trained(store, out) == 0
    new = lineage()
    assert ids() == {photo.id for photo in open_store(store).photos if photo.split == "train"}
    assert gone.id not in ids()
    assert new["manifest_sha256"] == done.version != first
    assert new["photographs_sha256"] != old["photographs_sha256"]
    assert new["photos"]["train"] == old["photos"]["train"] - 1

    # An earlier version is trained on by its name, and it has lost the photograph, too.
    assert trained(store, out, "--version", first[:12]) == 0
    assert lineage()["manifest_sha256"] == first
    assert lineage()["forgotten"] == [gone.id]
    assert gone.id not in ids()
    assert lineage()["photographs_sha256"] == new["photographs_sha256"]
    # Where forgetting was broken off after its first step, the photograph is still learned from.
    half = next(photo for photo in open_store(store).photos if photo.split == "train")
    stones = [*tombstones(store).values(), Tombstone(half.id, "", (first,))]
    (store / FORGOTTEN).write_bytes(tombstone_bytes(stones))
    assert trained(store, out, "--version", first[:12]) == 0
    assert half.id in ids()
    assert lineage()["forgotten"] == [gone.id]
    assert forget(store, [half.id], "", [tmp_path / "models"]).models == [str(out)]
    capsys.readouterr()
    assert trained(store, out, "--version", "abcdef") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no version 'abcdef'" in line
