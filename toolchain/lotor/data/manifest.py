"""The manifest of a data set: `manifest.csv` in its folder, one row a photograph.

Columns that every manifest has: `file` (path below the folder), `class`, `split` (train, val, test,
or empty where that is not decided yet), `group` (near duplicates share one, and a group never
crosses splits), `native_short_side` (pixels of the original before it was stored), `bbox_xyxy`
(`class:x0,y0,x1,y1;...` in pixels of the stored file).

Columns that may be there: `licence`, `source` (its file or address there), `origin` (the collection
that it comes from), `place` and `visit` (of a camera: splits can go by these three), `note`,
`width`, `height`, `sha256` (of the file; its first 16 digits are the photograph's id), `phash`
(perceptual hash). Others are ignored.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lotor.errors import LotorError
from lotor.resources import resource
from lotor.suggest import did_you_mean

GARDEN = "../shared/data/garden"
MANIFEST = "manifest.csv"
SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
"""The class of photographs that nobody has looked at yet."""
SHARP_SHORT_SIDE = 128
"""A photograph is called sharp when its original's short side had at least so many pixels."""

_COLUMNS = ("file", "class", "split", "group", "native_short_side", "bbox_xyxy")
_OPTIONAL = (
    "width", "height", "licence", "source", "origin", "place", "visit", "note", "sha256", "phash"
)  # fmt: skip
_ID_DIGITS = 16
_NO_SPLIT = "none"  # what `stats` calls what has none yet


class Box(NamedTuple):
    """A rectangle in pixels of the stored file, right and lower edge outside, and what is in it."""

    x0: int
    y0: int
    x1: int
    y1: int
    kind: str = ""


@dataclass(frozen=True)
class Photo:
    """One photograph of a data set; see the columns of the manifest. Sizes are 0 where unknown."""

    path: Path
    kind: str
    split: str
    group: str
    native_short_side: int
    boxes: tuple[Box, ...] = ()
    licence: str = ""
    source: str = ""
    place: str = ""
    visit: str = ""
    note: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""
    phash: str = ""
    origin: str = ""

    @property
    def sharp(self) -> bool:
        """Whether the original had enough pixels not to be blurred by its size alone."""
        return self.native_short_side >= SHARP_SHORT_SIDE

    @property
    def id(self) -> str:
        """What people call it by: the start of its content hash, empty where that is not listed."""
        return self.sha256[:_ID_DIGITS]


@dataclass(frozen=True)
class DataSet:
    """The photographs of a folder and the SHA-256 of its manifest, which is the version."""

    folder: Path
    photos: tuple[Photo, ...]
    manifest_hash: str

    def split(self, name: str) -> list[Photo]:
        """Return the photographs of one split, in manifest order."""
        if name not in SPLITS:
            raise LotorError(f"no split '{name}'{did_you_mean(name, SPLITS)}: {', '.join(SPLITS)}")
        return [photo for photo in self.photos if photo.split == name]


def data_folder(given: Path | None, usual: str) -> Path:
    """Return the folder of photographs: the given one, else the usual one beside the checkout."""
    folder = given or (resource("models").parent / usual).resolve()
    if not folder.is_dir():
        raise LotorError(
            f"no photographs at {folder}; give a folder that holds a {MANIFEST}"
            + ("" if given else ", for instance with --data DIR")
        )
    return folder


def read_manifest(folder: Path) -> DataSet:
    """Read `folder/manifest.csv` and check that every row and every split is sound."""
    return parse_manifest(folder, folder / MANIFEST, manifest_content(folder))


def manifest_content(folder: Path) -> bytes:
    """Return the bytes of `folder/manifest.csv`."""
    path = folder / MANIFEST
    try:
        return path.read_bytes()
    except OSError as error:
        raise LotorError(
            f"no data set in {folder}: cannot read {path.name} ({error.strerror}); "
            "give the folder that holds it with --data"
        ) from error


