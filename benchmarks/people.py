"""How many people a person detector misses: recall at 10 % false alarms on Visual Wake Words.

    .venv/bin/python benchmarks/people.py person [--views] [--board B]

Photographs and labels are those of `../shared/data/vww_eval`: somebody who takes at least 0.5 % of
the photograph is a person (arXiv:1906.05721), less than that is left out. Left out as well is what
the model was trained on or chosen by: whatever is near a photograph of the train or val split by
its perceptual hash (`lotor data dedupe`).
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lotor.classifier import open_classifier
from lotor.data.dedupe import find_duplicates
from lotor.data.manifest import Photo, data_folder, read_manifest
from lotor.errors import LotorError
from lotor.evaluate import average_precision, recall_at, resamples, score_photos, threshold_at
from lotor.zoo import find_model

FOLDER = Path("../shared/data/vww_eval")
FALSE_ALARMS = 0.1
PERSON = "person"
NAMES = ("not-person", PERSON)


def photographs(folder: Path) -> list[Photo]:
    """Return the labelled photographs of a folder with `labels.csv`: `file`, `vww_label`."""
    path = folder / "labels.csv"
    if not path.is_file():
        raise LotorError(f"no {path}; name the folder of Visual Wake Words photographs, --folder")
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "vww_label"} <= set(rows[0]):
        raise LotorError(f"{path} lacks the column(s) file, vww_label")
    return [
        Photo(folder / row["file"], row["vww_label"], "test", row["file"], 0)
        for row in rows
        if row["vww_label"] in NAMES
    ]


def unseen(photos: list[Photo], seen: list[Photo]) -> list[Photo]:
    """Return the photographs that are not nearly the same as any of `seen`."""
    near: set[Path] = set()
    for pair in find_duplicates([*photos, *seen]):
        if (pair.a.split == "test") != (pair.b.split == "test"):
            near |= {pair.a.path, pair.b.path}
    return [photo for photo in photos if photo.path not in near]


def measure(
    name: str, folder: Path, views: bool = False, board: str | None = None
) -> dict[str, Any]:
    """Return recall, average precision and counts, with 95 % intervals."""
    model = find_model(name)
    if not (usual := model.recipe.get("data", {}).get("folder")):
        raise LotorError(f"{name} has no recipe.toml beside it that says what it was trained on")
    data = read_manifest(data_folder(None, usual))
    left = unseen(photographs(folder), [p for p in data.photos if p.split in ("train", "val")])
    with open_classifier(model, board) as classifier:
        if PERSON not in classifier.labels:
            raise LotorError(f"{name} has no label {PERSON}: {', '.join(classifier.labels)}")
        index = classifier.labels.index(PERSON)
        scored = score_photos(classifier, left, NAMES.index, index if views else None)
    scores, people = scored.scores[:, index], scored.truth == 1
    rounds = [rows for rows in resamples([str(p.path) for p in left]) if people[rows].any()]
    recalls = [recall_at(scores[rows], people[rows], FALSE_ALARMS) for rows in rounds]
    return {
        "model": model.name,
        "photographs": len(left),
        "people": int(people.sum()),
        "recall": recall_at(scores, people, FALSE_ALARMS),
        "recall_95": [float(v) for v in np.percentile(recalls, [2.5, 97.5])],
        "threshold": threshold_at(scores, people, FALSE_ALARMS),
        "average_precision": average_precision(scores, people),
    }


def as_text(result: dict[str, Any]) -> str:
    """Return a line."""
    low, high = result["recall_95"]
    return (
        f"{result['model']}: {result['recall']:.3f} [{low:.3f}, {high:.3f}] of {result['people']} "
        f"people found at {FALSE_ALARMS:.0%} false alarms, score {result['threshold']:.3f}, on "
        f"{result['photographs']} photographs; average precision {result['average_precision']:.3f}"
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="person", help="e.g. person")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="labels.csv and photographs")
    parser.add_argument("--views", action="store_true", help="score crops of each as well")
    parser.add_argument("--board", help="infer on this board")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if len(sys.argv) == 1:
        print("left out: name a model that tells people")
        return 0
    try:
        result = measure(args.model, args.folder, args.views, args.board)
    except LotorError as error:
        print(f"people.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if args.json else as_text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
