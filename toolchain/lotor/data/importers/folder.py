"""A folder a class: `DIR/CLASS/*.jpg`, or `DIR/train/CLASS/*.jpg` where it is split already."""

from collections.abc import Iterator
from pathlib import Path

from lotor.data.importers.item import Item
from lotor.data.manifest import SPLITS
from lotor.data.picture import is_image_name
from lotor.errors import LotorError

SPLIT_FOLDERS = {**{name: name for name in SPLITS}, "valid": "val", "validation": "val"}


def claims(source: Path) -> bool:
    """Whether this is what lies at `source`."""
    return source.is_dir()


def read(source: Path, images: Path | None) -> Iterator[Item]:
    """Yield every image below a folder; the folder right above it names its class."""
    found = False
    for path in sorted(source.rglob("*")):
        if not path.is_file() or not is_image_name(path) or _hidden(path.relative_to(source)):
            continue
        found = True
        parts = path.relative_to(source).parts[:-1]
        split = SPLIT_FOLDERS.get(parts[0].lower(), "") if parts else ""
        kinds = parts[1:] if split else parts
        yield Item(path, kinds[0] if kinds else "", split=split)
    if not found:
        raise LotorError(f"no image below {source}; give a folder with a sub-folder for each class")


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)
