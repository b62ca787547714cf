"""How many people a person detector misses on Visual Wake Words, and how often it sees nobody.

Told are recall and false alarms at the threshold of its decision, with which it vetoes (`lotor
visits --veto`, which looks at whole frames), and recall at 10 % false alarms, to compare models.

    .venv/bin/python benchmarks/people.py person [--views] [--infrared] [--board B]

Photographs and labels are those of `../shared/data/vww_eval`: somebody who takes at least 0.5 % of
the photograph is a person (arXiv:1906.05721), less than that is left out. Left out as well is what
the model was trained on or chosen by: whatever is near a photograph of the train or val split by
its perceptual hash (`lotor data dedupe`).

There is no infrared photograph of a person: with `--infrared` these are made grey and darker
towards the edges (`lotor.sentinel.garden.infrared`), which no lamp's light on skin and cloth is.

The weights that training starts from learned from such photographs, too. So figures are told by
part of COCO as well, and for those that Visual Wake Words keeps from training by its own rule.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor.classifier import open_classifier
from lotor.data.dedupe import find_duplicates
from lotor.data.manifest import Photo, data_folder, read_manifest
from lotor.errors import LotorError
from lotor.evaluate import average_precision, recall_at, resamples, score_photos, threshold_at
from lotor.preprocess import read_image
from lotor.sentinel.garden import infrared
from lotor.veto import veto_threshold
from lotor.zoo import find_model

Rows = npt.NDArray[np.int64]

FOLDER = Path("../shared/data/vww_eval")
FALSE_ALARMS = 0.1
PERSON = "person"
NAMES = ("not-person", PERSON)
PARTS = ("train2017", "val2017")
HELD_BACK = "held back"
MINIVAL = frozenset((
    42, 196, 359, 395, 472, 502, 520, 589, 626, 872, 1532, 1584, 1818, 2153, 3661, 4134, 4495, 4795,
    5586, 6040, 6723, 6771, 7088, 7818, 7888, 7977, 9400, 9769, 10764, 11122, 11760, 12120,
))  # fmt: skip
"""COCO's numbers of those photographs of `FOLDER` that Visual Wake Words does not train on.

