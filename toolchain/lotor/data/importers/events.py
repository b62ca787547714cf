"""A sentinel's events that somebody has labelled: `events.jsonl`, one event a line.

    {"id": "2026-11-02T03:12:09-porch", "camera": "porch", "label": "cat",
     "frames": [{"file": "porch/0312/0001.jpg", "box": [120, 80, 260, 190]}, ...]}

`label` is what a person said that it was, null where nobody has looked; `box` is optional, in
pixels. An event is a visit, and its frames never cross splits.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from lotor.data.importers.item import Item
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
        try:
            event = json.loads(line)
            visit, kind = str(event["id"]), str(event.get("label") or UNLABELLED)
            for frame in event["frames"]:
                boxes: tuple[Box, ...] = ()
                if frame.get("box"):
                    x0, y0, x1, y1 = (round(float(value)) for value in frame["box"])
                    boxes = (Box(x0, y0, x1, y1, kind),)
                yield Item(
                    below(images or file.parent, str(frame["file"]), file),
                    kind,
                    boxes,
                    group=visit,
                    place=str(event.get("camera") or ""),
                    visit=visit,
                )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LotorError(f"{file} line {number} is no event: {error!r}") from error
