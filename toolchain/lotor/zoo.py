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
    found = resource("models").glob("*/*.tflite")
    return sorted(path.stem for path in found if path.stem == path.parent.name)


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
        if path.name == name_or_path and resource("models", name_or_path, "recipe.toml").is_file():
            raise LotorError(
                f"model '{name_or_path}' has a recipe, and is not trained yet: `lotor train "
                f"{name_or_path}` makes it"
            )
        names = model_names()
        raise LotorError(
            f"no model '{name_or_path}'{did_you_mean(name_or_path, names)}; give the path of a "
            f".tflite file or one of: {', '.join(names) or 'none yet'}"
        )
    labels, recipe = _beside(found, "labels.txt"), _beside(found, "recipe.toml")
    try:
        table = tomllib.loads(recipe or "")
    except tomllib.TOMLDecodeError as error:
        raise LotorError(f"{found.with_name('recipe.toml')} is no TOML: {error}") from error
    return ModelFile(found.stem, found, None if labels is None else labels.splitlines(), table)


def _beside(model: Path, name: str) -> str | None:
    """Return the text of a file in a model's folder; None where there is none."""
    path = model.with_name(name)
    if not path.is_file():
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"cannot read {path} beside the model: {error}") from error
