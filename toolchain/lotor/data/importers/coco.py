"""COCO's object detection JSON: `images`, `annotations` with boxes, `categories`.

Format: https://cocodataset.org/#format-data. Files without a box are background.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lotor.data.importers.item import Item, box_of, kind_of
from lotor.data.importers.tables import below, has_keys, read_json
from lotor.data.manifest import Box
from lotor.errors import LotorError


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return has_keys(source, ("images", "annotations", "categories"))


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a COCO file; `images` is their folder, the file's own if None."""
    table = read_json(source, ("images", "annotations", "categories"))
    try:
        names = {row["id"]: str(row["name"]) for row in table["categories"]}
        licences = {row["id"]: str(row["name"]) for row in table.get("licenses", ())}
        boxes: dict[Any, list[Box]] = defaultdict(list)
        for row in table["annotations"]:
            if "bbox" in row:
                boxes[row["image_id"]].append(
                    box_of(names[row["category_id"]], *map(float, row["bbox"]))
                )
        for row in table["images"]:
            found = tuple(boxes[row["id"]])
            yield Item(
                below(images or source.parent, str(row["file_name"]), source),
                kind_of(found),
                found,
                (int(row["width"]), int(row["height"])) if "width" in row else None,
                licence=licences.get(row.get("license"), ""),
                source=str(row.get("coco_url") or ""),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise LotorError(f"{source} is no COCO file: {error!r}") from error
