"""The files of a training: made aside, and put in place together when all are there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lotor.errors import LotorError
from lotor.files import sync, sync_folder


@contextmanager
def staged(out: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder in `out`, which is gone afterwards.

    Args:
        out: the folder that the files are meant for.
        name: of the folder; one that a killed training has left is emptied.

    Raises:
        LotorError: a file could not be written.
    """
    folder = out / name
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise LotorError(
            f"cannot write to {out}: {error.strerror or error}; nothing there has changed. Make "
            "room and give the same command again: it goes on from where training ended"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, out: Path) -> list[Path]:
    """Move all files of a folder to `out`, and take away what golden vectors were there before.

    All of them are on the disk before the first is moved, and moving needs no room: only a power
    cut between two renames leaves files of two trainings, and then the training's state is still
    there to do it again.
    """
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for name in inside:
        sync(folder / name)
    for name in inside:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(out / name)
    for parent in sorted({(out / name).parent for name in inside}):
        sync_folder(parent)
    files = [out / name for name in inside]
    for old in (out / "golden").glob("*.npz"):
        if old not in files:
            old.unlink()
    return files
