"""Photographs that are removed for good: from where, whatever breaks it off, and who knew them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Lotor
from lotor.benchmark import gallery, results
from lotor.benchmark.results import Kept, read_results
from lotor.data.forget import forget
from lotor.data.ingest import import_photos
from lotor.data.split import split
from lotor.data.store import commit, open_store, read_version, tombstones, versions
from lotor.errors import LotorError
from test_data_versions import picture

FIRST, SECOND = 0, 3  # photographs that are forgotten here, by their numbers


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else's masks are removed; galleries are looked for in the test's own folder."""
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A data set of 12 photographs in four versions; the first holds two photographs alone."""
    for number in range(12):
        picture(tmp_path / "in" / ("raccoon", "cat", "background")[number % 3] / f"{number}.jpg",
                number)  # fmt: skip
    import_photos(tmp_path / "in", tmp_path / "set", name="")
    whole = open_store(tmp_path / "set").photos
    shutil.rmtree(tmp_path / "set/versions")
    wanted = [photo for photo in whole if photo.source in (f"{FIRST}.jpg", f"{SECOND}.jpg")]
    commit(tmp_path / "set", wanted)
    commit(tmp_path / "set", whole)
    split(tmp_path / "set")
    commit(tmp_path / "set", [replace(p, note="seen") for p in open_store(tmp_path / "set").photos])
    return tmp_path / "set"


def ids_of(store: Path) -> list[str]:
    """Return the ids of what is forgotten here."""
    wanted = (f"{FIRST}.jpg", f"{SECOND}.jpg")
    return sorted(photo.id for photo in open_store(store).photos if photo.source in wanted)


def model(folder: Path, **lineage: Any) -> str:
    """Make a model that is a file of its name; return the hash that names it."""
    folder.mkdir(parents=True)
    (folder / f"{folder.name}_float.tflite").write_bytes(folder.name.encode())
    lineage = {"model_sha256": hashlib.sha256(folder.name.encode()[::-1]).hexdigest()} | lineage
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return str(lineage["model_sha256"])


@pytest.fixture
def models(store: Path, tmp_path: Path) -> Path:
    """Models that learned from the photographs, and others, by their data or by other models."""
    folder, (old, seen) = tmp_path / "models", [versions(store)[i] for i in (0, -1)]
    knows = model(folder / "knows", manifest_sha256=old)
    model(folder / "later", manifest_sha256=seen, forgotten=[ids_of(store)[0]])
    model(folder / "again", manifest_sha256=seen, forgotten=ids_of(store))
    model(folder / "innocent", manifest_sha256="0" * 64, teacher_sha256=None)
    student = model(folder / "student", manifest_sha256="0" * 64, teacher_sha256=knows)
    model(folder / "small", source_weights_sha256=student, teacher_sha256="1" * 64)
    real = hashlib.sha256(b"student").hexdigest()  # of its float file, which no lineage names
    model(folder / "deep", teacher_sha256=real)
    named = model(folder / "named", source_weights_sha256=real, float_sha256="2" * 64)
    model(folder / "last", teacher_sha256="2" * 64, source_weights_sha256=named)
    (folder / "broken").mkdir()
    (folder / "broken/lineage.json").write_text("{")
    return folder


LEARNED = {
    "deep": "teacher {}/student",
    "knows": "",
    "last": "teacher {}/named",
    "later": "",
    "named": "source weights {}/student",
    "small": "source weights {}/student",
    "student": "teacher {}/knows",
}


@pytest.fixture
def traces(models: Path, store: Path, tmp_path: Path) -> None:
    """What a benchmark, a training and an import have left of the photographs."""
    number, other = ids_of(store)[0], "ab" * 8
    kept = Kept(1, "3" * 64, "4" * 64, {}, {"int8": {number: 0.5, other: 0.25}, "float": {}})
    for folder, scores in (("knows", kept.scores), ("innocent", {"int8": {other: 0.125}})):
        where = models / folder / results.FOLDER
        results.keep(where, [], kept.model_sha256, kept.photos_sha256, {}, scores)
    for name, shown in (("knows", number), ("innocent", other)):
        where = tmp_path / gallery.folder(name)
        where.mkdir(parents=True)
        (where / gallery.FILE).write_text(f"<figcaption>photos/{shown}.jpg</figcaption>")
        (where / gallery.SHEET).write_bytes(b"sheet")
    for path in ("masks/ab/abcd.z", "masks/cd/cdef.z", "data/ena24/ena24.zip", "host/x.so"):
        (tmp_path / "cache" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / path).write_bytes(b"kept")
    (store / "photos/.999-0").write_bytes(b"half a photograph")


def test_forgotten_photographs_are_gone_from_everywhere(store: Path, tmp_path: Path) -> None:
    old, ids = versions(store), ids_of(store)
    paths = [photo.path for photo in open_store(store).photos if photo.id in ids]
    done = forget(store, [ids[0], ids[1][:8].upper()], "asked by mail", [])
    assert (done.ids, done.models, done.versions) == (ids, [], len(old))
    text = "".join(p.read_text() for p in store.rglob("*.csv") if p.name != "forgotten.csv")
    assert not any(number in text for number in ids)
    assert not any(path.exists() for path in paths)
    assert tombstones(store)[ids[0]].reason == "asked by mail"
    # Nothing is left of the first version; the others are in their order, under their names.
    assert versions(store) == [*old[1:], done.version]
    again = read_version(store, old[-1][:8])
    assert again.manifest_hash == old[-1]
    assert len(again.photos) == 10
    # They do not come back.
    assert import_photos(tmp_path / "in", store, name="").forgotten == 2
    assert len(open_store(store).photos) == 10


def test_what_cannot_be_forgotten(store: Path) -> None:
    known = open_store(store).photos[0].id
    before = (store / "manifest.csv").read_bytes()
    for ids in (["abc"], [known, "ffffffffffff"]):
        with pytest.raises(LotorError, match="is no photograph of"):
            forget(store, ids)
    with pytest.raises(LotorError, match="nothing would be left"):
        forget(store, [photo.id for photo in open_store(store).photos])
    assert (store / "manifest.csv").read_bytes() == before
    assert not (store / "forgotten.csv").exists()


def test_models_that_learned_through_another_are_told(store: Path, models: Path) -> None:
    done = forget(store, ids_of(store), models=[models])
    assert done.models == [str(models / name) for name in LEARNED]
    through = {str(models / name): how.format(models) for name, how in LEARNED.items() if how}
    assert done.through == through
    assert f"train again: {models}/student (through its teacher {models}/knows)" in str(done)
    assert f"train again: {models}/knows\n" in str(done)


def test_what_knew_a_photograph_elsewhere_is_cleaned(
    lotor: Lotor, store: Path, models: Path, traces: None, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    said = lotor("data", "forget", store, *ids_of(store), "--models", models, "--json")
    assert said.returncode == 0, said.stderr
    done = json.loads(said.stdout)
    kept = models / "knows" / results.FOLDER / f"{'3' * 12}.json"
    page = gallery.folder("knows") / gallery.FILE
    assert done["cleaned"] == [str(kept), str(page), str(tmp_path / "cache/masks")]
    (pulled,) = done["left"]
    assert f"{tmp_path}/cache/data/ena24, which `lotor data pull` keeps" in pulled
    after = snapshot(tmp_path)
    assert read_results(kept.parent)[0].scores == {"int8": {"ab" * 8: 0.25}, "float": {}}
    gone = {name for name in before if name not in after and not name.startswith("set/")}
    assert gone == {
        str(page), str(page.with_name(gallery.SHEET)), "cache/masks/ab/abcd.z",
        "cache/masks/cd/cdef.z",
    }  # fmt: skip
    assert not list((store / "photos").glob(".*"))
    changed = {name for name in after if after[name] != before.get(name)}
    assert {name for name in changed if not name.startswith("set/")} == {
        str(kept.relative_to(tmp_path))
    }
    # An interrupted training that learns from them is told, and no other.
    for name, version in (("knows", versions(store)[0]), ("again", "0" * 64)):
        about = {"identity": {"data version": version, "forgotten": []}, "parts": {}}
        with (models / name / f".{name}.training").open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    (models / "small/.small.training").write_bytes(b"damaged")
    text = lotor("data", "forget", store, done["ids"][0], "--models", models).stdout
    assert f"may still hold them: {models}/knows/.knows.training, an interrupted" in text
    assert text.count(".training") == 1


class PowerCut(BaseException):
    """The end of everything, at one step."""


def test_whatever_breaks_it_off_doing_it_again_ends_it(
    store: Path, models: Path, traces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut the power before each write, rename and removal: the end is the same, models as well."""
    ids, whole = ids_of(store), tmp_path / "whole"
    shutil.copytree(tmp_path, whole)
    left = {"steps": -1}

    def stepping(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if left["steps"] == 0:
                raise PowerCut
            left["steps"] -= 1
            return function(*arguments, **named)

        return step

    plain, written = Path.open, stepping(Path.open)
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r", *rest, **named: (written if "w" in mode else plain)(
            path, mode, *rest, **named
        ),
    )
    for name in ("replace", "rename", "unlink", "rmdir", "utime"):
        monkeypatch.setattr(os, name, stepping(getattr(os, name)))
    ends, steps = [], 0
    while True:
        here = tmp_path / f"cut{steps}"
        shutil.copytree(whole, here)
        monkeypatch.setenv("LOTOR_CACHE", str(here / "cache"))
        monkeypatch.chdir(here)
        left["steps"] = steps
        try:
            forget(Path("set"), ids, "asked by mail", [Path("models")])
            cut = False
        except PowerCut:
            cut = True
        left["steps"] = -1
        done = forget(Path("set"), ids, "asked by mail", [Path("models")])
        found = asdict(done) | {"cleaned": [], "left": []}
        ends.append((found, versions(Path("set")), snapshot(here)))
        assert not any(i in name for i in ids for name in snapshot(here, hidden=True))
        rows = [path.read_text() for path in Path("set/versions").glob("*")]
        assert not any(i in text for i in ids for text in rows)
        if not cut:
            break
        steps += 1
    assert steps > 20
    assert ends[-1][0]["models"] == [f"models/{name}" for name in LEARNED]
    assert ends[-1][0]["versions"] == 4
    assert "asked by mail" in ends[-1][2]["set/forgotten.csv"].decode()
    for number, end in enumerate(ends):
        assert end == ends[-1], f"broken off at step {number}"


def snapshot(folder: Path, hidden: bool = False) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (hidden or not path.name.startswith("."))
    }
