"""Photographs from anywhere into a data set: formats, odd files, and what breaks off."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Lotor
from garden import make_garden, write_manifest
from lotor.cli import main
from lotor.data.importers import FORMATS, find_format
from lotor.data.importers.item import BACKGROUND
from lotor.data.ingest import import_photos
from lotor.data.manifest import UNLABELLED, Box, read_manifest
from lotor.data.picture import read_picture
from lotor.data.store import open_store, versions
from lotor.errors import LotorError

RNG = np.random.default_rng(11)


def photo(path: Path, width: int = 64, height: int = 48, **save: object) -> Path:
    """Write a photograph of noise that is smooth enough for JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = RNG.integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(small).resize((width, height)).save(path, **save)  # type: ignore[arg-type]
    return path


def test_a_folder_of_classes(tmp_path: Path) -> None:
    photo(tmp_path / "in/raccoon/a.jpg")
    photo(tmp_path / "in/valid/cat/b.png")
    photo(tmp_path / "in/train/cat/deep/c.png")
    (tmp_path / "in/raccoon/notes.txt").write_text("no image")
    done = import_photos(tmp_path / "in", tmp_path / "out")
    assert (done.format, done.added, done.known, done.bad) == ("folder", 3, 0, [])
    data = read_manifest(tmp_path / "out")
    assert data.manifest_hash == done.version
    found = {p.source: (p.kind, p.split, p.width, p.height) for p in data.photos}
    assert found == {
        "a.jpg": ("raccoon", "", 64, 48),
        "b.png": ("cat", "val", 64, 48),
        "c.png": ("cat", "train", 64, 48),
    }
    for p in data.photos:
        assert p.path.stem == p.id == read_picture(p.path).sha256[:16]
        assert len(p.phash) == 16
    again = import_photos(tmp_path / "in", tmp_path / "out")
    assert (again.added, again.known, again.version) == (0, 3, done.version)
    assert versions(tmp_path / "out") == [done.version]


