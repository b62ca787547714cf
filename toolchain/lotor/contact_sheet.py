"""A sheet of photographs with what a model saw on each, drawn with OpenCV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lotor.errors import LotorError
from lotor.preprocess import Image

Colour = tuple[int, int, int]
"""Blue, green, red."""

_PAPER, _CARD, _INK, _FAINT, _TRACK = (
    (245, 243, 240), (255, 255, 255), (45, 38, 34), (130, 122, 116), (235, 231, 228)
)  # fmt: skip
_ACCENT, _PLAIN, _WRONG = (60, 110, 230), (150, 140, 110), (50, 50, 200)
_WIDTH, _PHOTO, _LINE, _EDGE = 420, 300, 27, 24
_COLUMNS = 3


@dataclass(frozen=True)
class Tile:
    """One photograph: BGR image, what was said of it, and lines of small print."""

    image: Image
    label: str
    scores: dict[str, float]
    note: str
    good: bool = True


def draw(tiles: Sequence[Tile], title: str, subtitle: str, target: str | None = None) -> Image:
    """Return a sheet as BGR uint8 [height, width, 3]; tiles of the target label stand out."""
    labels = max((len(tile.scores) for tile in tiles), default=0)
    height = _PHOTO + 62 + labels * _LINE + 44
    columns = min(_COLUMNS, max(1, len(tiles)))
    rows = -(-len(tiles) // columns)
    head = 104
    sheet = np.empty(
        (head + rows * (height + _EDGE), columns * (_WIDTH + _EDGE) + _EDGE, 3), np.uint8
    )
    sheet[:] = _PAPER
    _write(sheet, title, (_EDGE, 50), 30, _INK, bold=True)
    _write(sheet, subtitle, (_EDGE, 82), 17, _FAINT)
    for index, tile in enumerate(tiles):
        x = _EDGE + (index % columns) * (_WIDTH + _EDGE)
        y = head + (index // columns) * (height + _EDGE)
        _draw_tile(sheet[y : y + height, x : x + _WIDTH], tile, target)
    return sheet


def draw_rows(
    rows: Sequence[tuple[str, Sequence[Image]]], title: str, subtitle: str, side: int = 128
) -> Image:
    """Return rows of BGR images as a sheet, BGR uint8 [height, width, 3], each row with a name.

    Args:
        rows: names and images; every image is shown whole in a square.
        title: of the sheet.
        subtitle: small, below it.
        side: of the squares, pixels.
    """
    gap, names, head = 6, 130, 104
    columns = max((len(images) for _, images in rows), default=0)
    width = max(600, names + columns * (side + gap) + 2 * _EDGE)
    sheet = np.empty((head + len(rows) * (side + gap) + _EDGE, width, 3), np.uint8)
    sheet[:] = _PAPER
    _write(sheet, title, (_EDGE, 50), 30, _INK, bold=True)
    _write(sheet, subtitle, (_EDGE, 82), 17, _FAINT)
    for row, (name, images) in enumerate(rows):
        y = head + row * (side + gap)
        _write(sheet, name.replace("_", " "), (_EDGE, y + side // 2), 16, _INK)
        for column, image in enumerate(images):
            x = _EDGE + names + column * (side + gap)
            sheet[y : y + side, x : x + side] = _fit(image, side, side)
    return sheet


def save(sheet: Image, path: Path) -> None:
    """Write a sheet as PNG; folders are made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(cv2.imencode(".png", sheet)[1]))
    except OSError as error:
        raise LotorError(f"cannot write {path}: {error.strerror}") from error


def _draw_tile(card: Image, tile: Tile, target: str | None) -> None:
    card[:] = _CARD
    card[:_PHOTO] = _fit(tile.image, _PHOTO, _WIDTH)
    strong = _ACCENT if tile.label == target else _PLAIN
    y = _PHOTO + 40
    _write(card, tile.label.replace("_", " "), (18, y), 25, strong, bold=True)
    # What is unknown has no score.
    percent = f"{tile.scores[tile.label]:.0%}" if tile.label in tile.scores else ""
    _write(card, percent, (_WIDTH - 18, y), 25, strong, bold=True, right=True)
    for name, score in tile.scores.items():
        y += _LINE
        _write(card, name.replace("_", " "), (18, y), 15, _INK if name == tile.label else _FAINT)
        _bar(
            card, (150, y - 11), _WIDTH - 150 - 18, score, strong if name == tile.label else _FAINT
        )
    _write(card, tile.note, (18, y + 40), 15, _FAINT if tile.good else _WRONG, bold=not tile.good)


def _fit(image: Image, height: int, width: int) -> Image:
    """Return a whole photograph in the middle of a frame: it shows all that the model saw."""
    h, w = image.shape[:2]
    scale = min(height / h, width / w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = _TRACK
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    scaled = cv2.resize(image, size, interpolation=method)
    frame[top : top + size[1], left : left + size[0]] = scaled
    return frame


def _bar(card: Image, corner: tuple[int, int], length: int, share: float, colour: Colour) -> None:
    x, y = corner
    cv2.rectangle(card, (x, y), (x + length, y + 9), _TRACK, -1)
    filled = round(length * min(1.0, max(0.0, share)))
    if filled:
        cv2.rectangle(card, (x, y), (x + filled, y + 9), colour, -1)


def _write(
    image: Image,
    text: str,
    at: tuple[int, int],
    size: int,
    colour: Colour,
    bold: bool = False,
    right: bool = False,
) -> None:
    """Write a line whose baseline starts (or, at the right, ends) at a point; size in pixels."""
    vision: Any = cv2
    if hasattr(vision, "FontFace"):
        font, weight = vision.FontFace("sans"), 600 if bold else 400
        if right:
            box = vision.getTextSize((0, 0), text, (0, 0), font, size, weight)
            at = (at[0] - box[2], at[1])
        vision.putText(image, text, at, colour, font, size, weight)
        return
    # OpenCV 4 has only stroke fonts, of ASCII.
    plain = text.replace("·", "-").encode("ascii", "replace").decode()
    scale, thick = size / 30, 2 if bold else 1
    if right:
        at = (at[0] - vision.getTextSize(plain, 0, scale, thick)[0][0], at[1])
    vision.putText(image, plain, at, vision.FONT_HERSHEY_SIMPLEX, scale, colour, thick, 16)
