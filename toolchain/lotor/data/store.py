"""A data set of one's own: photographs by content, every manifest it ever had, what was forgotten.

    DIR/manifest.csv             what the data set is now
    DIR/photos/<id>.jpg          the photographs, called by the start of their SHA-256
    DIR/versions/<hash>.csv      every manifest it has been: a version that a model was trained on
    DIR/forgotten.csv            ids that were removed for good, with the reason and the versions

A change is prepared aside and becomes true by one rename of `manifest.csv`: whatever breaks it off,
the data set is the one before.
"""

import contextlib
import csv
import fcntl
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lotor.data.manifest import (
    MANIFEST,
    DataSet,
    Photo,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.suggest import did_you_mean

PHOTOS, VERSIONS, FORGOTTEN = "photos", "versions", "forgotten.csv"
_SHORT = 12  # digits by which people call a version
_TOMBSTONE = ("id", "reason", "versions")


@dataclass(frozen=True)
class Tombstone:
    """A photograph that was removed for good: its id, why, and the versions that had it."""

    id: str
    reason: str
    versions: tuple[str, ...]


def open_store(folder: Path) -> DataSet:
    """Read a data set that this module has written.

    Raises:
        LotorError: there is none, or it is a plain folder with a manifest.
    """
    if not (folder / MANIFEST).exists():
        raise LotorError(
            f"no data set in {folder}; `lotor data import SOURCE --into {folder}` makes one"
        )
    data = read_manifest(folder)
    if not (folder / VERSIONS).is_dir():
        raise LotorError(
            f"{folder} is not a data set that can be changed; make one of it: "
            f"`lotor data import {folder} --into DIR`"
        )
    return data


@contextlib.contextmanager
def locked(folder: Path, make: bool = False) -> Iterator[None]:
    """Keep others from changing the data set meanwhile.

    Args:
        folder: of the data set.
        make: make the folder where there is none.

    Raises:
        LotorError: somebody else is changing it, or the folder cannot be written.
    """
    if not make:
        open_store(folder)  # before anything is written there
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise LotorError(
            f"{folder} is being changed by another command; try again when it has ended"
        ) from error
    except OSError as error:
        raise LotorError(f"cannot write to {folder}: {error.strerror or error}") from error


def commit(
    folder: Path, photos: Sequence[Photo], files: Mapping[Path, bytes] | None = None
) -> DataSet:
    """Make these photographs the data set: new files first, then the manifest, all or nothing.

    Args:
        folder: of the data set.
        photos: all of them.
        files: contents of the files that are not there yet.

    Raises:
        LotorError: the photographs do not make a sound manifest, or there is no room.
    """
    content = manifest_bytes(folder, photos)
    path = folder / MANIFEST
    data = parse_manifest(folder, path, content)
    version = folder / VERSIONS / f"{data.manifest_hash}.csv"
    try:
        write_files({**(files or {}), version: content, path: content})
    except OSError as error:
        raise LotorError(
            f"cannot write to {folder} ({error.strerror}): nothing has changed"
        ) from error
    return data


def versions(folder: Path) -> list[str]:
    """Return the hashes of all versions, the newest last."""
    found = (folder / VERSIONS).glob("*.csv")
    return [path.stem for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path))]


def read_version(folder: Path, version: str) -> DataSet:
    """Return a version as it was, without what was forgotten since.

    Args:
        folder: of the data set.
        version: the start of its hash, six digits or more.

    Raises:
        LotorError: there is none, or several begin so.
    """
    known = versions(folder)
    found = [name for name in known if len(version) >= 6 and name.startswith(version)]
    if len(found) != 1:
        short = [name[:_SHORT] for name in known]
        raise LotorError(
            f"{folder} has {'no' if not found else 'more than one'} version '{version}'"
            f"{did_you_mean(version, short)}; `lotor data versions {folder}` lists them"
        )
    path = folder / VERSIONS / f"{found[0]}.csv"
    # Its name stays that of what it was, whatever was forgotten since.
    return replace(parse_manifest(folder, path, path.read_bytes()), manifest_hash=found[0])


def tombstones(folder: Path) -> dict[str, Tombstone]:
    """Return what was removed for good, by id."""
    try:
        text = (folder / FORGOTTEN).read_text("utf-8")
    except FileNotFoundError:
        return {}
    return {
        row["id"]: Tombstone(row["id"], row["reason"], tuple(row["versions"].split()))
        for row in csv.DictReader(text.splitlines())
    }


def tombstone_bytes(stones: Iterable[Tombstone]) -> bytes:
    """Return the file of what was removed for good."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_TOMBSTONE)
    for stone in sorted(stones, key=lambda stone: stone.id):
        writer.writerow((stone.id, stone.reason, " ".join(stone.versions)))
    return text.getvalue().encode("utf-8")
