"""`lotor data forget`: removes photographs from a data set for good, as somebody may ask for.

The file goes, its row goes from every version, and a tombstone (the id, which is a hash) keeps it
from coming back. Models that learned from it are named, to be trained again.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotor.data.manifest import Photo
from lotor.data.store import (
    FORGOTTEN,
    VERSIONS,
    Tombstone,
    commit,
    locked,
    open_store,
    read_version,
    tombstone_bytes,
    tombstones,
    versions,
)
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import resource
from lotor.suggest import did_you_mean


@dataclass(frozen=True)
class Forgotten:
    """What was removed, from how many versions, and the models that learned from it."""

    ids: list[str]
    versions: int
    models: list[str]
    version: str

    def __str__(self) -> str:
        lines = [f"{len(self.ids)} photographs removed, from {self.versions} versions"]
        lines += [f"  train again: {model}" for model in self.models]
        if not self.models:
            lines.append("  no model here was trained on them")
        return "\n".join([*lines, f"version {self.version}"])


def forget(
    folder: Path, ids: Sequence[str], reason: str = "", models: Iterable[Path] | None = None
) -> Forgotten:
    """Remove photographs for good.

    Args:
        folder: of the data set.
        ids: of the photographs; their starts do, six digits or more.
        reason: for the record.
        models: folders in which models lie, each in one of its own; `models/` when None.

    Raises:
        LotorError: an id is none of this data set, in any version; nothing was removed.
    """
    with locked(folder):
        data = open_store(folder)
        held = {name: read_version(folder, name) for name in versions(folder)}
        every: dict[str, Photo] = {
            photo.id: photo for old in (*held.values(), data) for photo in old.photos
        }
        chosen = [_one(every, number, folder) for number in dict.fromkeys(ids)]
        gone = {photo.id for photo in chosen}
        had = {name: gone & {photo.id for photo in old.photos} for name, old in held.items()}
        stones = tombstones(folder)
        for number in gone:
            names = tuple(name for name, found in had.items() if number in found)
            stones[number] = Tombstone(number, reason, names)
        left = [photo for photo in data.photos if photo.id not in gone]
        if not left:
            raise LotorError(f"nothing would be left of {folder}; remove the folder itself instead")
        # The tombstones first: whatever breaks this off, doing it again ends it.
        write_files({folder / FORGOTTEN: tombstone_bytes(stones.values())})
        version = commit(folder, left).manifest_hash
        touched = {name for name, found in had.items() if found}
        for name in touched:
            path = folder / VERSIONS / f"{name}.csv"
            if had[name] == {photo.id for photo in held[name].photos}:
                path.unlink()  # nothing is left of it
            else:
                age = path.stat()  # by which versions are ordered
                write_files({path: _without(path, gone)})
                os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))
        for photo in chosen:
            photo.path.unlink(missing_ok=True)
    roots = list(models) if models is not None else [resource("models")]
    return Forgotten(sorted(gone), len(touched), trained_on(roots, touched), version)


def _one(every: dict[str, Photo], number: str, folder: Path) -> Photo:
    found = [known for known in every if len(number) >= 6 and known.startswith(number.lower())]
    if len(found) != 1:
        raise LotorError(
            f"'{number}' is {'no' if not found else 'more than one'} photograph of {folder}"
            f"{did_you_mean(number, every)}; give the first 6 to 16 digits of a file's name there"
        )
    return every[found[0]]


def _without(path: Path, gone: set[str]) -> bytes:
    """Return a version's manifest without the rows of these ids, all other bytes as they are."""
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    column = rows[0].index("sha256")
    text = io.StringIO()
    keep = [row for row in rows if not any(row[column].startswith(number) for number in gone)]
    csv.writer(text, lineterminator="\n").writerows(keep)
    return text.getvalue().encode("utf-8")


def trained_on(roots: Iterable[Path], hashes: set[str]) -> list[str]:
    """Return the models whose lineage names one of these versions of a data set."""
    found = []
    for root in roots:
        for path in sorted(root.glob("*/lineage.json")):
            try:
                lineage = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(lineage, dict) and lineage.get("manifest_sha256") in hashes:
                found.append(str(path.parent))
    return found
