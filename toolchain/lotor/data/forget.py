"""`lotor data forget`: removes photographs from a data set for good, as somebody may ask for.

The file goes, its row goes from every version, and a tombstone (the id, which is a hash) keeps it
from coming back. Scores, galleries and masks of it go as well, and models that learned from it are
named, to be trained again.
"""

import csv
import io
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotor.data.learned import learned_from, unfinished
from lotor.data.manifest import DataSet
from lotor.data.store import (
    FORGOTTEN,
    PHOTOS,
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
from lotor.data.traces import pulled, remove_traces
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import resource
from lotor.suggest import did_you_mean


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and what knew it.

    Attributes:
        ids: of the photographs.
        versions: how many versions of the data set had them.
        models: folders of the models that learned from them.
        through: by such a folder, what the model learned from that had learned from them; models
            that saw them themselves are not in it.
        cleaned: files and folders beside the data set that something was removed from.
        left: what may hold them still.
        version: hash of the data set now.
    """

    ids: list[str]
    versions: int
    models: list[str]
    through: dict[str, str]
    cleaned: list[str]
    left: list[str]
    version: str

    def __str__(self) -> str:
        lines = [f"{len(self.ids)} photographs removed, from {self.versions} versions"]
        for model in self.models:
            how = f" (through its {self.through[model]})" if model in self.through else ""
            lines.append(f"  train again: {model}{how}")
        if not self.models:
            lines.append("  no model here was trained on them")
        lines += [f"  taken out of {path}" for path in self.cleaned]
        lines += [f"  may still hold them: {what}" for what in self.left]
        return "\n".join([*lines, f"version {self.version}"])


def forget(
    folder: Path, ids: Sequence[str], reason: str = "", models: Iterable[Path] | None = None
) -> Forgotten:
    """Remove photographs for good; whatever broke this off, doing it again ends it.

    Args:
        folder: of the data set.
        ids: of the photographs; their starts do, six digits or more. Those that were removed
            before are removed from wherever they still are.
        reason: for the record.
        models: folders in which models lie, each in one of its own; `models/` when None.

    Raises:
        LotorError: an id is none of this data set, in any version, and nothing was removed; or
            something could not be written.
    """
    roots = list(models) if models is not None else [resource("models")]
    with locked(folder):
        data = open_store(folder)
        held = {name: read_version(folder, name) for name in versions(folder)}
        stones = tombstones(folder)
        known = {photo.id for old in (*held.values(), data) for photo in old.photos}
        gone = {_one(known | set(stones), number, folder) for number in ids}
        left = [photo for photo in data.photos if photo.id not in gone]
        if not left:
            raise LotorError(f"nothing would be left of {folder}; remove the folder itself instead")
        for number in gone:
            stones[number] = _tombstone(stones.get(number), number, reason, held)
        # The tombstones first: they say what is to be ended, and which versions had it.
        write_files({folder / FORGOTTEN: tombstone_bytes(stones.values())})
        version = data.manifest_hash
        if len(left) < len(data.photos):
            version = commit(folder, left).manifest_hash
        for name, old in held.items():
            _forget_in(folder / VERSIONS / f"{name}.csv", old, gone)
        for path in _files(folder, gone):
            path.unlink()
    told = [stones[number] for number in sorted(gone)]
    through = learned_from(roots, told)
    cleaned = remove_traces(sorted(gone), roots)
    return Forgotten(
        sorted(gone),
        len({name for stone in told for name in stone.versions}),
        sorted(through),
        {model: how for model, how in sorted(through.items()) if how},
        [str(path) for path in cleaned],
        [*unfinished(roots, told), *pulled()],
        version,
    )


def _one(known: Collection[str], number: str, folder: Path) -> str:
    found = [each for each in known if len(number) >= 6 and each.startswith(number.lower())]
    if len(found) != 1:
        raise LotorError(
            f"'{number}' is {'no' if not found else 'more than one'} photograph of {folder}"
            f"{did_you_mean(number, known)}; give the first 6 to 16 digits of a file's name there"
        )
    return found[0]


def _tombstone(
    before: Tombstone | None, number: str, reason: str, held: dict[str, DataSet]
) -> Tombstone:
    """Return a photograph's tombstone; what an earlier one says stays."""
    names = [name for name, old in held.items() if any(photo.id == number for photo in old.photos)]
    if before is None:
        return Tombstone(number, reason, tuple(names))
    every = dict.fromkeys((*before.versions, *names))
    return Tombstone(number, reason or before.reason, tuple(every))


def _forget_in(path: Path, old: DataSet, gone: set[str]) -> None:
    """Take photographs out of a version, which keeps its name and its age."""
    left = sum(photo.id not in gone for photo in old.photos)
    if not left:
        path.unlink()
    elif left < len(old.photos):
        age = path.stat()  # by which versions are ordered: it must be right from the start
        new = path.with_name(f".{path.stem}")
        write_files({new: _without(path, gone)})
        os.utime(new, ns=(age.st_atime_ns, age.st_mtime_ns))
        new.replace(path)


def _files(folder: Path, gone: set[str]) -> list[Path]:
    """Return the files of photographs, and what an import that was killed has left of any."""
    found = sorted((folder / PHOTOS).glob("*"))
    return [path for path in found if path.stem in gone or path.name.startswith(".")]


def _without(path: Path, gone: set[str]) -> bytes:
    """Return a version's manifest without the rows of these ids, all other bytes as they are."""
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    column = rows[0].index("sha256")
    text = io.StringIO()
    keep = [row for row in rows if not any(row[column].startswith(number) for number in gone)]
    csv.writer(text, lineterminator="\n").writerows(keep)
    return text.getvalue().encode("utf-8")
