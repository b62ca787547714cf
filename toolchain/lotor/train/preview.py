"""A sheet of what a recipe's augmentation makes of photographs."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lotor.contact_sheet import draw_rows, save
from lotor.data.manifest import data_folder, read_manifest
from lotor.preprocess import Image
from lotor.train.augment import NOTHING
from lotor.train.pipeline import find_recipe
from lotor.train.quiet import loading
from lotor.train.recipe import Recipe, read_recipe

_COLUMNS = 10
_WHOLE_ROWS = 4

# What is seen of one alone: on top of nothing, with the recipe's strengths.
_ALONE: dict[str, dict[str, Any]] = {
    name: {name: 1.0}
    for name in (
        "flip", "rotate", "soften", "grey", "infrared", "noise", "jpeg", "tilt", "motion",
        "vignette", "fog", "rain", "drops", "leaves", "grass", "mesh", "composite", "distant",
    )
} | {
    "zoom": {"full": 0.0, "zoom": 1.0},
    "eyes": {"infrared": 1.0, "eyes": 1.0},
    "dim": {"infrared": 1.0, "dim": 1.0},
}  # fmt: skip
_STRENGTHS = ("min_area", "min_box", "max_angle", "softest", "composite_least", "distant_least")


def preview(
    name: str, path: Path, data: Path | None = None, seed: int | None = None
) -> dict[str, Any]:
    """Draw photographs of the train split as training sees them; nothing is trained.

    The first rows show the recipe as it is. Then comes a row for each augmentation that the recipe
    has on: the same photographs, changed by it alone. The first row is the photographs themselves.

    Args:
        name: a folder in `models/` with a recipe, or the path of a recipe.
        path: of the PNG to write.
        data: the folder of photographs, instead of the recipe's.
        seed: instead of the recipe's.

    Returns:
        `file`, `recipe` and `rows`, the rows' names.
    """
    recipe = read_recipe(find_recipe(name))
    with loading():
        from lotor.train import fit
    photos = read_manifest(data_folder(data, recipe.data.folder)).split("train")
    pictures = fit.Photos(photos, recipe)
    rng = np.random.default_rng(recipe.fit.seed if seed is None else seed)
    shown = [int(index) for index in pictures.draw(_COLUMNS, rng)]
    rows: list[tuple[str, list[Image]]] = [("photograph", [pictures.images[i] for i in shown])]
    for number in range(_WHOLE_ROWS):
        row = [pictures.varied(index, rng)[:, :, ::-1] for index in shown]
        rows.append(("all together" if number == 0 else "", row))
    for change, values in _ALONE.items():
        if getattr(recipe.augment, change) > 0:
            pictures.recipe = _only(recipe, values)
            if pictures.scenery is not None:
                pictures.scenery.how = pictures.recipe.augment
            rows.append((change, [pictures.varied(i, rng)[:, :, ::-1] for i in shown]))
    subtitle = "first as training draws it, then one change at a time, at probability 1"
    save(draw_rows(rows, f"{recipe.name}: augmentation", subtitle), path)
    return {"file": str(path), "recipe": recipe.name, "rows": [title for title, _ in rows if title]}


def _only(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    strengths = {key: value for key, value in asdict(recipe.augment).items() if key in _STRENGTHS}
    return replace(recipe, augment=replace(NOTHING, **strengths, **values))


def as_text(drawn: dict[str, Any]) -> str:
    """Return what was drawn, for people."""
    return f"{drawn['file']}: {', '.join(drawn['rows'])}"