def test_unlabelled_photographs_need_a_label(tmp_path: Path) -> None:
    photo(tmp_path / "in/a.jpg")
    with pytest.raises(LotorError, match=r"1 of 1 .* nothing was added: .*a\.jpg has no class"):
        import_photos(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()
    import_photos(tmp_path / "in", tmp_path / "out", label=UNLABELLED)
    assert open_store(tmp_path / "out").photos[0].kind == UNLABELLED


def test_classes_are_renamed_and_left_out(tmp_path: Path) -> None:
    for kind in ("procyon_lotor", "felis", "plant"):
        photo(tmp_path / "in" / kind / "a.png")
    classes = {"procyon_lotor": "raccoon", "plant": ""}
    import_photos(tmp_path / "in", tmp_path / "out", classes=classes)
    assert sorted(p.kind for p in open_store(tmp_path / "out").photos) == ["felis", "raccoon"]


def coco(folder: Path, extra: dict[str, object] | None = None) -> Path:
    photo(folder / "images/one.jpg", 80, 60)
    photo(folder / "images/two.jpg", 80, 60)
    table = {
        "images": [
            {"id": 7, "file_name": "one.jpg", "width": 80, "height": 60, "license": 1},
            {"id": 9, "file_name": "two.jpg", "width": 80, "height": 60},
        ],
        "categories": [{"id": 3, "name": "raccoon"}, {"id": 4, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 4, "bbox": [1, 2, 5, 6]},
            {"image_id": 7, "category_id": 3, "bbox": [10.4, 20, 30, 20.2]},
        ],
        "licenses": [{"id": 1, "name": "CC BY 4.0"}],
    }
    for row in table["images"] if extra else ():
        row.update(extra)  # type: ignore[arg-type]
    file = folder / "instances.json"
    file.write_text(json.dumps(table))
    return file


def test_coco(tmp_path: Path) -> None:
    file = coco(tmp_path / "in")
    done = import_photos(file, tmp_path / "out", images=tmp_path / "in/images")
    assert done.format == "coco"
    one, two = sorted(open_store(tmp_path / "out").photos, key=lambda p: p.source)
    assert (one.kind, one.licence, two.kind) == ("raccoon", "CC BY 4.0", BACKGROUND)
    assert one.boxes == (Box(1, 2, 6, 8, "person"), Box(10, 20, 40, 40, "raccoon"))


def test_boxes_shrink_with_their_photograph(tmp_path: Path) -> None:
    file = coco(tmp_path / "in")
    import_photos(file, tmp_path / "out", images=tmp_path / "in/images", short_side=30)
    one = next(p for p in open_store(tmp_path / "out").photos if p.source == "one.jpg")
    assert (one.width, one.height, one.native_short_side) == (40, 30, 60)
    assert one.boxes[1] == Box(5, 10, 20, 20, "raccoon")


def test_camera_traps_keep_places_and_visits(tmp_path: Path) -> None:
    photo(tmp_path / "in/images/one.jpg", 80, 60)
    photo(tmp_path / "in/images/two.jpg", 80, 60)
    file = coco(tmp_path / "in", {"location": "porch", "seq_id": "s1"})
    table = json.loads(file.read_text())
    table["categories"].append({"id": 0, "name": "empty"})
    table["annotations"].append({"image_id": 9, "category_id": 0})
    file.write_text(json.dumps(table))
    done = import_photos(file, tmp_path / "out", images=tmp_path / "in/images", name="lila")
    assert done.format == "camera-trap"
    one, two = sorted(open_store(tmp_path / "out").photos, key=lambda p: p.source)
    assert (one.kind, two.kind) == ("raccoon", BACKGROUND)
    assert (one.place, one.visit, one.group) == ("lila/porch", "lila/s1", "lila/s1")
    assert two.group == one.group


def test_pascal_voc(tmp_path: Path) -> None:
    photo(tmp_path / "in/JPEGImages/one.jpg", 80, 60)
    xml = tmp_path / "in/Annotations/one.xml"
    xml.parent.mkdir()
    xml.write_text(
        "<annotation><filename>one.jpg</filename><size><width>80</width><height>60</height></size>"
        "<object><name>raccoon</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax>"
        "<ymax>50</ymax></bndbox></object></annotation>"
    )
    done = import_photos(tmp_path / "in", tmp_path / "out")
    assert done.format == "voc"
    assert open_store(tmp_path / "out").photos[0].boxes == (Box(10, 20, 40, 50, "raccoon"),)
    xml.write_text("<annotation><filename>one.jpg</filename><object/></annotation>")
    with pytest.raises(LotorError, match=r"one\.xml: <object> lacks"):
        import_photos(tmp_path / "in", tmp_path / "out2")


def test_yolo(tmp_path: Path) -> None:
    photo(tmp_path / "in/images/train/one.jpg", 80, 60)
    photo(tmp_path / "in/images/val/two.jpg", 80, 60)
    labels = tmp_path / "in/labels/train/one.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("1 0.5 0.5 0.25 0.5\n")
    (tmp_path / "in/data.yaml").write_text("names: {0: cat, 1: raccoon}\n")
    done = import_photos(tmp_path / "in", tmp_path / "out")
    assert done.format == "yolo"
    one, two = sorted(open_store(tmp_path / "out").photos, key=lambda p: p.source)
    assert (one.kind, one.split, one.boxes) == (
        "raccoon",
        "train",
        (Box(30, 15, 50, 45, "raccoon"),),
    )
    assert (two.kind, two.split) == (BACKGROUND, "val")
    labels.write_text("5 0.5 0.5 0.25 0.5\n")
    with pytest.raises(LotorError, match=r"one\.txt line 1: '5 0\.5"):
        import_photos(tmp_path / "in", tmp_path / "out2")


def test_a_sentinels_events(tmp_path: Path) -> None:
    photo(tmp_path / "in/porch/1.jpg", 80, 60)
    photo(tmp_path / "in/porch/2.jpg", 80, 60)
    events = [
        {"id": "e1", "camera": "porch", "label": "cat",
         "frames": [{"file": "porch/1.jpg", "box": [1, 2, 30, 40]}]},
        {"id": "e2", "camera": "porch", "label": None, "frames": [{"file": "porch/2.jpg"}]},
    ]  # fmt: skip
    (tmp_path / "in/events.jsonl").write_text("\n".join(map(json.dumps, events)))
    done = import_photos(tmp_path / "in", tmp_path / "out", name="")
    assert done.format == "events"
    one, two = sorted(open_store(tmp_path / "out").photos, key=lambda p: p.source)
    assert (one.kind, one.visit, one.place, one.boxes) == (
        "cat",
        "e1",
        "porch",
        (Box(1, 2, 30, 40, "cat"),),
    )
    assert two.kind == UNLABELLED
    (tmp_path / "in/events.jsonl").write_text('{"id": "e1", "frames": [{"file": "../../x.jpg"}]}')
    with pytest.raises(LotorError, match="is not below"):
        import_photos(tmp_path / "in", tmp_path / "out2")


def test_a_manifest_of_another_folder(tmp_path: Path) -> None:
    done = import_photos(make_garden(tmp_path / "garden"), tmp_path / "out")
    assert (done.format, done.added) == ("manifest", 48)
    old = {
        (p.kind, p.split, p.native_short_side) for p in read_manifest(tmp_path / "garden").photos
    }
    new = open_store(tmp_path / "out").photos
    assert {(p.kind, p.split, p.native_short_side) for p in new} == old
    assert all(p.group.startswith("garden/") for p in new)


def test_an_unknown_format_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="nothing at"):
        find_format(tmp_path / "none")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(LotorError, match="of no known format"):
        find_format(tmp_path / "x.json")
    with pytest.raises(LotorError, match=r"no format 'cocoa' .did you mean 'coco'"):
        find_format(tmp_path, "cocoa")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LotorError, match="no image below"):
        import_photos(tmp_path / "empty", tmp_path / "out")
    assert set(FORMATS) == {"manifest", "events", "camera-trap", "coco", "yolo", "voc", "folder"}


