"""What an importer says of one photograph, and what the formats share."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.data.manifest import Box
from lotor.errors import LotorError

BACKGROUND = "background"
"""The class of photographs that are known to show nothing of interest."""
_SHOWN = 60  # letters of what is wrong


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
        error: what is wrong with it, so that it cannot be taken; nothing else counts then.
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
    error: str = ""


def attempt(where: str, path: Path, make: Callable[[], Item]) -> Item:
    """Return an item, or one that says what is wrong with it: others are taken without it.

    Args:
        where: file and place in it, for the error.
        path: of the photograph, or of what should say which it is.
        make: makes the item.
    """
    try:
        return make()
    except KeyError as error:
        reason = f"'{error.args[0]}' is missing"
    except LotorError as error:
        return Item(path, "", error=str(error))
    except ValueError as error:
        reason = str(error)
    except (TypeError, AttributeError):
        reason = "a value is of another kind than the format has there"
    return Item(path, "", error=f"{where}: {reason}")


def four_numbers(values: Any) -> tuple[float, float, float, float]:
    """Return a box's numbers.

    Raises:
        ValueError: it is no list of four numbers.
    """
    try:
        if not isinstance(values, list):
            raise TypeError
        a, b, c, d = map(float, values)
    except (TypeError, ValueError, OverflowError) as error:
        shown = json.dumps(values)
        raise ValueError(f"box {shown[:_SHOWN]} is not four numbers") from error
    return a, b, c, d


def box_of(kind: str, x0: float, y0: float, x1: float, y1: float) -> Box:
    """Return a box by its corners, in pixels.

    Raises:
        ValueError: a corner is nowhere, or there is nothing between them.
    """
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError(f"box {x0:g},{y0:g},{x1:g},{y1:g} must be of finite numbers")
    if x0 >= x1 or y0 >= y1:
        raise ValueError(
            f"box {x0:g},{y0:g},{x1:g},{y1:g} must be x0,y0,x1,y1 with x0 < x1, y0 < y1"
        )
    return Box(round(x0), round(y0), round(x1), round(y1), kind)


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Return the size that an annotation states; None where it states none, or 0.

    Raises:
        ValueError: it is no size.
    """
    try:
        size = int(width or 0), int(height or 0)
    except (TypeError, ValueError, OverflowError):
        size = -1, -1
    if min(size) < 0:
        raise ValueError(f"{width}x{height} is no size of an image")
    return size if all(size) else None


def kind_of(boxes: tuple[Box, ...]) -> str:
    """Return the class of a photograph that is told by its boxes alone: that of the largest one."""
    if not boxes:
        return BACKGROUND
    return max(boxes, key=lambda box: (box.x1 - box.x0) * (box.y1 - box.y0)).kind
