"""What an importer says of one photograph, and what the formats share."""

from dataclasses import dataclass
from pathlib import Path

from lotor.data.manifest import Box

BACKGROUND = "background"
"""The class of photographs that are known to show nothing of interest."""


@dataclass(frozen=True)
class Item:
    """One photograph to import.

    Attributes:
        path: the image file.
        kind: its class.
        boxes: in pixels of the upright image.
        size: width and height that the annotation states; None where it does not.
        split: train, val, test or empty.
        group: what never crosses splits with it; empty for itself alone.
        place: of the camera.
        visit: sequence of one animal's stay.
        licence: in words.
        source: its address where it comes from; empty for its file's name.
        origin: which part of what is imported it comes from; empty where that is one whole.
        note: anything else.
        native_short_side: of the original, where the file is smaller already; 0 where it is not.
    """

    path: Path
    kind: str
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    split: str = ""
    group: str = ""
    place: str = ""
    visit: str = ""
    licence: str = ""
    source: str = ""
    origin: str = ""
    note: str = ""
    native_short_side: int = 0


def box_of(kind: str, x: float, y: float, width: float, height: float) -> Box:
    """Return a box by its upper left corner and its size, in pixels."""
    return Box(round(x), round(y), round(x + width), round(y + height), kind)


def kind_of(boxes: tuple[Box, ...]) -> str:
    """Return the class of a photograph that is told by its boxes alone: that of the largest one."""
    if not boxes:
        return BACKGROUND
    return max(boxes, key=lambda box: (box.x1 - box.x0) * (box.y1 - box.y0)).kind
