"""COCO's object detection JSON: `images`, `annotations` with boxes, `categories`.

Format: https://cocodataset.org/#format-data. Images without an annotation are background.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lotor.data.importers.item import Item, box_of, four_numbers, kind_of, size_of
from lotor.data.importers.tables import (
    annotations_by_image,
    has_keys,
    names_by_id,
    read_images,
    read_json,
)
from lotor.data.manifest import Box

_KEYS = ("images", "annotations", "categories")


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return has_keys(source, _KEYS)


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a COCO file; `images` is their folder, the file's own if None."""
    table = read_json(source, _KEYS)
    kinds = names_by_id(table["categories"], "categories", source)
    licences = names_by_id(table.get("licenses") or (), "licenses", source)
    annotations = annotations_by_image(table, source)

    def item(row: Any, path: Path) -> Item:
        boxes = tuple(
            coco_box(kind_in(kinds, each), each["bbox"]) for each in annotations.get(row["id"], ())
        )
        return Item(
            path,
            kind_of(boxes),
            boxes,
            size_of(row.get("width"), row.get("height")),
            licence=licences.get(row.get("license"), ""),
            source=str(row.get("coco_url") or ""),
        )

    return read_images(table, source, item, images)


def kind_in(kinds: dict[Any, str], annotation: Any) -> str:
    """Return the class of an annotation."""
    number = annotation["category_id"]
    if number not in kinds:
        raise ValueError(f"category {number} is none of the file's categories")
    return kinds[number]


def coco_box(kind: str, bbox: Any) -> Box:
    """Return a box by its upper left corner and its size, in pixels."""
    x, y, width, height = four_numbers(bbox)
    return box_of(kind, x, y, x + width, y + height)
