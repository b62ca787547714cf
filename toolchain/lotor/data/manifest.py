"""The manifest of a folder of photographs: `manifest.csv`, one row a file.

Columns used: `file` (path below the folder), `class`, `split` (train, val or test), `group` (near
duplicates share one, and a group never crosses splits), `native_short_side` (pixels of the
original before it was stored), `bbox_xyxy` (`class:x0,y0,x1,y1;...` in pixels of the stored file),
`licence` and `note`. Others are ignored.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.resources import resource
from lotor.suggest import did_you_mean

GARDEN = "../shared/data/garden"
SPLITS = ("train", "val", "test")
SHARP_SHORT_SIDE = 128
"""A photograph is called sharp when its original's short side had at least so many pixels."""

_COLUMNS = ("file", "class", "split", "group", "native_short_side", "bbox_xyxy")


@dataclass(frozen=True)
class Photo:
    """One photograph of a data set; `boxes` are (x0, y0, x1, y1) in pixels of the file."""

    path: Path
    kind: str
    split: str
    group: str
    native_short_side: int
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    licence: str = ""

    @property
    def sharp(self) -> bool:
        """Whether the original had enough pixels not to be blurred by its size alone."""
        return self.native_short_side >= SHARP_SHORT_SIDE


@dataclass(frozen=True)
class DataSet:
    """The photographs of a folder and the SHA-256 of its manifest."""

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
            f"no photographs at {folder}; give a folder that holds a manifest.csv"
            + ("" if given else ", for instance with --data DIR")
        )
    return folder


def read_manifest(folder: Path) -> DataSet:
    """Read `folder/manifest.csv` and check that every row and every split is sound."""
    path = folder / "manifest.csv"
    try:
        raw = path.read_bytes()
        rows = list(csv.DictReader(raw.decode("utf-8").splitlines()))
    except OSError as error:
        raise LotorError(
            f"no data set in {folder}: cannot read {path.name} ({error.strerror}); "
            "give the folder that holds it with --data"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LotorError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise LotorError(f"{path} lists no photograph")
    if missing := [name for name in _COLUMNS if name not in rows[0]]:
        raise LotorError(f"{path} lacks the column(s) {', '.join(missing)}")
    photos = tuple(_photo(folder, path, line, row) for line, row in enumerate(rows, start=2))
    _check_groups(path, photos)
    return DataSet(folder, photos, hashlib.sha256(raw).hexdigest())


def _photo(folder: Path, manifest: Path, line: int, row: Mapping[str, str]) -> Photo:
    try:
        if row["split"] not in SPLITS:
            raise ValueError(f"split '{row['split']}' is none of {', '.join(SPLITS)}")
        if not row["file"] or not row["class"]:
            raise ValueError("file and class must not be empty")
        return Photo(
            path=folder / row["file"],
            kind=row["class"],
            split=row["split"],
            group=row["group"],
            native_short_side=int(row["native_short_side"]),
            boxes=_boxes(row["bbox_xyxy"]),
            licence=row.get("licence") or "",
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise LotorError(f"{manifest} line {line}: {error}") from error


def _boxes(text: str) -> tuple[tuple[int, int, int, int], ...]:
    boxes = []
    for part in filter(None, text.split(";")):
        x0, y0, x1, y1 = (round(float(v)) for v in part.rpartition(":")[2].split(","))
        boxes.append((x0, y0, x1, y1))
    return tuple(boxes)


def _check_groups(path: Path, photos: tuple[Photo, ...]) -> None:
    seen: dict[str, Photo] = {}
    for photo in photos:
        other = seen.setdefault(photo.group, photo) if photo.group else photo
        if other.split != photo.split:
            raise LotorError(
                f"{path}: group '{photo.group}' is in {other.split} ({other.path.name}) and in "
                f"{photo.split} ({photo.path.name}); near duplicates must share one split"
            )


def stats(data: DataSet, target: str = "raccoon") -> dict[str, Any]:
    """Count photographs by class, split and resolution, and look for a resolution bias.

    A class whose originals are larger than the others' can be told by sharpness alone. The bias is
    the share of photographs below `SHARP_SHORT_SIDE` among `target` and among the rest.
    """
    table: dict[str, dict[str, int]] = {}
    for photo in data.photos:
        row = table.setdefault(photo.kind, {name: 0 for name in (*SPLITS, "sharp", "boxed")})
        row[photo.split] += 1
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
        "splits": dict(Counter(photo.split for photo in data.photos)),
        "classes": dict(sorted(table.items())),
        "small_share": small,
        "warnings": [warning] if biased else [],
    }


def stats_text(found: dict[str, Any]) -> str:
    """Return the counts as a table for people."""
    columns = (*SPLITS, "sharp", "boxed")
    lines = [f"{found['folder']}: {found['photos']} photographs"]
    lines.append(" " * 16 + "".join(f"{name:>8}" for name in columns))
    for kind, row in found["classes"].items():
        lines.append(f"{kind:<16}" + "".join(f"{row[name]:>8}" for name in columns))
    lines.append(f"(sharp: original's short side at least {SHARP_SHORT_SIDE} pixels)")
    return "\n".join(lines + [f"warning: {text}" for text in found["warnings"]])
