"""A full disk: the kernel itself refuses to let files grow, whoever writes them and however."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lotor.cli import main


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond `room` bytes.

    The error is EFBIG, where a full disk gives ENOSPC; like there, what fits is written before.
    Use `capsys`, or what the test prints is refused, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(room: int, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run `lotor ARGUMENT...` on a full disk, see that it says one line, and return that."""
    capsys.readouterr()
    with full_disk(room):
        code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert code == 2, said.err
    # Before it there may be progress, and where a page is served.
    (line,) = (line for line in said.err.splitlines() if line.startswith("lotor: "))
    assert said.err.endswith(f"{line}\n")
    assert "Traceback" not in said.err
    assert line.startswith("lotor: cannot ")
    assert "File too large" in line
    assert said.out == ""
    return line


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, but the one that only says who is changing it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
