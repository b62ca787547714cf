"""COCO Camera Traps JSON: what lila.science publishes; classes of images, places and sequences.

Format: https://github.com/agentmorris/MegaDetector, `megadetector/data_management`, "COCO Camera
Traps". A sequence is one visit, and a place never crosses splits where one splits by it.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lotor.data.importers.item import BACKGROUND, Item, box_of, kind_of
from lotor.data.importers.tables import below, has_keys, read_json
from lotor.data.manifest import Box
from lotor.errors import LotorError

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
    """Yield the photographs of a camera-trap file; `images` is their folder."""
    table = read_json(source, _KEYS)
    try:
        names = {row["id"]: str(row["name"]) for row in table["categories"]}
        boxes: dict[Any, list[Box]] = defaultdict(list)
        kinds: dict[Any, list[str]] = defaultdict(list)
        for row in table["annotations"]:
            name = names[row["category_id"]]
            kind = BACKGROUND if name.lower() in _NOTHING else name
            kinds[row["image_id"]].append(kind)
            if row.get("bbox"):
                boxes[row["image_id"]].append(box_of(kind, *map(float, row["bbox"])))
        for row in table["images"]:
            found, said = tuple(boxes[row["id"]]), kinds[row["id"]]
            seen = [kind for kind in said if kind != BACKGROUND]
            visit = str(row.get("seq_id") or "")
            yield Item(
                below(images or source.parent, str(row["file_name"]), source),
                kind_of(found) if found else (seen or [BACKGROUND])[0],
                found,
                (int(row["width"]), int(row["height"])) if "width" in row else None,
                group=visit,
                place=str(row.get("location") or ""),
                visit=visit,
                note=str(row.get("datetime") or ""),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise LotorError(f"{source} is no camera-trap file: {error!r}") from error
