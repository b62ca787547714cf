"""A data set over its life: splits, near duplicates, versions, what is forgotten, biases."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from conftest import Lotor
from garden import make_garden
from lotor.data.dedupe import dedupe, find_duplicates
from lotor.data.ingest import import_photos
from lotor.data.manifest import Photo, manifest_bytes, read_manifest
from lotor.data.report import area_under_roc, find_biases, report, save
from lotor.data.split import missing, split
from lotor.data.store import (
    commit,
    locked,
    open_store,
    read_version,
    tombstones,
    versions,
)
from lotor.errors import LotorError


def picture(path: Path, seed: int, bright: float = 1.0) -> Path:
    """Write a photograph of soft blobs; equal seeds look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    large = np.asarray(Image.fromarray(blobs).resize((96, 80), Image.Resampling.BICUBIC))
    Image.fromarray((large * bright).astype(np.uint8)).save(path, quality=92)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A data set of 60 photographs: three classes, every second pair shares a visit."""
    for number in range(60):
        kind = ("raccoon", "cat", "background")[number % 3]
        picture(tmp_path / "in" / kind / f"{number}.jpg", number)
    import_photos(tmp_path / "in", tmp_path / "set", name="")
    photos = open_store(tmp_path / "set").photos
    named = [replace(p, visit=f"v{int(p.source[:-4]) // 4}", place="porch") for p in photos]
    commit(tmp_path / "set", named)
    return tmp_path / "set"


def test_whole_visits_get_one_split(store: Path) -> None:
    done = split(store, (60, 20, 20), ["visit"])
    assert (done.placed, done.units, done.warnings) == (60, 15, [])
    by_visit: dict[str, set[str]] = {}
    for photo in open_store(store).photos:
        by_visit.setdefault(photo.visit, set()).add(photo.split)
    assert all(len(splits) == 1 for splits in by_visit.values())
    for row in done.counts.values():
        assert row["train"] == pytest.approx(12, abs=3)
        assert min(row.values()) >= 2
    # Splitting again changes nothing; another seed, anew, does.
    assert split(store, (60, 20, 20), ["visit"]).version == done.version
    assert split(store, (60, 20, 20), ["visit"], seed=1, anew=True).version != done.version


def test_what_has_a_split_keeps_it(store: Path, tmp_path: Path) -> None:
    split(store)
    before = {photo.id: photo.split for photo in open_store(store).photos}
    for number in range(100, 130):
        picture(tmp_path / "more/raccoon" / f"{number}.jpg", number)
    import_photos(tmp_path / "more", store)
    assert split(store).placed == 30
    after = {photo.id: photo.split for photo in open_store(store).photos}
    assert {number: after[number] for number in before} == before
    assert set(after.values()) == {"train", "val", "test"}


def test_splits_that_cannot_be(store: Path) -> None:
    with pytest.raises(LotorError, match=r"cannot split by 'visits' .did you mean 'visit'"):
        split(store, by=["visits"])
    for shares in ((1, 2), (0, 0, 0), (-1, 1, 1)):
        with pytest.raises(LotorError, match="must be three parts"):
            split(store, shares)
    split(store)
    with pytest.raises(LotorError, match=r"they must stay together; split by fewer keys"):
        split(store, by=["place"])
    done = split(store, by=["place"], anew=True)
    assert any("split is empty" in text for text in done.warnings)


def test_frames_of_a_clip_get_one_split(lotor: Lotor, tmp_path: Path) -> None:
    """Nothing but the photographs themselves says which of them are nearly the same."""
    for number in range(60):
        clip, kind = number // 4, ("raccoon", "cat", "background")[number // 4 % 3]
        name = hashlib.sha256(bytes([number])).hexdigest()[:8]
        picture(tmp_path / "in" / kind / f"{name}.jpg", clip, 1 - number % 4 / 50)
    assert lotor("data", "import", tmp_path / "in", "--into", tmp_path / "set").returncode == 0
    done = lotor("data", "split", tmp_path / "set", "--json")
    assert done.returncode == 0, done.stderr
    assert "60 photographs have a near duplicate" in done.stderr
    told = json.loads(done.stdout)
    assert (told["units"], told["near_duplicates"], told["warnings"]) == (15, 60, [])
    photos = open_store(tmp_path / "set").photos
    pairs = find_duplicates(photos)
    assert len(pairs) == 90
    assert not any(pair.leaks for pair in pairs)
    assert {photo.split for photo in photos} == {"train", "val", "test"}
    # They are a group from now on, which is checked whenever the manifest is read.
    assert len({photo.group for photo in photos} - {""}) == 15
    # What is nearly the same as one that has a split follows it, and its visit with it.
    held_out = next(photo for photo in photos if photo.split == "test")
    clip = next(c for c in range(15) if find_duplicates([held_out, _hashed(tmp_path, c)]))
    for name, seed in (("twin", clip), ("stranger", 99)):
        picture(tmp_path / f"more/{held_out.kind}/{name}.jpg", seed, 0.9)
    import_photos(tmp_path / "more", tmp_path / "set")
    grown = open_store(tmp_path / "set").photos
    commit(tmp_path / "set", [p if p.split else replace(p, visit="same") for p in grown])
    assert split(tmp_path / "set", by=["visit"]).placed == 2
    new = {p.source: p for p in open_store(tmp_path / "set").photos if p.visit}
    assert {photo.split for photo in new.values()} == {"test"}
    assert new["twin.jpg"].group == held_out.group
    assert new["stranger.jpg"].group == ""


def _hashed(folder: Path, clip: int) -> Photo:
    path = picture(folder / "plain.jpg", clip)
    return Photo(path, "", "", "", 0, phash=str(imagehash.phash(Image.open(path))))


def test_near_duplicates_that_have_two_splits_keep_them(store: Path, tmp_path: Path) -> None:
    split(store)
    one = next(p for p in open_store(store).photos if p.split == "test")
    for bright in (0.8, 0.9):
        name = f"twin/{one.kind}/t{10 * bright:.0f}.jpg"
        picture(tmp_path / name, int(one.source[:-4]), bright)
    import_photos(tmp_path / "twin", store)
    twins = {"t8.jpg": "train", "t9.jpg": ""}
    photos = [replace(p, split=twins.get(p.source, p.split)) for p in open_store(store).photos]
    commit(store, photos)
    done = split(store)
    assert done.near_duplicates == 3
    (told,) = [text for text in done.warnings if "two splits" in text]
    assert (
        f"pairs of near duplicates lie in two splits, since some had these before: `lotor data "
        f"dedupe {store} --fix`" in told
    )
    after = {p.source: p for p in open_store(store).photos}
    assert (after["t8.jpg"].split, after[one.source].split) == ("train", "test")
    assert after["t9.jpg"].split in ("train", "test")
    anew = split(store, anew=True)
    assert not any("two splits" in text for text in anew.warnings)
    assert len({p.split for p in open_store(store).photos if p.group}) == 1


def test_what_comes_from_one_source_gets_one_split(lotor: Lotor, tmp_path: Path) -> None:
    """A source is what was imported, or a part of it; files that are called alike are none."""
    for seed in range(40):
        picture(tmp_path / f"source{seed // 10}" / "raccoon" / f"{seed % 10}.jpg", seed)
    for number in range(4):
        import_photos(tmp_path / f"source{number}", tmp_path / "set")
    done = lotor("data", "split", tmp_path / "set", "--by", "source", "--shares", "50,25,25")
    assert done.returncode == 0, done.stderr
    assert "40 photographs placed, in 4 units" in done.stdout
    splits: dict[str, set[str]] = {}
    for photo in open_store(tmp_path / "set").photos:
        splits.setdefault(photo.origin, set()).add(photo.split)
    assert sorted(splits) == ["source0", "source1", "source2", "source3"]
    assert sorted(map(len, splits.values())) == [1, 1, 1, 1]
    assert set.union(*splits.values()) == {"train", "val", "test"}
    # What is imported from there keeps its sources apart; so does a manifest with `source_repo`.
    import_photos(tmp_path / "set", tmp_path / "copy", name="other")
    assert {p.origin for p in open_store(tmp_path / "copy").photos} == {
        f"other/source{number}" for number in range(4)
    }
    make_garden(tmp_path / "garden")
    manifest = tmp_path / "garden/manifest.csv"
    head, *rows = manifest.read_text().splitlines()
    lines = [f"{head},source_repo", *(f"{row},repo{n % 2}" for n, row in enumerate(rows))]
    manifest.write_text("\n".join(lines))
    import_photos(tmp_path / "garden", tmp_path / "third")
    found = {p.origin for p in open_store(tmp_path / "third").photos}
    assert found == {"garden/repo0", "garden/repo1"}


def test_a_folder_without_a_name_is_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "here/raccoon/a.jpg", 1)
    monkeypatch.chdir(tmp_path / "here")
    import_photos(Path(), tmp_path / "set")
    assert [photo.origin for photo in open_store(tmp_path / "set").photos] == ["here"]


def test_photographs_are_not_split_by_what_they_do_not_have(lotor: Lotor, store: Path) -> None:
    photos = open_store(store).photos
    commit(store, [replace(photo, visit="") for photo in photos])
    done = lotor("data", "split", store, "--by", "visit")
    assert done.returncode == 2
    assert "cannot split by 'visit': no photograph here has a visit; import them" in done.stderr
    commit(store, [replace(photo, visit="v" * (n < 7)) for n, photo in enumerate(photos)])
    told = split(store, by=["visit"])
    assert "53 photographs have no visit: each of them may go anywhere" in told.warnings
    assert told.units == 54


def test_files_that_are_called_like_frames_are_told(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / f"in/raccoon/clip_{number:04}.jpg", number)
        picture(tmp_path / f"sparse/raccoon/{1 + 17 * number**2}.jpg", number)
    import_photos(tmp_path / "in", tmp_path / "set")
    told = [text for text in split(tmp_path / "set").warnings if "frames" in text]
    assert len(told) == 1
    assert (
        "11 files are called as if they followed another (clip_0000.jpg, clip_0001.jpg)"
        in (told[0])
    )
    import_photos(tmp_path / "sparse", tmp_path / "other")
    assert not any("frames" in text for text in split(tmp_path / "other").warnings)


def test_missing_classes_are_told() -> None:
    counts = {"a": {"train": 3, "val": 0, "test": 0}, "b": {"train": 1, "val": 2, "test": 0}}
    assert missing(counts) == [
        "the val split has no a: nothing there tells of it",
        "the test split is empty",
    ]
    assert missing(counts, (1, 0, 0)) == []


def test_near_duplicates_are_found_across_splits(store: Path, tmp_path: Path) -> None:
    split(store)
    held_out = next(p for p in open_store(store).photos if p.split == "test")
    twin = picture(tmp_path / f"twin/{held_out.kind}/t.jpg", int(held_out.source[:-4]), 0.9)
    import_photos(twin.parents[1], store)
    photos = open_store(store).photos
    marked = [replace(p, split=p.split or "train") for p in photos]
    commit(store, marked)
    (pair,) = find_duplicates(marked)
    assert pair.leaks
    assert not pair.contradicts
    assert {pair.a.source, pair.b.source} == {"t.jpg", held_out.source}
    done = dedupe(store)
    (dropped,) = done.dropped
    left = {p.id: p for p in open_store(store).photos}
    assert dropped not in left
    assert left[held_out.id].split == "test"
    assert find_duplicates(list(left.values())) == []
    # The older version still has it, with its file.
    assert all(p.path.is_file() for p in read_version(store, versions(store)[-2]).photos)


def test_near_duplicates_without_a_split_share_a_group(store: Path, tmp_path: Path) -> None:
    for number, bright in enumerate((0.8, 0.9)):
        picture(tmp_path / f"twin/raccoon/t{number}.jpg", 0, bright)
    import_photos(tmp_path / "twin", store)
    done = dedupe(store)
    assert (done.merged, done.dropped) == (3, ())
    groups = [p.group for p in open_store(store).photos if p.group]
    assert len(groups) == 3
    assert len(set(groups)) == 1
    split(store)
    assert len({p.split for p in open_store(store).photos if p.group}) == 1


def test_equal_photographs_of_two_classes_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "in/raccoon/a.jpg", 1)
    picture(tmp_path / "in/cat/b.jpg", 1, 0.9)
    import_photos(tmp_path / "in", tmp_path / "set")
    found = report(open_store(tmp_path / "set"))
    assert found.odd == [f"{a} and {b} are nearly the same" for a, b in [_odd(tmp_path / "set")]]


def _odd(folder: Path) -> tuple[str, str]:
    a, b = sorted(read_manifest(folder).photos, key=lambda photo: photo.path)
    return f"{a.path.name} ({a.kind})", f"{b.path.name} ({b.kind})"


def test_flat_pictures_are_no_duplicates_by_their_noise(tmp_path: Path) -> None:
    hashes = ("0000000000000000", "0000000000000001", "000000000000000f", "0000000000000000")
    photos = [
        Photo(tmp_path / str(n), "x", "train", "", 1, phash=bits) for n, bits in enumerate(hashes)
    ]
    assert find_duplicates(photos) == []
    assert find_duplicates([photos[2], photos[2]])[0].bits == 0


def test_near_duplicates_are_all_pairs(tmp_path: Path) -> None:
    """By the definition, over more photographs than are compared at once."""
    rng = np.random.default_rng(3)
    centres = rng.integers(0, 1 << 63, 80, np.uint64)
    flips = (np.uint64(1) << rng.integers(0, 64, (700, 4), np.uint64)).astype(np.uint64)
    hashes = centres[rng.integers(0, 80, 700)] ^ np.bitwise_xor.reduce(flips, axis=1)
    photos = [Photo(tmp_path / f"{n:03}", "x", "", "", 1, phash=f"{h:016x}")
              for n, h in enumerate(hashes)]  # fmt: skip
    expected = {
        (a, b): bits
        for b in range(700)
        for a in range(b)
        if (bits := (int(hashes[a]) ^ int(hashes[b])).bit_count()) <= 6
    }
    found = find_duplicates(photos)
    assert {(int(p.a.path.name), int(p.b.path.name)): p.bits for p in found} == expected
    assert len(found) == len(expected) > 1000
    assert [pair.bits for pair in found] == sorted(expected.values())


def test_a_version_is_its_content(store: Path) -> None:
    data = open_store(store)
    assert versions(store)[-1] == data.manifest_hash
    assert manifest_bytes(store, reversed(data.photos)) == (store / "manifest.csv").read_bytes()
    with pytest.raises(LotorError, match=r"has no version 'ffffffff'.*lotor data versions"):
        read_version(store, "ffffffff")


def test_nothing_is_made_where_no_data_set_is(lotor: Lotor, tmp_path: Path) -> None:
    for arguments in (("split",), ("dedupe", "--fix"), ("forget", "abcdef"), ("label",)):
        what, *rest = arguments
        done = lotor("data", what, tmp_path / "none", *rest)
        assert done.returncode == 2
        assert "no data set in" in done.stderr and "lotor data import" in done.stderr
    assert not (tmp_path / "none").exists()


def test_two_do_not_change_it_at_once(store: Path) -> None:
    with locked(store), pytest.raises(LotorError, match="being changed by another command"):
        split(store)


def test_a_bias_is_found(tmp_path: Path) -> None:
    """Raccoons are sharper than half of the others, cats are brighter than all."""
    rng = np.random.default_rng(5)
    for number in range(16):
        for kind in ("raccoon", "cat", "dog"):
            image = rng.integers(0, 200, (64, 64, 3), np.uint8)
            if kind != "raccoon" and number % 2:
                image = cv2.GaussianBlur(image, (0, 0), 3).astype(np.uint8)
            if kind == "cat":
                image = image // 4 + 190
            (tmp_path / "in" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "in" / kind / f"{number}.png"), image)
    import_photos(tmp_path / "in", tmp_path / "set")
    found = report(read_manifest(tmp_path / "set"))
    told = {(bias.kind, bias.name): str(bias) for bias in found.biases}
    assert "raccoon is sharper than the rest" in told["raccoon", "sharpness"]
    assert "cat is brighter than the rest in 100%" in told["cat", "brightness"]
    assert ("dog", "size") not in told
    assert "the test split is empty" in found.lacking
    save(found, tmp_path / "report.svg")
    assert "brightness" in (tmp_path / "report.svg").read_text()


def test_a_bias_on_one_side_is_found() -> None:
    """Half of the others are smaller than every raccoon, though most pairs tell nothing."""
    raccoons, others = np.full(40, 100.0), np.r_[np.full(60, 50.0), np.full(60, 120.0)]
    kinds = ["raccoon"] * 40 + ["other"] * 120
    (first, *_) = [
        b for b in find_biases({"size": np.r_[raccoons, others]}, kinds) if b.kind == "raccoon"
    ]
    assert first.auc == 0.5
    assert (first.below, first.above) == (0.5, 0.5)
    assert "nearly every raccoon is larger than 50% of the rest" in str(first)


def test_area_under_roc_counts_pairs() -> None:
    rng = np.random.default_rng(2)
    values, positive = rng.integers(0, 9, 50).astype(float), rng.random(50) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in values[positive] for b in values[~positive]]
    assert area_under_roc(values, positive) == pytest.approx(np.mean(pairs))


@pytest.mark.shared
def test_the_garden_data_has_sharper_raccoons(shared: Path) -> None:
    found = report(read_manifest(shared / "data" / "garden"))
    assert any(
        bias.kind == "raccoon" and bias.name == "size" and "larger than" in str(bias)
        for bias in found.biases
    )
    assert not found.leaks


def test_the_commands(lotor: Lotor, store: Path, tmp_path: Path) -> None:
    done = lotor("data", "split", store, "--shares", "50,25,25", "--by", "visit")
    assert done.returncode == 0, done.stderr
    assert "60 photographs placed, in 15 units" in done.stdout
    assert lotor("data", "split", store, "--shares", "a,b").returncode == 2
    found = lotor("data", "dedupe", store, "--json")
    assert json.loads(found.stdout)["leaks"] == 0
    assert "lie in two splits" in lotor("data", "dedupe", store, "--fix").stdout
    told = lotor("data", "report", store, "--plot", tmp_path / "r.png")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "r.png").stat().st_size > 1000
    number = open_store(store).photos[0].id
    gone = lotor("data", "forget", store, number, "--reason", "mine", "--json")
    assert json.loads(gone.stdout)["ids"] == [number]
    again = lotor("data", "forget", store, number)
    assert again.returncode == 0, again.stderr
    assert "1 photographs removed" in again.stdout
    assert tombstones(store)[number].reason == "mine"
    assert lotor("data", "forget", store, "0" * 16).returncode == 2
    assert lotor("data", "stats", make_garden(tmp_path / "garden")).returncode == 0
