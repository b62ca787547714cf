"""Files that are written whole or not at all."""

import errno
from pathlib import Path

import pytest

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


def test_a_full_disk_leaves_the_files_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = ModelBuilder()
    m.output(m.max_pool2d(m.input((1, 4, 4, 2))))
    compiled = compile_model(m.build(), name="small")
    before = {path.name: b"of before" for path in compiled.write(tmp_path)}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    write = Path.write_bytes
    written: list[Path] = []

    def full(path: Path, data: bytes) -> int:
        if len(written) == 2:
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LotorError, match=r"cannot write to .*: No space left .*with -o"):
        compiled.write(tmp_path)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