def parse_manifest(folder: Path, path: Path, raw: bytes) -> DataSet:
    """Return the data set that a manifest's bytes describe; `path` is what errors name."""
    photos, wrong = read_rows(folder, path, raw)
    if wrong:
        more = f" (and {len(wrong) - 1} more lines are wrong)" if wrong[1:] else ""
        raise LotorError(f"{wrong[0]}{more}")
    return DataSet(folder, photos, hashlib.sha256(raw).hexdigest())


def read_rows(folder: Path, path: Path, raw: bytes) -> tuple[tuple[Photo, ...], list[str]]:
    """Return the photographs of a manifest's sound rows, and what is wrong with the others.

    Raises:
        LotorError: it is no manifest, or its sound rows do not make sense together.
    """
    try:
        rows = list(csv.DictReader(raw.decode("utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LotorError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise LotorError(f"{path} lists no photograph")
    if missing := [name for name in _COLUMNS if name not in rows[0]]:
        raise LotorError(f"{path} lacks the column(s) {', '.join(missing)}")
    photos, wrong = [], []
    for line, row in enumerate(rows, start=2):
        try:
            photos.append(_photo(folder, row))
        except (ValueError, TypeError, AttributeError) as error:
            wrong.append(f"{path} line {line}: {error}")
    _check_names(path, photos)
    _check_groups(path, photos)
    return tuple(photos), wrong


def _photo(folder: Path, row: Mapping[str, str]) -> Photo:
    if row["split"] not in (*SPLITS, ""):
        raise ValueError(f"split '{row['split']}' is none of {', '.join(SPLITS)}")
    if not row["file"] or not row["class"]:
        raise ValueError("file and class must not be empty")
    if Path(row["file"]).is_absolute() or ".." in Path(row["file"]).parts:
        raise ValueError(f"file '{row['file']}' must lie below the manifest's folder")
    texts = {name: row.get(name) or "" for name in _OPTIONAL}
    width, height = (int(texts.pop(side) or 0) for side in ("width", "height"))
    # The garden data has its source in two columns; a path often says what a class does not.
    texts["source"] = texts["source"] or row.get("source_repo") or ""
    texts["origin"] = texts["origin"] or row.get("source_repo") or ""
    texts["note"] = "; ".join(filter(None, (texts["note"], row.get("source_path"))))
    return Photo(
        path=folder / row["file"],
        kind=row["class"],
        split=row["split"],
        group=row["group"],
        native_short_side=int(row["native_short_side"]),
        boxes=_boxes(row["bbox_xyxy"], width, height),
        width=width,
        height=height,
        **texts,
    )


def _boxes(text: str, width: int, height: int) -> tuple[Box, ...]:
    boxes = []
    for part in filter(None, text.split(";")):
        kind, _, numbers = part.rpartition(":")
        try:
            x0, y0, x1, y1 = (round(float(v)) for v in numbers.split(","))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"box '{part}' is not CLASS:x0,y0,x1,y1") from error
        boxes.append(Box(x0, y0, x1, y1, kind))
    return sound_boxes(boxes, width, height)


def sound_boxes(boxes: Iterable[Box], width: int = 0, height: int = 0) -> tuple[Box, ...]:
    """Return boxes cut to their image of `width` x `height` pixels (0: not known).

    Boxes that rounding has left less than a pixel are dropped.

    Raises:
        ValueError: nothing of a box is inside, or its corners are in the wrong order.
    """
    sound = []
    for x0, y0, x1, y1, kind in boxes:
        if x0 > x1 or y0 > y1:
            raise ValueError(f"box {x0},{y0},{x1},{y1} must be x0,y0,x1,y1 with x0 < x1, y0 < y1")
        if x1 < 0 or y1 < 0 or (width and x0 > width) or (height and y0 > height):
            raise ValueError(f"box {x0},{y0},{x1},{y1} is outside the image of {width}x{height}")
        cut = Box(max(0, x0), max(0, y0), min(x1, width or x1), min(y1, height or y1), kind)
        if cut.x0 < cut.x1 and cut.y0 < cut.y1:
            sound.append(cut)
    return tuple(sound)


def _check_names(path: Path, photos: Iterable[Photo]) -> None:
    for name, count in Counter(photo.path for photo in photos).items():
        if count > 1:
            raise LotorError(f"{path}: {name.name} is listed {count} times; keep one of its rows")


def _check_groups(path: Path, photos: Iterable[Photo]) -> None:
    seen: dict[str, Photo] = {}
    for photo in photos:
        other = seen.setdefault(photo.group, photo) if photo.group and photo.split else photo
        if other.split != photo.split:
            raise LotorError(
                f"{path}: group '{photo.group}' is in {other.split} ({other.path.name}) and in "
                f"{photo.split} ({photo.path.name}); near duplicates must share one split"
            )


def manifest_bytes(folder: Path, photos: Iterable[Photo]) -> bytes:
    """Return the manifest of photographs, in the order of their files: equal sets, equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *_COLUMNS[1:], *_OPTIONAL))
    for photo in sorted(photos, key=lambda photo: photo.path):
        boxes = ";".join(f"{b.kind}:{b.x0},{b.y0},{b.x1},{b.y1}" for b in photo.boxes)
        writer.writerow(
            (
                photo.path.relative_to(folder).as_posix(),
                photo.kind,
                photo.split,
                photo.group,
                photo.native_short_side,
                boxes,
                *(getattr(photo, name) or "" for name in _OPTIONAL),
            )
        )
    return text.getvalue().encode("utf-8")


def stats(data: DataSet, target: str = "raccoon") -> dict[str, Any]:
    """Count photographs by class, split and resolution, and look for a resolution bias.

    A class whose originals are larger than the others' can be told by sharpness alone. The bias is
    the share of photographs below `SHARP_SHORT_SIDE` among `target` and among the rest.
    """
    table: dict[str, dict[str, int]] = {}
    for photo in data.photos:
        row = table.setdefault(photo.kind, {name: 0 for name in (*SPLITS, "sharp", "boxed")})
        where = photo.split or _NO_SPLIT
        row[where] = row.get(where, 0) + 1
        row["sharp"] += photo.sharp
        row["boxed"] += bool(photo.boxes)
    of_target = [not photo.sharp for photo in data.photos if photo.kind == target]
    of_rest = [not photo.sharp for photo in data.photos if photo.kind != target]
    small = {
        "target": sum(of_target) / max(1, len(of_target)),
        "rest": sum(of_rest) / max(1, len(of_rest)),
    }
    biased = bool(of_target and of_rest) and abs(small["target"] - small["rest"]) > 0.1
    warning = (
        f"size bias: {small['target']:.0%} of the {target} photographs but {small['rest']:.0%} of "
        f"the others come from originals under {SHARP_SHORT_SIDE} pixels: sharpness alone tells "
        "them apart; train with blur and downscaling, and read the figures on sharp ones too"
    )
    return {
        "folder": str(data.folder),
        "manifest_hash": data.manifest_hash,
        "photos": len(data.photos),
        "splits": dict(Counter(photo.split or _NO_SPLIT for photo in data.photos)),
        "classes": dict(sorted(table.items())),
        "small_share": small,
        "warnings": [warning] if biased else [],
    }


def stats_text(found: dict[str, Any]) -> str:
    """Return the counts as a table for people."""
    none = (_NO_SPLIT,) if _NO_SPLIT in found["splits"] else ()
    columns = (*SPLITS, *none, "sharp", "boxed")
    lines = [f"{found['folder']}: {found['photos']} photographs"]
    lines.append(" " * 16 + "".join(f"{name:>8}" for name in columns))
    for kind, row in found["classes"].items():
        lines.append(f"{kind:<16}" + "".join(f"{row.get(name, 0):>8}" for name in columns))
    lines.append(f"(sharp: original's short side at least {SHARP_SHORT_SIDE} pixels)")
    return "\n".join(lines + [f"warning: {text}" for text in found["warnings"]])
