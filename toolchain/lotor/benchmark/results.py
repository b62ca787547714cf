"""What versions of a model got: one JSON file each, in `results/` beside `benchmark.toml`.

Figures, and each photograph's score of the target by the hash of its content: enough to compare a
later version photograph by photograph, when this one's file is gone. No photograph is in it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lotor.errors import LotorError
from lotor.evaluate import Scores
from lotor.files import write_files

FOLDER = "results"
_DIGITS = 12


@dataclass(frozen=True)
class Kept:
    """One version's results.

    Attributes:
        number: of the version, from 1 in the order in which they were measured.
        model_sha256: of the int8 file.
        photos_sha256: of the photographs, in all.
        figures: by variant and subset, as `Figures.as_dict`.
        scores: of the target, by variant and by a photograph's key.
    """

    number: int
    model_sha256: str
    photos_sha256: str
    figures: dict[str, dict[str, Any]]
    scores: dict[str, dict[str, float]]

    @property
    def name(self) -> str:
        """The start of the file's hash, by which people and files call the version."""
        return self.model_sha256[:_DIGITS]

    def of(self, variant: str, keys: Sequence[str]) -> Scores | None:
        """Return a variant's scores of photographs, [n]; None where one is missing."""
        scores = self.scores.get(variant, {})
        if any(key not in scores for key in keys):
            return None
        return np.array([scores[key] for key in keys])


def read_results(folder: Path) -> list[Kept]:
    """Return the versions that have results in a folder, the oldest first."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda kept: kept.number)


def _read(path: Path) -> Kept:
    try:
        table = json.loads(path.read_text("utf-8"))
        return Kept(
            int(table["number"]),
            str(table["model_sha256"]),
            str(table["photos_sha256"]),
            dict(table["figures"]),
            {name: dict(scores) for name, scores in table["scores"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LotorError(
            f"{path} is no result of a benchmark ({error!r}): restore it or remove it"
        ) from error


def previous(versions: Sequence[Kept], model_sha256: str, photos_sha256: str) -> Kept | None:
    """Return the version before a model, on the same photographs; None without one.

    A model that has no results yet comes after all others.
    """
    mine = [kept.number for kept in versions if kept.model_sha256 == model_sha256]
    before = [
        kept
        for kept in versions
        if kept.photos_sha256 == photos_sha256
        and kept.model_sha256 != model_sha256
        and (not mine or kept.number < mine[0])
    ]
    return before[-1] if before else None


def keep(
    folder: Path,
    versions: Sequence[Kept],
    model_sha256: str,
    photos_sha256: str,
    figures: dict[str, dict[str, Any]],
    scores: dict[str, dict[str, float]],
) -> tuple[Path, Kept]:
    """Write a version's results; variants that were not measured again stay as they were.

    Returns:
        the file, and what it holds.
    """
    mine = next((kept for kept in versions if kept.model_sha256 == model_sha256), None)
    number = mine.number if mine else 1 + max((kept.number for kept in versions), default=0)
    if mine and mine.photos_sha256 == photos_sha256:
        figures, scores = mine.figures | figures, mine.scores | scores
    kept = Kept(number, model_sha256, photos_sha256, figures, scores)
    path = folder / f"{kept.name}.json"
    try:
        write_files({path: _as_json(kept).encode("utf-8")})
    except OSError as error:
        raise LotorError(
            f"cannot write {path}: {error.strerror}; --results DIR keeps results elsewhere"
        ) from error
    return path, kept


def forget(folder: Path, keys: Sequence[str]) -> list[Path]:
    """Remove the scores of photographs from all results in a folder; return the files that change.

    Figures stay: they are of all photographs together.
    """
    changed = []
    for path in sorted(folder.glob("*.json")):
        try:
            text = path.read_text("utf-8", "replace")
            if not any(key in text for key in keys):
                continue
            kept = _read(path)
            scores = {
                variant: {key: score for key, score in rows.items() if key not in keys}
                for variant, rows in kept.scores.items()
            }
            write_files({path: _as_json(replace(kept, scores=scores)).encode("utf-8")})
        except OSError as error:
            raise LotorError(
                f"cannot change {path}: {error.strerror}; mend that, and do it again"
            ) from error
        changed.append(path)
    return changed


def _as_json(kept: Kept) -> str:
    """Return a version as JSON with a line a photograph, so that changes can be read."""
    head = {
        "number": kept.number,
        "model_sha256": kept.model_sha256,
        "photos_sha256": kept.photos_sha256,
        "figures": kept.figures,
    }
    parts = []
    for variant, scores in sorted(kept.scores.items()):
        rows = ",\n".join(f'   "{key}": {scores[key]:.6g}' for key in sorted(scores))
        parts.append(f'  "{variant}": {{\n{rows}\n  }}')
    return json.dumps(head, indent=1)[:-2] + ',\n "scores": {\n' + ",\n".join(parts) + "\n }\n}\n"
