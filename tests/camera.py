"""Made-up sequences of a camera: a red square is a raccoon, a green one a person."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

COLOURS = {"raccoon": (30, 30, 220), "person": (30, 220, 30), "cat": (220, 30, 30)}
COLUMNS = ["file", "frame", "label", "bbox_xyxy", "timestamp", "synthetic", "source"]


def draw(shapes: Sequence[str], size: int = 48) -> np.ndarray:
    """Return a BGR image with a square for each shape, side by side in its lower half."""
    image = np.full((size, size * 2, 3), 120, np.uint8)
    for place, shape in enumerate(shapes):
        x = 4 + place * 28
        image[size // 2 : size - 4, x : x + 24] = COLOURS[shape]
    return image


def write_frames(folder: Path, sequences: Mapping[str, Sequence[tuple[str, str]]]) -> Path:
    """Write sequences of (label, shapes that are there, parted by `+`)."""
    rows = []
    for name, frames in sequences.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, (label, shapes) in enumerate(frames):
            file = f"{name}/{number:04}.png"
            cv2.imwrite(str(folder / file), draw([s for s in shapes.split("+") if s]))
            rows.append([file, str(number), label, "", "", "1", "made up"])
    write_csv(folder, rows)
    return folder


def write_csv(
    folder: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS
) -> None:
    with (folder / "frames.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
