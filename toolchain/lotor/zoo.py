"""Models by name: those that ship with Lotor, and any .tflite file."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.resources import resource
from lotor.suggest import did_you_mean


@dataclass(frozen=True)
class ModelFile:
    """A model and what lies beside it.

    Attributes:
        name: its name, the file's stem.
        path: the .tflite file.
        labels: lines of labels.txt beside it, None without.
        recipe: recipe.toml beside it, empty without.
    """

    name: str
    path: Path
    labels: list[str] | None = None
    recipe: dict[str, Any] = field(default_factory=dict)


def model_names() -> list[str]:
    """Return the names of the models that ship with Lotor."""
    return sorted(p.parent.name for p in resource("models").glob("*/*.tflite"))


def find_model(name_or_path: str) -> ModelFile:
    """Return a model by its name (`raccoon`) or by the path of a .tflite file.

    Raises:
        LotorError: there is neither; a close name is suggested.
    """
    shipped = resource("models", name_or_path, f"{Path(name_or_path).name}.tflite")
    path = Path(name_or_path)
    if path.is_file():
        found = path
    elif shipped.is_file() and path.name == name_or_path:
        found = shipped
    else:
        names = model_names()
        raise LotorError(
            f"no model '{name_or_path}'{did_you_mean(name_or_path, names)}; give the path of a "
            f".tflite file or one of: {', '.join(names) or 'none yet'}"
        )
    labels, recipe = found.with_name("labels.txt"), found.with_name("recipe.toml")
    return ModelFile(
        found.stem,
        found,
        labels.read_text().split("\n")[: len(labels.read_text().splitlines())]
        if labels.is_file()
        else None,
        tomllib.loads(recipe.read_text()) if recipe.is_file() else {},
    )
