"""Pascal VOC: one XML file an image, with its boxes.

Format: the PASCAL VOC 2012 development kit. Corners count from 1 there, the last pixel inside.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from lotor.data.importers.item import Item, attempt, box_of, four_numbers, kind_of, size_of
from lotor.data.importers.tables import below
from lotor.data.manifest import Box
from lotor.errors import LotorError

_IMAGES = ("JPEGImages", "images")  # beside the folder of the XML files, where people put them


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`; one damaged file does not make it something else."""
    return any(b"<annotation" in _start(file) for file in _files(source))


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(512)
    except OSError:
        return b""


def _files(source: Path) -> list[Path]:
    return sorted(source.rglob("*.xml")) if source.is_dir() else []


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a folder with XML files; `images` is their folder if elsewhere."""
    for file in _files(source):
        yield attempt(str(file), file, partial(_item, file, images, source))


def _item(file: Path, images: Path | None, source: Path) -> Item:
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        raise LotorError(f"{file} is no Pascal VOC file: {error}") from error
    boxes = tuple(_box(row) for row in root.iter("object"))
    path = _image(file, _text(root, "filename"), images, source)
    size = size_of(root.findtext("size/width"), root.findtext("size/height"))
    return Item(path, kind_of(boxes), boxes, size)


def _image(file: Path, name: str, images: Path | None, source: Path) -> Path:
    if images:
        return below(images, name, file)
    around = (file.parent, *(folder / sub for folder in (source, source.parent) for sub in _IMAGES))
    beside = [below(folder, name, file) for folder in around]
    return next((path for path in beside if path.is_file()), beside[0])


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(name)
    if not found:
        raise ValueError(f"<{element.tag}> lacks <{name}>")
    return found.strip()


def _box(row: ElementTree.Element) -> Box:
    corners = row.find("bndbox")
    if corners is None:
        raise ValueError("<object> lacks <bndbox>")
    names = ("xmin", "ymin", "xmax", "ymax")
    x0, y0, x1, y1 = four_numbers([_text(corners, name) for name in names])
    return box_of(_text(row, "name"), x0 - 1, y0 - 1, x1, y1)
