"""Another folder with a `manifest.csv`: the garden data, or a data set of this program."""

from collections.abc import Iterator
from pathlib import Path

from lotor.data.importers.item import Item
from lotor.data.manifest import MANIFEST, manifest_content, read_rows


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return (source / MANIFEST).is_file()


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a manifest, with all that it says of them."""
    path = source / MANIFEST
    photos, wrong = read_rows(source, path, manifest_content(source))
    for error in wrong:
        yield Item(path, "", error=error)
    for photo in photos:
        yield Item(
            photo.path,
            photo.kind,
            photo.boxes,
            (photo.width, photo.height) if photo.width and photo.height else None,
            photo.split,
            photo.group,
            photo.place,
            photo.visit,
            photo.licence,
            photo.source,
            photo.origin,
            photo.note,
            photo.native_short_side,
        )
