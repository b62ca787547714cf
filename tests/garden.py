"""A small made-up data set: coloured squares on noise, with a manifest."""

import csv
from pathlib import Path

import cv2
import numpy as np

COLUMNS = ["file", "class", "split", "group", "native_short_side", "bbox_xyxy", "licence"]
COLOURS = {"raccoon": (200, 60, 40), "person": (40, 200, 60), "cat": (40, 60, 200)}


def make_garden(folder: Path, each: int = 4, size: int = 48) -> Path:
    """Write `each` photographs of every class and split; every second original is "small"."""
    rng = np.random.default_rng(7)
    rows = []
    for kind in ("raccoon", "person", "cat", "background"):
        for split in ("train", "val", "test"):
            for number in range(each):
                image = rng.integers(90, 160, (size, size + 16, 3), np.uint8)
                box = ""
                if kind in COLOURS:
                    x, y = (int(v) for v in rng.integers(2, size // 2, 2))
                    image[y : y + 20, x : x + 20] = COLOURS[kind]
                    box = f"{kind}:{x},{y},{x + 20},{y + 20}"
                name = f"{kind}/{split}{number}.png"
                (folder / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / name), image)
                side = 400 if number % 2 or kind == "raccoon" else 64
                group = f"{kind}-{split}-{number // 2}"
                rows.append([name, kind, split, group, str(side), box, "made up"])
    write_manifest(folder, rows)
    return folder


def write_manifest(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
