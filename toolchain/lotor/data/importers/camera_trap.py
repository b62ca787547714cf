"""COCO Camera Traps JSON: what lila.science publishes; classes of images, places and sequences.

Format: https://github.com/agentmorris/MegaDetector, `megadetector/data_management`, "COCO Camera
Traps". A sequence is one visit, and a place never crosses splits where one splits by it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lotor.data.importers.coco import coco_box, kind_in
from lotor.data.importers.item import BACKGROUND, Item, kind_of, size_of
from lotor.data.importers.tables import (
    annotations_by_image,
    has_keys,
    names_by_id,
    read_images,
    read_json,
)
from lotor.data.manifest import Box

_KEYS = ("images", "annotations", "categories")
_NOTHING = frozenset({"empty", "blank", "none", "nothing"})
_OF_PLACE = frozenset({"location", "seq_id"})


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    if not has_keys(source, _KEYS):
        return False
    rows = read_json(source, _KEYS)["images"]
    return bool(rows) and isinstance(rows[0], dict) and not _OF_PLACE.isdisjoint(rows[0])


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a camera-trap file; `images` is their folder.

    An annotation without a box (no `bbox`, or null) says what the whole photograph shows.
    """
    table = read_json(source, _KEYS)
    names = names_by_id(table["categories"], "categories", source)
    kinds = {key: BACKGROUND if name.lower() in _NOTHING else name for key, name in names.items()}
    annotations = annotations_by_image(table, source)

    def item(row: Any, path: Path) -> Item:
        boxes: list[Box] = []
        said = []
        for each in annotations.get(row["id"], ()):
            kind = kind_in(kinds, each)
            if each.get("bbox") is not None:
                boxes.append(coco_box(kind, each["bbox"]))
            if kind != BACKGROUND:
                said.append(kind)
        visit = str(row.get("seq_id") or "")
        return Item(
            path,
            kind_of(tuple(boxes)) if boxes else (said or [BACKGROUND])[0],
            tuple(boxes),
            size_of(row.get("width"), row.get("height")),
            group=visit,
            place=str(row.get("location") or ""),
            visit=visit,
            note=str(row.get("datetime") or ""),
        )

    return read_images(table, source, item, images)
