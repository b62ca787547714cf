"""Files that are written whole or not at all, whatever happens: a full disk or a power cut."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write files and make their folders; none changes unless there is room for all.

    They appear in the order given, folder by folder: once the last one is there, so are the others,
    even after a power cut.

    Raises:
        OSError: a file cannot be written.
    """
    scratch = {
        path: path.with_name(f".{os.getpid()}-{number}") for number, path in enumerate(contents)
    }
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            write_through(scratch[path], content)
        for folder, paths in groupby(contents, lambda path: path.parent):
            for path in paths:
                scratch[path].replace(path)
            sync_folder(folder)
    finally:
        for new in scratch.values():
            new.unlink(missing_ok=True)


def write_through(path: Path, content: bytes | memoryview) -> None:
    """Write a file, and return when the disk has it: only then may it take another's name."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Return when the disk has what was written to a file, or a folder's names.

    Raises:
        OSError: it could not be written, or a file system cannot be asked for that.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Return when the disk has a folder's names, where its file system can be asked for that."""
    with contextlib.suppress(OSError):  # the files themselves are safe already
        sync(folder)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and those above it; the disk has them on return."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock between processes; `path` is a file for that alone.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