# Odd files.


def test_a_plain_file_is_kept_byte_by_byte(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        path = photo(tmp_path / name)
        picture = read_picture(path)
        assert picture.content == path.read_bytes()
        assert picture.changed == ""


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    left = np.zeros((40, 60, 3), np.uint8)
    left[:, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(left).save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.width, picture.height, picture.suffix) == (40, 60, ".jpg")
    assert "turned upright" in picture.changed
    pixels = np.asarray(picture.image())
    assert pixels[:15].mean() > 240 > 15 > pixels[25:].mean()
    # Nothing turns it a second time.
    (tmp_path / "b.jpg").write_bytes(picture.content)
    assert read_picture(tmp_path / "b.jpg").changed == ""


def test_other_kinds_of_pixels(tmp_path: Path) -> None:
    red = Image.new("RGB", (20, 16), (200, 30, 40))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    red.quantize(4).save(tmp_path / "palette.png")
    red.save(tmp_path / "bitmap.bmp")
    deep = np.full((16, 20), 200 * 257, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    clear = Image.new("RGBA", (20, 16), (200, 30, 40, 0))
    clear.save(tmp_path / "clear.png")
    wanted = {
        "cmyk.jpg": (200, 30, 40),
        "palette.png": (200, 30, 40),
        "bitmap.bmp": (200, 30, 40),
        "deep.png": (200, 200, 200),
        "clear.png": (128, 128, 128),
    }
    for name, colour in wanted.items():
        picture = read_picture(tmp_path / name)
        assert picture.changed, name
        pixels = np.asarray(picture.image())
        assert pixels.shape == (16, 20, 3)
        assert np.abs(pixels.astype(int) - colour).max() <= 12, name


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.gif")
    assert "first of 2 frames" in picture.changed
    assert np.asarray(picture.image())[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_files_that_are_cut_off_or_damaged(tmp_path: Path, name: str) -> None:
    whole = photo(tmp_path / "whole" / name, 200, 150).read_bytes()
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 30):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(LotorError, match=name):
            read_picture(tmp_path / name)
    (tmp_path / name).write_text("this is no image, whatever it is called")
    with pytest.raises(LotorError, match="is no image that can be read"):
        read_picture(tmp_path / name)
    with pytest.raises(LotorError, match="cannot read image"):
        read_picture(tmp_path / "none.jpg")


def test_bad_photographs_stop_an_import_or_are_left_out(tmp_path: Path) -> None:
    photo(tmp_path / "in/raccoon/a.jpg")
    (tmp_path / "in/raccoon/b.jpg").write_bytes(b"")
    with pytest.raises(LotorError, match=r"1 of 2 photographs cannot be taken.*b\.jpg is empty"):
        import_photos(tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.jpg"))
    done = import_photos(tmp_path / "in", tmp_path / "out", skip_bad=True)
    assert (done.added, len(done.bad)) == (1, 1)


def test_one_photograph_has_one_class(tmp_path: Path) -> None:
    first = photo(tmp_path / "in/raccoon/a.jpg")
    other = tmp_path / "in/cat/b.jpg"
    other.parent.mkdir()
    other.write_bytes(first.read_bytes())
    with pytest.raises(LotorError, match="the same photograph must have one class"):
        import_photos(tmp_path / "in", tmp_path / "out")


Corners = tuple[float, float, float, float]


def _write_coco(folder: Path, box: Corners | str, extra: dict[str, object] | None = None) -> Path:
    """A COCO file whose first image has this box, or this text for one."""
    file = coco(folder, extra)
    text = box if isinstance(box, str) else "[{}, {}, {}, {}]".format(
        *(json.dumps(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1]))
    )  # fmt: skip
    table = json.loads(file.read_text())
    table["annotations"] = [{"image_id": 7, "category_id": 3, "bbox": "BOX"}]
    file.write_text(json.dumps(table).replace('"BOX"', text))
    return file


def _write_camera_trap(folder: Path, box: Corners | str) -> Path:
    return _write_coco(folder, box, {"location": "porch", "seq_id": "s1"})


def _write_yolo(folder: Path, box: Corners | str) -> Path:
    photo(folder / "images/one.jpg", 80, 60)
    photo(folder / "images/two.jpg", 80, 60)
    if not isinstance(box, str):
        x0, y0, x1, y1 = box
        box = f"{(x0 + x1) / 160} {(y0 + y1) / 120} {(x1 - x0) / 80} {(y1 - y0) / 60}"
    (folder / "labels").mkdir()
    (folder / "labels/one.txt").write_text(f"0 {box}\n")
    (folder / "data.yaml").write_text("names: [raccoon]\n")
    return folder


def _write_voc(folder: Path, box: Corners | str) -> Path:
    whole = _voc_corners((10, 10, 40, 40))
    corners = box if isinstance(box, str) else _voc_corners(box)
    for name, inside in (("one", corners), ("two", whole)):
        photo(folder / f"{name}.jpg", 80, 60)
        (folder / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><object><name>raccoon</name>"
            f"<bndbox>{inside}</bndbox></object></annotation>"
        )
    return folder


def _voc_corners(box: Corners) -> str:
    values = (box[0] + 1, box[1] + 1, box[2], box[3])
    names = ("xmin", "ymin", "xmax", "ymax")
    return "".join(f"<{n}>{v}</{n}>" for n, v in zip(names, values, strict=True))


def _write_events(folder: Path, box: Corners | str) -> Path:
    text = box if isinstance(box, str) else json.dumps(box)
    photo(folder / "one.jpg", 80, 60)
    photo(folder / "two.jpg", 80, 60)
    (folder / "events.jsonl").write_text(
        '{"id": "e1", "label": "raccoon", "frames": [{"file": "one.jpg", "box": ' + text + "},"
        ' {"file": "two.jpg"}]}'
    )
    return folder


def _write_manifest(folder: Path, box: Corners | str) -> Path:
    text = box if isinstance(box, str) else ",".join(map(str, box))
    for name in ("one.jpg", "two.jpg"):
        photo(folder / name, 80, 60)
    write_manifest(folder, [
        ["one.jpg", "raccoon", "", "", "60", f"raccoon:{text}", ""],
        ["two.jpg", "raccoon", "", "", "60", "raccoon:1,2,30,40", ""],
    ])  # fmt: skip
    return folder


WRITERS = {
    "coco": _write_coco,
    "camera-trap": _write_camera_trap,
    "yolo": _write_yolo,
    "voc": _write_voc,
    "events": _write_events,
    "manifest": _write_manifest,
}
NAN, INF = float("nan"), float("inf")
NO_NUMBERS = {"coco": {"null": "null", "empty": "[]", "text": '["a", "b", "c", "d"]'}}
NO_NUMBERS["camera-trap"] = NO_NUMBERS["events"] = NO_NUMBERS["coco"]
NO_NUMBERS["yolo"] = {"null": "null", "empty": "", "text": "a b c d"}
NO_NUMBERS["voc"] = {"null": "<xmin/><ymin/><xmax/><ymax/>", "empty": "", "text": "<xmin>a</xmin>"}
NO_NUMBERS["manifest"] = {"null": "null", "empty": "", "text": "a,b,c,d"}
WRONG: dict[str, Corners | None] = {
    "nan": (NAN, 2, 30, 40),
    "inf": (1, INF, 30, INF),
    "far": (-1e308, 2, 1e308, 40),
    "negative": (30, 10, 20, 40),
    "zero-size": (30, 10, 30, 40),
    "outside": (300, 10, 330, 40),
    "null": None,
    "empty": None,
    "text": None,
}
# A box may be null where it may be missing, and whole pixels make nothing of a thin one.
ALLOWED = {("camera-trap", "null"), ("events", "null"), ("manifest", "zero-size")}
ALLOWED |= {(form, "far") for form in ("manifest", "events", "voc")}  # cut to the image


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_boxes(
    form: str, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corners = WRONG[wrong]
    box = NO_NUMBERS[form][wrong] if corners is None else corners
    source, out = WRITERS[form](tmp_path / "in", box), tmp_path / "out"
    command = ["data", "import", str(source), "--into", str(out), "--format", form]
    if (tmp_path / "in/images").is_dir() and form != "yolo":
        command += ["--images", str(tmp_path / "in/images")]
    if (form, wrong) in ALLOWED:
        assert main(command) == 0, capsys.readouterr().err
        assert len(open_store(out).photos) == 2
        return
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lotor: 1 of 2 photographs cannot be taken, and nothing was added: ")
    assert line.endswith("; mend them, or leave them out with --skip-bad")
    assert "one." in line or "line" in line
    assert not any(word in line for word in ("Error", "None", "invalid literal", "object has"))
    assert not (out / "manifest.csv").exists()
    assert not list(out.rglob("*.jpg"))
    assert main([*command, "--skip-bad", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["added"] == 1
    assert [told in line for told in done["bad"]] == [True]
    assert [p.source for p in open_store(out).photos] == ["two.jpg"]


def damage_yolo_image(folder: Path) -> Path:
    file = _write_yolo(folder, (1, 2, 30, 40))
    (folder / "images/one.jpg").write_bytes(b"nothing")
    return file


def damage_yolo_class(folder: Path) -> Path:
    file = _write_yolo(folder, (1, 2, 30, 40))
    (folder / "labels/one.txt").write_text("5 0.5 0.5 0.1 0.1\n")
    return file


def damage_yolo_labels(folder: Path) -> Path:
    file = _write_yolo(folder, (1, 2, 30, 40))
    (folder / "labels/one.txt").write_bytes(b"\xff\xfe\x00\x01")
    return file


def damage_voc_start(folder: Path) -> Path:
    """The first file does not even look like one: the folder is still no folder of classes."""
    file = _write_voc(folder, (1, 2, 30, 40))
    (folder / "one.xml").write_text("")
    return file


def damage_voc_end(folder: Path) -> Path:
    file = _write_voc(folder, (1, 2, 30, 40))
    (folder / "one.xml").write_text("<annotation><filename>one.jpg")
    return file


def damage_voc_encoding(folder: Path) -> Path:
    file = _write_voc(folder, (1, 2, 30, 40))
    (folder / "one.xml").write_text('<?xml version="1.0" encoding="klingon"?><annotation/>')
    return file


def damage_event(folder: Path) -> Path:
    file = _write_events(folder, (1, 2, 30, 40))
    events = file / "events.jsonl"
    (frames := json.loads(events.read_text()))["frames"].pop(0)
    events.write_text('{"id": "e0", "fra\n' + json.dumps(frames))
    return file


def damage_frame(folder: Path) -> Path:
    file = _write_events(folder, (1, 2, 30, 40))
    events = file / "events.jsonl"
    events.write_text(events.read_text().replace('"one.jpg"', '"../one.jpg"'))
    return file


def damage_coco(folder: Path, old: str, new: str) -> Path:
    file = _write_coco(folder, (1, 2, 30, 40))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


def damage_manifest(folder: Path) -> Path:
    file = _write_manifest(folder, (1, 2, 30, 40))
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("one.jpg,raccoon,,", "one.jpg,raccoon,most,"))
    return file


DAMAGED: dict[str, Callable[[Path], Path]] = {
    "yolo image": damage_yolo_image,
    "yolo class": damage_yolo_class,
    "yolo labels": damage_yolo_labels,
    "voc start": damage_voc_start,
    "voc end": damage_voc_end,
    "voc encoding": damage_voc_encoding,
    "event": damage_event,
    "frame": damage_frame,
    "manifest": damage_manifest,
    "coco category": partial(damage_coco, old='"category_id": 3', new='"category_id": 5'),
    "coco no box": partial(damage_coco, old='"bbox"', new='"box"'),
    "coco name": partial(damage_coco, old='"one.jpg"', new='"a\\u0000b.jpg"'),
    "coco no name": partial(damage_coco, old='"file_name"', new='"name"'),
    "coco no text": partial(damage_coco, old='"one.jpg"', new="[]"),
    "coco size": partial(damage_coco, old='"width": 80', new='"width": Infinity'),
    "coco negative size": partial(damage_coco, old='"width": 80', new='"width": -80'),
    "coco number": partial(damage_coco, old="[1, ", new=f"[1{'0' * 400}, "),
    "coco licence": partial(damage_coco, old='"license": 1', new='"license": {}'),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_lists_lose_only_what_they_say_wrong(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = DAMAGED[name](tmp_path / "in"), tmp_path / "out"
    command = ["data", "import", str(source), "--into", str(out)]
    if name.startswith("coco"):
        command += ["--images", str(tmp_path / "in/images")]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 of 2 photographs cannot be taken" in line
    assert "Error" not in line
    assert not (out / "manifest.csv").exists()
    assert main([*command, "--skip-bad"]) == 0
    assert ", 1 left out" in capsys.readouterr().out.splitlines()[0]
    assert [p.source for p in open_store(out).photos] == ["two.jpg"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"image_id": 7, ', "", r"annotation 0 has no image_id"),
        ('"image_id": 7', '"image_id": []', r"annotation 0 has no image_id"),
        ('"name": "raccoon"', '"title": "raccoon"', "each of categories must have an id"),
        ('"images": [', '"images": 3, "other": [', "must be an object with the lists"),
    ],
)
def test_a_list_in_which_any_image_may_be_wrong_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    file = damage_coco(tmp_path / "in", old, new)
    with pytest.raises(LotorError, match=says):
        import_photos(file, tmp_path / "out", images=tmp_path / "in/images", skip_bad=True)


def test_names_that_a_manifest_cannot_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a class they are told; in what is free text they become spaces."""
    latin = os.fsdecode(b"caf\xe9\n1.png")
    for name in (f"raccoon/{latin}", "a;b/two.png", "a\nb/three.png"):
        photo(tmp_path / "in" / name)
    command = ["data", "import", str(tmp_path / "in"), "--into", str(tmp_path / "out")]
    assert main(command) == 2
    assert "2 of 3 photographs cannot be taken" in capsys.readouterr().err
    assert main([*command, "--skip-bad"]) == 0
    (one,) = open_store(tmp_path / "out").photos
    assert one.source == "caf  1.png"


def test_boxes_of_an_image_of_another_size(tmp_path: Path) -> None:
    file = _write_coco(tmp_path / "in", (1, 1, 6, 6), {"width": 60, "height": 80})
    with pytest.raises(LotorError, match="its boxes are for 60x80"):
        import_photos(file, tmp_path / "out", images=tmp_path / "in/images")


def test_a_plain_folder_is_not_changed(tmp_path: Path) -> None:
    photo(tmp_path / "in/raccoon/a.jpg")
    garden = make_garden(tmp_path / "garden")
    with pytest.raises(LotorError, match="not a data set that can be changed; make one of it"):
        import_photos(tmp_path / "in", garden)


def test_the_command(lotor: Lotor, tmp_path: Path) -> None:
    photo(tmp_path / "in/procyon/a.jpg")
    done = lotor(
        "data", "import", tmp_path / "in", "--into", tmp_path / "out", "--class", "procyon=raccoon",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["added"] == 1
    listed = lotor("data", "versions", tmp_path / "out")
    assert "1 photographs  (now)" in listed.stdout
    wrong = lotor("data", "import", tmp_path / "in", "--into", tmp_path / "out", "--class", "x")
    assert wrong.returncode == 2
    assert "give OLD=NEW" in wrong.stderr
