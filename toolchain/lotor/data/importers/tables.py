"""JSON that comes from elsewhere: read with errors that name the file and what is missing."""

import json
from pathlib import Path
from typing import Any

from lotor.errors import LotorError


def read_json(path: Path, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Return a JSON object that has these keys."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LotorError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
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
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and all(key in table for key in keys)


def below(folder: Path, name: str, listed_in: Path) -> Path:
    """Return a file that a list names, which must lie below a folder."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise LotorError(f"{listed_in} names '{name}', which is not below {folder}")
    return path
