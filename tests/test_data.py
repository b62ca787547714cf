"""Manifests, and the sample photographs that come through pip."""

import bz2
import hashlib
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import Lotor
from garden import make_garden, write_manifest
from lotor.data.manifest import Box, read_manifest, stats
from lotor.data.samples import Sample, Wheel, get_samples
from lotor.errors import LotorError
from lotor.preprocess import read_image


def row(**changed: str) -> list[str]:
    values = {
        "file": "a.png",
        "class": "raccoon",
        "split": "train",
        "group": "g1",
        "native_short_side": "400",
        "bbox_xyxy": "raccoon:1,2,30,40;raccoon:5,6,7,8",
        "licence": "CC0",
    }
    return list((values | changed).values())


def test_a_manifest_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, [row(), row(file="b.png", native_short_side="64", bbox_xyxy="")])
    data = read_manifest(tmp_path)
    first, second = data.split("train")
    assert first.boxes == (Box(1, 2, 30, 40, "raccoon"), Box(5, 6, 7, 8, "raccoon"))
    assert first.path == tmp_path / "a.png"
    assert (first.sharp, second.sharp) == (True, False)
    assert data.split("val") == []
    content = (tmp_path / "manifest.csv").read_bytes()
    assert data.manifest_hash == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "lists no photograph"),
        ([row(split="training")], r"line 2: split 'training' is none of"),
        ([row(), row(native_short_side="big")], "line 3: invalid literal"),
        ([row(bbox_xyxy="raccoon:1,2,3")], r"line 2: box 'raccoon:1,2,3' is not CLASS:x0,y0,x1,y1"),
        ([row(bbox_xyxy="raccoon:30,2,3,4")], "line 2: box 30,2,3,4 must be"),
        ([row(file="")], "must not be empty"),
        ([row(file="../a.png")], "must lie below the manifest's folder"),
        ([row(), row()], "a.png is listed 2 times"),
        ([row(), row(file="b.png", split="test")], "group 'g1' is in train .* and in test"),
    ],
)
def test_unsound_manifests(tmp_path: Path, rows: list[list[str]], says: str) -> None:
    write_manifest(tmp_path, rows)
    with pytest.raises(LotorError, match=says):
        read_manifest(tmp_path)


def test_a_manifest_that_lacks_columns_or_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,class\na.png,raccoon\n")
    with pytest.raises(LotorError, match="lacks the column"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LotorError, match="no CSV file in UTF-8"):
        read_manifest(tmp_path)
    with pytest.raises(LotorError, match="with --data"):
        read_manifest(tmp_path / "nowhere")


def test_stats_warn_of_a_size_bias(tmp_path: Path) -> None:
    found = stats(read_manifest(make_garden(tmp_path)))
    assert found["classes"]["cat"] == {"train": 4, "val": 4, "test": 4, "sharp": 6, "boxed": 12}
    assert found["small_share"] == {"target": 0.0, "rest": 0.5}
    assert "sharpness alone" in found["warnings"][0]
    same = [row(file=f"{kind}.png", **{"class": kind}) for kind in ("raccoon", "cat")]
    write_manifest(tmp_path, same)
    assert stats(read_manifest(tmp_path))["warnings"] == []


def test_stats_command(lotor: Lotor, tmp_path: Path) -> None:
    done = lotor("data", "stats", make_garden(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "48 photographs" in done.stdout
    assert "warning: size bias" in done.stdout
    none = lotor("data", "stats", tmp_path / "none")
    assert none.returncode == 2
    assert "no photographs at" in none.stderr


RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
PACKED = bz2.compress(RGB.tobytes())
WHEEL = Wheel("made-up-photos", "1.0", ("manylinux2014_x86_64",))


def sample(content: bytes = PACKED) -> Sample:
    return Sample(
        "one.png", "raccoon", WHEEL, "photos/one.dat", hashlib.sha256(content).hexdigest(),
        "made up", "CC0", raw=(6, 8, 3),
    )  # fmt: skip


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package index; pip sees no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    return folder


def make_wheel(folder: Path, content: bytes = PACKED) -> Path:
    path = folder / "made_up_photos-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/one.dat", content)
        info = "made_up_photos-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: made-up-photos\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_samples_come_from_an_index_once(index: Path, tmp_path: Path) -> None:
    wheel = make_wheel(index)
    (first,) = get_samples(samples=[sample()])
    assert (read_image(first.path)[:, :, ::-1] == RGB).all()
    wheel.unlink()  # from now on there is no network
    (second,) = get_samples(tmp_path / "out", [sample()])
    assert second.path == tmp_path / "out" / "one.png"
    assert second.path.read_bytes() == first.path.read_bytes()
    listed = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert listed[0]["licence"] == "CC0"
    assert listed[0]["package"] == "made-up-photos==1.0"


def test_a_damaged_cache_is_fetched_again(index: Path) -> None:
    make_wheel(index)
    (stored,) = get_samples(samples=[sample()])
    whole = stored.path.read_bytes()
    stored.path.write_bytes(whole[:-1])
    assert get_samples(samples=[sample()])[0].path.read_bytes() == whole


def test_offline_without_a_cache(index: Path) -> None:
    with pytest.raises(LotorError, match=r"made-up-photos==1\.0.*PIP_FIND_LINKS"):
        get_samples(samples=[sample()])


def test_other_content_is_refused(index: Path) -> None:
    make_wheel(index, bz2.compress(b"something else"))
    with pytest.raises(LotorError, match="is not the known file"):
        get_samples(samples=[sample()])


def test_offline_command_is_one_line(index: Path, lotor: Lotor) -> None:
    done = lotor("data", "samples")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("lotor:")]
    assert len(errors) == 1
    assert "scipy==1.11.4" in errors[0]
    assert "Traceback" not in done.stderr


def test_an_image_sample_is_kept_as_it_is(index: Path, tmp_path: Path) -> None:
    content = bytes(cv2.imencode(".png", RGB)[1])
    make_wheel(index, content)
    plain = Sample(
        "two.png", "cat", WHEEL, "photos/one.dat", hashlib.sha256(content).hexdigest(), "", "CC0"
    )
    assert get_samples(samples=[plain])[0].path.read_bytes() == content
