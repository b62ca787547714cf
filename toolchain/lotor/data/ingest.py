"""`lotor data import`: photographs from anywhere into a data set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import imagehash

from lotor.data.downloads import with_downloads
from lotor.data.importers import FORMATS, find_format
from lotor.data.importers.item import Item
from lotor.data.manifest import SPLITS, Box, DataSet, Photo, sound_boxes
from lotor.data.picture import Picture, read_picture
from lotor.data.store import PHOTOS, commit, locked, open_store, tombstones
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.progress import Progress


@dataclass
class Imported:
    """What an import did.

    Attributes:
        format: what the source was read as.
        added: photographs that are new.
        known: photographs that were there already, or twice in the source.
        forgotten: photographs that were removed for good and thus left out.
        changed: what was done to files that were not plain, by how many.
        bad: what could not be taken and why, with `skip_bad`.
        version: hash of the data set now.
        downloads: SHA-256 of the files that were pulled, by their names.
    """

    format: str
    added: int = 0
    known: int = 0
    forgotten: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    version: str = ""
    downloads: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{self.added} photographs added (read as {self.format}), {self.known} known already"
            + (f", {self.forgotten} forgotten for good and left out" if self.forgotten else "")
            + (f", {len(self.bad)} left out" if self.bad else "")
        ]
        lines += [f"  {what}: {count}" for what, count in sorted(self.changed.items())]
        lines += [f"  left out: {reason}" for reason in self.bad]
        lines += [f"  {name}: SHA-256 {sha256}" for name, sha256 in self.downloads.items()]
        return "\n".join([*lines, f"version {self.version}"])


def import_photos(
    source: Path,
    into: Path,
    form: str | None = None,
    *,
    images: Path | None = None,
    name: str | None = None,
    label: str | None = None,
    classes: Mapping[str, str] | None = None,
    licence: str = "",
    short_side: int | None = None,
    skip_bad: bool = False,
    downloads: Mapping[str, str] | None = None,
) -> Imported:
    """Add photographs to a data set, which is made where there is none.

    Args:
        source: a folder, or the file that lists the images.
        into: folder of the data set.
        form: one of `FORMATS`; found out when None.
        images: folder of the images, where it is not beside the list.
        name: what the source is called: the photographs' origin, and a prefix of groups and places;
            its folder's name when None.
        label: class of the photographs that have none.
        classes: other names for classes; those that become empty are left out.
        licence: of photographs that say nothing about it.
        short_side: pixels to shrink longer short sides to.
        skip_bad: leave out what is damaged or does not make sense, and go on.
        downloads: SHA-256 of the files that it was pulled from, by their names; they are recorded,
            and must be those of before.

    Raises:
        LotorError: nothing was added.
    """
    found = find_format(source, form)
    home = source if source.is_dir() else source.parent
    name = name if name is not None else home.name or home.resolve().name  # "." has one, too
    with locked(into, make=True):
        old = open_store(into) if (into / "manifest.csv").exists() else None
        adding = _Adding(into, old, name, label, dict(classes or {}), licence, short_side)
        result = Imported(found, downloads=dict(downloads or {}))
        beside = with_downloads(into, name, result.downloads)
        items = list(FORMATS[found].read(source, images))
        try:
            with Progress("importing", len(items), "photographs") as progress:
                for item in items:
                    try:
                        adding.add(item, result)
                    except LotorError as error:
                        result.bad.append(str(error))
                    progress.advance()
            if result.bad and not skip_bad:
                raise LotorError(
                    f"{len(result.bad)} of {len(items)} photographs cannot be taken, and nothing "
                    f"was added: {result.bad[0]}; mend them, or leave them out with --skip-bad"
                )
            if not adding.photos:
                raise LotorError(f"nothing in {source} can be taken" + _first(result.bad))
            result.version = commit(into, list(adding.photos.values()), beside).manifest_hash
        except BaseException:
            adding.undo()
            raise
    return result


def _first(bad: Sequence[str]) -> str:
    return f": {bad[0]}" if bad else ""


class _Adding:
    """Photographs on their way into a data set; files are written as they come, and can be undone.

    They are called by their content, so that files without a row harm nobody.
    """

    def __init__(
        self,
        folder: Path,
        old: DataSet | None,
        name: str,
        label: str | None,
        classes: dict[str, str],
        licence: str,
        short_side: int | None,
    ) -> None:
        self.folder, self.name, self.label, self.classes = folder, name, label, classes
        self.licence, self.short_side = licence, short_side
        self.photos = {photo.id: photo for photo in old.photos} if old else {}
        self.before = frozenset(self.photos)
        self.stones = tombstones(folder)
        self.new: list[Path] = []

    def add(self, item: Item, result: Imported) -> None:
        if item.error:
            raise LotorError(item.error)
        kind = self._kind(item)
        if not kind:
            return
        picture = read_picture(item.path, self.short_side)
        number = picture.sha256[:16]
        if number in self.stones:
            result.forgotten += 1
            return
        if other := self.photos.get(number):
            if other.kind != kind:
                raise LotorError(
                    f"{item.path} is labelled {kind}, and {other.kind} as {number} in the data "
                    "set: the same photograph must have one class"
                )
            result.known += 1
            return
        if item.split not in (*SPLITS, ""):
            raise LotorError(f"{item.path}: split '{item.split}' is none of {', '.join(SPLITS)}")
        path = self.folder / PHOTOS / f"{number}{picture.suffix}"
        photo = Photo(
            path=path,
            kind=kind,
            split=item.split,
            group=self._prefixed(item.group),
            native_short_side=item.native_short_side or picture.native_short_side,
            boxes=_scaled(item, picture, self.classes),
            licence=_line(item.licence or self.licence),
            source=_line(item.source or item.path.name),
            place=self._prefixed(item.place),
            visit=self._prefixed(item.visit),
            note=_line(", ".join(filter(None, (item.note, picture.changed)))),
            width=picture.width,
            height=picture.height,
            sha256=picture.sha256,
            phash=str(imagehash.phash(picture.image())),
            origin=self._prefixed(item.origin) or _line(self.name),
        )
        if not path.exists():
            write_files({path: picture.content})  # an OSError ends the import: see `locked`
            self.new.append(path)
        self.photos[number] = photo
        result.added += 1
        if picture.changed:
            result.changed[picture.changed] += 1

    def _kind(self, item: Item) -> str:
        kind = item.kind or self.label
        if kind is None:
            raise LotorError(
                f"{item.path} has no class: put it into a folder that is called by its class, or "
                "say --label CLASS (--label unlabelled, to look at them with `lotor data label`)"
            )
        kind = self.classes.get(kind, kind)
        for name in (kind, *(self.classes.get(box.kind, box.kind) for box in item.boxes)):
            if not name.isprintable() or ";" in name:
                raise LotorError(
                    f"{item.path}: the class {name!r} has a letter that a manifest cannot hold; "
                    "call it otherwise"
                )
        return kind

    def _prefixed(self, text: str) -> str:
        return _line(f"{self.name}/{text}" if text and self.name else text)

    def undo(self) -> None:
        """Remove the files that were written."""
        for path in self.new:
            path.unlink(missing_ok=True)


def _line(text: str) -> str:
    """Return free text as a manifest can hold it: in one line, in letters that UTF-8 has."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _scaled(item: Item, picture: Picture, classes: Mapping[str, str]) -> tuple[Box, ...]:
    """Return an item's boxes in pixels of the file as it is stored."""
    if not item.boxes:
        return ()
    width, height = item.size or (0, 0)
    if not width:
        scale = picture.native_short_side / min(picture.width, picture.height)
        width, height = round(picture.width * scale), round(picture.height * scale)
    across, down = picture.width / width, picture.height / height
    if abs(across / down - 1) > 0.03:
        raise LotorError(
            f"{item.path} is {picture.width}x{picture.height}, its boxes are for {width}x{height}"
        )
    boxes: Iterable[Box] = (
        Box(
            round(box.x0 * across),
            round(box.y0 * down),
            round(box.x1 * across),
            round(box.y1 * down),
            classes.get(box.kind, box.kind),
        )
        for box in item.boxes
    )
    try:
        return sound_boxes(boxes, picture.width, picture.height)
    except (ValueError, OverflowError) as error:
        raise LotorError(f"{item.path}: {error}") from error
