"""JSON that comes from elsewhere: read with errors that name the file and what is missing."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lotor.data.importers.item import Item, attempt
from lotor.errors import LotorError


def read_json(path: Path, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Return a JSON object that has these keys."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LotorError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LotorError(f"{path} is no JSON: {error}") from error
    if not isinstance(table, dict) or any(not isinstance(table.get(k), list) for k in wanted):
        raise LotorError(f"{path} must be an object with the lists {', '.join(wanted)}")
    return table


def has_keys(path: Path, keys: tuple[str, ...]) -> bool:
    """Whether a file is a JSON object with these keys."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and all(key in table for key in keys)


def names_by_id(rows: Any, what: str, source: Path) -> dict[Any, str]:
    """Return the names of categories, licences and the like, which all photographs need."""
    try:
        return {row["id"]: str(row["name"]) for row in rows}
    except (KeyError, TypeError) as error:
        raise LotorError(f"{source}: each of {what} must have an id and a name") from error


def annotations_by_image(table: Mapping[str, Any], source: Path) -> dict[Any, list[Any]]:
    """Return the annotations of each image id.

    Raises:
        LotorError: one does not say whose it is; any image might lack a box then.
    """
    found: dict[Any, list[Any]] = {}
    for number, row in enumerate(table["annotations"]):
        try:
            found.setdefault(row["image_id"], []).append(row)
        except (KeyError, TypeError) as error:
            raise LotorError(
                f"{source}: annotation {number} has no image_id, so that any image might lack a "
                "box; mend or remove it"
            ) from error
    return found


def read_images(
    table: Mapping[str, Any], source: Path, item: Callable[[Any, Path], Item], images: Path | None
) -> Iterator[Item]:
    """Yield the item of every row of `images`, made from the row and its file."""
    folder = images or source.parent
    for number, row in enumerate(table["images"]):
        name = row.get("file_name") if isinstance(row, dict) else None
        where = f"{source}, image {number if name is None else name}"

        def make(row: Any = row) -> Item:
            return item(row, below(folder, str(row["file_name"]), source))

        yield attempt(where, source, make)


def below(folder: Path, name: str, listed_in: Path) -> Path:
    """Return a file that a list names, which must lie below a folder."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise LotorError(f"{listed_in} names '{name}', which is not below {folder}")
    return path
