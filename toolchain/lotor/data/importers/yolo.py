"""YOLO: `data.yaml` with names, `images/` and `labels/` with a text file for every image.

A line is `class x y width height`, centre and size as parts of the image (Ultralytics' format).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lotor.data.importers.folder import SPLIT_FOLDERS
from lotor.data.importers.item import Item, attempt, box_of, four_numbers, kind_of
from lotor.data.manifest import Box
from lotor.data.picture import Picture, is_image_name, read_picture
from lotor.errors import LotorError


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return bool(_description(source))


def _description(source: Path) -> Path | None:
    if source.suffix in (".yaml", ".yml"):
        return source if source.is_file() else None
    return next((path for path in sorted(source.glob("*.y*ml"))), None) if source.is_dir() else None


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a YOLO data set: its folder or its YAML file."""
    file = _description(source)
    if file is None:
        raise LotorError(f"no data.yaml in {source}, which names the classes of a YOLO data set")
    names = _names(file)
    root = images or file.parent
    found = False
    for path in sorted(root.rglob("*")):
        if not path.is_file() or not is_image_name(path):
            continue
        found = True
        parts = path.relative_to(root).parts
        split = next((SPLIT_FOLDERS[part] for part in parts if part in SPLIT_FOLDERS), "")
        yield attempt(str(path), path, partial(_item, path, names, split))
    if not found:
        raise LotorError(f"no image below {root}")


def _item(path: Path, names: dict[int, str], split: str) -> Item:
    boxes = _boxes(path, names)
    return Item(path, kind_of(boxes), boxes, split=split)


def _names(file: Path) -> dict[int, str]:
    try:
        table: Any = yaml.safe_load(file.read_text("utf-8"))
        names = table["names"]
        rows = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(index): str(name) for index, name in rows}
    except OSError as error:
        raise LotorError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise LotorError(f"{file} does not list `names` of classes: {error}") from error


def _boxes(path: Path, names: dict[int, str]) -> tuple[Box, ...]:
    """Return the boxes of an image, whose label file lies beside it or below `labels/`."""
    parts = ["labels" if part == "images" else part for part in path.parts]
    labels = next(
        (file for file in (Path(*parts).with_suffix(".txt"), path.with_suffix(".txt"))
         if file.is_file()), None
    )  # fmt: skip
    if labels is None:
        return ()
    try:
        lines = labels.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise LotorError(f"cannot read {labels}: {error.strerror}") from error
    if not any(line.strip() for line in lines):
        return ()
    picture = read_picture(path)
    boxes = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                boxes.append(_box(line.strip(), names, picture))
            except ValueError as error:
                raise ValueError(f"{labels.name} line {number}: {error}") from error
    return tuple(boxes)


def _box(line: str, names: dict[int, str], picture: Picture) -> Box:
    try:
        kind, *rest = line.split()
        x, y, w, h = four_numbers(rest)
        name = names[int(kind)]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"'{line}' is not `class x y width height` with a class that the YAML file names"
        ) from error
    across, down = picture.width, picture.height
    left, top = (x - w / 2) * across, (y - h / 2) * down
    return box_of(name, left, top, left + w * across, top + h * down)
