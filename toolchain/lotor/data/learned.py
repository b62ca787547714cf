"""Which models learned from a photograph: from it itself, or from another model that had."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lotor.data.store import Tombstone

_FILES = (".tflite", ".keras", ".h5")
_LEARNT = {"teacher_sha256": "teacher", "source_weights_sha256": "source weights"}
"""What a lineage says of other models, and how people call that."""


@dataclass(frozen=True)
class _Model:
    """A model's folder, its lineage, and the SHA-256 of all files that it is or was."""

    path: Path
    lineage: dict[str, Any]
    hashes: frozenset[str]


def learned_from(roots: Iterable[Path], stones: Sequence[Tombstone]) -> dict[str, str]:
    """Return the models that learned from photographs, and through what.

    Args:
        roots: folders in which models lie, each in one of its own with its `lineage.json`.
        stones: of the photographs.

    Returns:
        by a model's folder: empty where its own data set had one; else the model that it started
        from or was taught by, which had learned from one itself, such as "teacher models/large".
    """
    models = _models(roots)
    found: dict[str, str] = {}
    fresh = [model for model in models if _knows(model.lineage, "manifest_sha256", stones)]
    found |= {str(model.path): "" for model in fresh}
    while fresh:
        before, fresh = fresh, []
        for model in models:
            if str(model.path) not in found and (how := _through(model, before)):
                found[str(model.path)] = how
                fresh.append(model)
    return found


def unfinished(roots: Iterable[Path], stones: Sequence[Tombstone]) -> list[str]:
    """Return the states of interrupted trainings that learn from photographs, in words."""
    found = []
    for path in (path for root in roots for path in sorted(root.glob("*/.*.training"))):
        try:
            with np.load(path, allow_pickle=False) as file:
                identity = json.loads(file["about"].tobytes())["identity"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            continue  # a damaged one cannot be gone on with
        if isinstance(identity, dict) and _knows(identity, "data version", stones):
            found.append(f"{path}, an interrupted training: start it over with --anew")
    return found


def _models(roots: Iterable[Path]) -> list[_Model]:
    found = []
    for path in (path for root in roots for path in sorted(root.glob("*/lineage.json"))):
        try:
            lineage = json.loads(path.read_text("utf-8"))
            files = [each for each in sorted(path.parent.iterdir()) if each.suffix in _FILES]
            hashes = {hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
        except (OSError, ValueError):
            continue
        if isinstance(lineage, dict):
            said = {str(lineage.get(name)) for name in ("model_sha256", "float_sha256")}
            found.append(_Model(path.parent, lineage, frozenset(hashes | said - {"None"})))
    return found


def _knows(said: dict[str, Any], version: str, stones: Iterable[Tombstone]) -> bool:
    """Whether a training's version had one of the photographs, and had not lost it before."""
    lost = said.get("forgotten") or ()
    return any(said.get(version) in stone.versions and stone.id not in lost for stone in stones)


def _through(model: _Model, others: Iterable[_Model]) -> str:
    """Return which of other models one learned from, empty if from none."""
    for name, what in _LEARNT.items():
        for other in others:
            if model.lineage.get(name) in other.hashes:
                return f"{what} {other.path}"
    return ""
