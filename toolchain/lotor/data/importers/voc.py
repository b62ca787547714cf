"""Pascal VOC: one XML file an image, with its boxes.

Format: the PASCAL VOC 2012 development kit. Corners count from 1 there, the last pixel inside.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from lotor.data.importers.item import Item, kind_of
from lotor.data.importers.tables import below
from lotor.data.manifest import Box
from lotor.errors import LotorError

_IMAGES = ("JPEGImages", "images")  # beside the folder of the XML files, where people put them


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    first = next(iter(_files(source)), None)
    return first is not None and b"<annotation" in first.read_bytes()[:512]


def _files(source: Path) -> list[Path]:
    return sorted(source.rglob("*.xml")) if source.is_dir() else []


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield the photographs of a folder with XML files; `images` is their folder if elsewhere."""
    for file in _files(source):
        try:
            root = ElementTree.parse(file).getroot()
            name = _text(root, "filename")
            boxes = tuple(_box(row) for row in root.iter("object"))
            size = root.find("size")
            stated = size is not None and (int(_text(size, "width")), int(_text(size, "height")))
        except (ElementTree.ParseError, ValueError, OSError) as error:
            raise LotorError(f"{file} is no Pascal VOC file: {error}") from error
        path = _image(file, name, images, source)
        yield Item(path, kind_of(boxes), boxes, stated if stated and all(stated) else None)


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
    x0, y0, x1, y1 = (round(float(_text(corners, name))) for name in names)
    return Box(x0 - 1, y0 - 1, x1, y1, _text(row, "name"))
