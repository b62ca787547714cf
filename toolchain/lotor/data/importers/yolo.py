"""YOLO: `data.yaml` with names, `images/` and `labels/` with a text file for every image.

A line is `class x y width height`, centre and size as parts of the image (Ultralytics' format).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lotor.data.importers.folder import SPLIT_FOLDERS
from lotor.data.importers.item import Item, box_of, kind_of
from lotor.data.manifest import Box
from lotor.data.picture import is_image_name, read_picture
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
        boxes = _boxes(path, names)
        yield Item(path, kind_of(boxes), boxes, split=split)
    if not found:
        raise LotorError(f"no image below {root}")


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
    lines = labels.read_text("utf-8", "replace").splitlines()
    if not any(line.strip() for line in lines):
        return ()
    picture = read_picture(path)
    boxes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            kind, *rest = line.split()
            x, y, w, h = (float(value) for value in rest)
            name = names[int(kind)]
        except (ValueError, KeyError) as error:
            raise LotorError(
                f"{labels} line {number}: '{line.strip()}' is not `class x y width height` with a "
                "class that the YAML file names"
            ) from error
        across, down = picture.width, picture.height
        boxes.append(box_of(name, (x - w / 2) * across, (y - h / 2) * down, w * across, h * down))
    return tuple(boxes)
