"""A sentinel's events that somebody has labelled: `events.jsonl`, one event a line.

    {"id": "2026-11-02T03:12:09-porch", "camera": "porch", "label": "cat",
     "frames": [{"file": "porch/0312/0001.jpg", "box": [120, 80, 260, 190]}, ...]}

`label` is what a person said that it was, null where nobody has looked; `box` is optional, in
pixels. An event is a visit, and its frames never cross splits.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lotor.data.importers.item import Item, attempt, box_of, four_numbers
from lotor.data.importers.tables import below
from lotor.data.manifest import UNLABELLED, Box
from lotor.errors import LotorError

_NAME = "events.jsonl"


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return source.name == _NAME or (source / _NAME).is_file()


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the frames of all events; those that nobody labelled are `unlabelled`."""
    file = source / _NAME if source.is_dir() else source
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{file} line {number}"
        try:
            event = json.loads(line)
            visit, kind = str(event["id"]), str(event.get("label") or UNLABELLED)
            place, frames = str(event.get("camera") or ""), list(event["frames"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            yield Item(file, "", error=f"{where} is no event with id and frames: {error}")
            continue
        about = Item(file, kind, group=visit, place=place, visit=visit)
        for frame in frames:
            yield attempt(where, file, partial(_item, frame, about, images or file.parent))


def _item(frame: Any, about: Item, images: Path) -> Item:
    boxes: tuple[Box, ...] = ()
    if frame.get("box") is not None:
        boxes = (box_of(about.kind, *four_numbers(frame["box"])),)
    return replace(about, path=below(images, str(frame["file"]), about.path), boxes=boxes)