They are in `research/object_detection/data/mscoco_minival_ids.txt` of tensorflow/models, by which
`create_coco_train_minival_split.py` of pyvww parts them off; all others of COCO may be trained on.
"""


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
        Photo(folder / row["file"], row["vww_label"], "test", row["file"], 0, source=_part(row))
        for row in rows
        if row["vww_label"] in NAMES
    ]


def _part(row: dict[str, str]) -> str:
    """Return which part of COCO a photograph is of, by its source; empty where that says none."""
    return next((part for part in PARTS if part in row.get("source", "")), "")


def _held_back(photo: Photo) -> bool:
    number = photo.path.stem
    return bool(photo.source) and number.isdecimal() and int(number) in MINIVAL


def unseen(photos: list[Photo], seen: list[Photo]) -> list[Photo]:
    """Return the photographs that are not nearly the same as any of `seen`."""
    near: set[Path] = set()
    for pair in find_duplicates([*photos, *seen]):
        if (pair.a.split == "test") != (pair.b.split == "test"):
            near |= {pair.a.path, pair.b.path}
    return [photo for photo in photos if photo.path not in near]


def by_infrared(photos: list[Photo], folder: Path) -> list[Photo]:
    """Return photographs as infrared would show them, written to a folder."""
    seen = []
    for number, photo in enumerate(photos):
        path = folder / f"{number}.png"
        if not cv2.imwrite(str(path), infrared(read_image(photo.path))):
            raise LotorError(f"cannot write {path}; make room there, or set $TMPDIR")
        seen.append(replace(photo, path=path))
    return seen


def measure(
    name: str,
    folder: Path,
    views: bool = False,
    board: str | None = None,
    night: bool = False,
) -> dict[str, Any]:
    """Return what `figures` has of all photographs, and in `parts` by part of COCO.

    With it `veto`: its `threshold` and the `source` of that; the `threshold` for 10 % false alarms
    here, by which nothing may be chosen; and the average precision.
    """
    model = find_model(name)
    if not (usual := model.recipe.get("data", {}).get("folder")):
        raise LotorError(f"{name} has no recipe.toml beside it that says what it was trained on")
    data = read_manifest(data_folder(None, usual))
    left = unseen(photographs(folder), [p for p in data.photos if p.split in ("train", "val")])
    with open_classifier(model, board) as classifier, TemporaryDirectory() as made:
        if PERSON not in classifier.labels:
            raise LotorError(f"{name} has no label {PERSON}: {', '.join(classifier.labels)}")
        index = classifier.labels.index(PERSON)
        shown = by_infrared(left, Path(made)) if night else left
        scored = score_photos(classifier, shown, NAMES.index, index if views else None)
    scores, people = scored.scores[:, index], scored.truth == 1
    threshold, source = veto_threshold(model, views)
    parts = {part: [photo.source == part for photo in left] for part in PARTS}
    parts[HELD_BACK] = [_held_back(photo) for photo in left]
    return {
        "model": model.name,
        "views": views,
        "infrared": night,
        "veto": {"threshold": threshold, "source": source},
        "threshold": threshold_at(scores, people, FALSE_ALARMS),
        "average_precision": average_precision(scores, people),
        **figures(scores, people, threshold),
        "parts": {
            name: figures(scores[chosen], people[chosen], threshold)
            for name, flags in parts.items()
            if (chosen := np.array(flags, np.bool_)).any()
        },
    }


def figures(
    scores: npt.NDArray[np.float64], people: npt.NDArray[np.bool_], threshold: float
) -> dict[str, Any]:
    """Return what a threshold does, and recall at 10 % false alarms, with 95 % intervals.

    Args:
        scores: of a person, [n].
        people: whether one is there, [n].
        threshold: from which score on one is seen.

    Returns:
        `photographs`, `people`; `recall` at 10 % false alarms; `found` and `vetoed`, the shares of
        people, and of photographs without any, that have the threshold; each with `_95`, or None
        where there is nothing to take a share of.
    """
    rounds = resamples([str(row) for row in range(len(people))])
    each: dict[str, Callable[[Rows], float | None]] = {
        "recall": lambda rows: (
            recall_at(scores[rows], people[rows], FALSE_ALARMS) if people[rows].any() else None
        ),
        "found": lambda rows: _share(scores[rows][people[rows]] >= threshold),
        "vetoed": lambda rows: _share(scores[rows][~people[rows]] >= threshold),
    }
    result: dict[str, Any] = {"photographs": len(people), "people": int(people.sum())}
    for name, measured in each.items():
        result[name] = measured(np.arange(len(people)))
        values = [value for rows in rounds if (value := measured(rows)) is not None]
        result[f"{name}_95"] = (
            [float(v) for v in np.percentile(values, [2.5, 97.5])] if values else None
        )
    return result


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if flags.size else None


def as_text(result: dict[str, Any]) -> str:
    """Return a line for all photographs and one for each part."""
    veto = result["veto"]
    lines = [
        f"{result['model']}{', ten views' if result['views'] else ''}"
        f"{', as by infrared' if result['infrared'] else ''}: somebody from a score of "
        f"{veto['threshold']:.3f} on ({veto['source']}); average precision "
        f"{result['average_precision']:.3f}"
    ]
    for name, part in {"all": result, **result["parts"]}.items():
        others = part["photographs"] - part["people"]
        lines.append(
            f"  {name:<10} {_text(part, 'found')} of {part['people']} people found, "
            f"{_text(part, 'vetoed')} of {others} others vetoed; at {FALSE_ALARMS:.0%} false "
            f"alarms {_text(part, 'recall')} found"
        )
    return "\n".join(lines)


def _text(part: dict[str, Any], name: str) -> str:
    if part[name] is None:
        return "-"
    low, high = part[f"{name}_95"]
    return f"{part[name]:.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="person", help="e.g. person")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="labels.csv and photographs")
    parser.add_argument("--views", action="store_true", help="score crops of each as well")
    parser.add_argument("--infrared", action="store_true", help="made to look so")
    parser.add_argument("--board", help="infer on this board")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if len(sys.argv) == 1:
        print("left out: name a model that tells people")
        return 0
    try:
        result = measure(args.model, args.folder, args.views, args.board, args.infrared)
    except LotorError as error:
        print(f"people.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if args.json else as_text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
