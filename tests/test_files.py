"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from full_disk import full_disk
from lotor.compiler import compile_model
from lotor.errors import LotorError
from lotor.files import write_files
from tflite_builder import ModelBuilder


def test_files_and_their_folder_are_made(tmp_path: Path) -> None:
    contents = {tmp_path / "a" / "one": b"1", tmp_path / "a" / "two": b"2"}
    write_files(contents)
    write_files(contents | {tmp_path / "a" / "two": b"3"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        "one": b"1",
        "two": b"3",
    }


def test_a_power_cut_finds_files_whole_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has every file before any gets its name, and each folder's names before the next."""
    done: list[tuple[str, int | Path]] = []
    fsync, replace = os.fsync, os.replace

    def fsync_(handle: int) -> None:
        done.append(("sync", os.fstat(handle).st_ino))
        fsync(handle)

    def replace_(old: Path, new: Path) -> None:
        done.append(("name", new))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync_)
    monkeypatch.setattr(os, "replace", replace_)
    folder = tmp_path / "set"
    files = [folder / "versions/1.csv", folder / "versions/2.csv", folder / "manifest.csv"]
    write_files({path: path.name.encode() for path in files})
    one, two, manifest = files

    def sync(path: Path) -> tuple[str, int]:
        return "sync", path.stat().st_ino

    assert done == [
        sync(tmp_path),  # it got a folder
        sync(folder),
        *map(sync, files),
        ("name", one),
        ("name", two),
        sync(folder / "versions"),
        ("name", manifest),
        sync(folder),
    ]


def test_a_full_disk_leaves_the_files_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = ModelBuilder()
    m.output(m.max_pool2d(m.input((1, 4, 4, 2))))
    compiled = compile_model(m.build(), name="small")
    sizes = sorted(path.stat().st_size for path in compiled.write(tmp_path))
    before = {path.name: b"of before" for path in tmp_path.iterdir()}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    for room in (0, sizes[0], sizes[-1] - 1):
        with full_disk(room), pytest.raises(LotorError, match=r"cannot write to .*with -o"):
            compiled.write(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with full_disk(sizes[-1]):
        compiled.write(tmp_path)
