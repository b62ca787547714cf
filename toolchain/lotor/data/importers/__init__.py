"""Formats of data sets that can be imported: one module each, with `claims` and `read`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lotor.data.importers import camera_trap, coco, events, folder, manifest_csv, voc, yolo
from lotor.data.importers.item import Item
from lotor.errors import LotorError
from lotor.suggest import did_you_mean


@dataclass(frozen=True)
class Format:
    """A format: whether something is of it, and the photographs of that."""

    claims: Callable[[Path], bool]
    read: Callable[[Path, Path | None], Iterator[Item]]


# In the order in which they are tried: a folder of images is what nothing else claims.
FORMATS = {
    "manifest": Format(manifest_csv.claims, manifest_csv.read),
    "events": Format(events.claims, events.read),
    "camera-trap": Format(camera_trap.claims, camera_trap.read),
    "coco": Format(coco.claims, coco.read),
    "yolo": Format(yolo.claims, yolo.read),
    "voc": Format(voc.claims, voc.read),
    "folder": Format(folder.claims, folder.read),
}


def find_format(source: Path, name: str | None = None) -> str:
    """Return the name of the format that something is in.

    Raises:
        LotorError: there is nothing, of no known format, or no format of that name.
    """
    if not source.exists():
        raise LotorError(f"nothing at {source} to import")
    if name is not None:
        if name not in FORMATS:
            raise LotorError(f"no format '{name}'{did_you_mean(name, FORMATS)}")
        return name
    found = next((known for known, each in FORMATS.items() if each.claims(source)), None)
    if found is None:
        raise LotorError(
            f"{source} is of no known format ({', '.join(FORMATS)}); give a folder or the file "
            "that lists its images"
        )
    return found
