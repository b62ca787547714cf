"""What a quantized model is worth beside its float one: on this machine, and on a board."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.classifier import BoardClassifier, Classifier, LiteRtClassifier, open_classifier
from lotor.data.manifest import MANIFEST, Photo, read_manifest
from lotor.detect import find_images
from lotor.errors import LotorError
from lotor.evaluate import average_precision, rounded, spread
from lotor.preprocess import read_image
from lotor.progress import Progress
from lotor.zoo import ModelFile

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

ROUNDS = 1000
_FLOAT = "float"


@dataclass(frozen=True)
class Photographs:
    """What is looked at: files, with labels where a recipe and a data set give them.

    Attributes:
        paths: of the photographs.
        truth: label of each, [n]; None where nobody has said.
        groups: near duplicates share one.
        target: index of the label that average precision is about.
        said: what they are, in words.
    """

    paths: Sequence[Path]
    truth: Labels | None
    groups: Sequence[str]
    target: int
    said: str


def find_photographs(model: ModelFile, folder: Path, limit: int | None = None) -> Photographs:
    """Return the val split, labelled, of a data set for a model with a recipe; else any images.

    Args:
        model: what its recipe says of labels.
        folder: a data set, or any folder of photographs.
        limit: at most so many, spread evenly.
    """
    if not (folder / MANIFEST).is_file():
        paths = spread(find_images([folder]), limit)
        return Photographs(paths, None, [p.name for p in paths], 0, f"photographs of {folder}")
    photos = read_manifest(folder).split("val")
    if not photos:
        raise LotorError(f"{folder} has no photograph in split val: `lotor data split` makes one")
    photos = spread(photos, limit)
    paths, groups = [p.path for p in photos], [p.group or p.path.name for p in photos]
    said = f"photographs of val in {folder}"
    if not model.recipe.get("data") or not model.labels:
        return Photographs(paths, None, groups, 0, said)
    return Photographs(paths, *_labelled(model, photos, groups), said)


def _labelled(
    model: ModelFile, photos: Sequence[Photo], groups: list[str]
) -> tuple[Labels, list[str], int]:
    labels, table = list(model.labels or []), model.recipe["data"]
    truth = [labels.index(table["classes"].get(p.kind, table["other"])) for p in photos]
    return np.array(truth, np.int64), groups, labels.index(model.recipe["target"])


def side_by_side(
    real: ModelFile, integers: ModelFile, photographs: Photographs, board: str | None = None
) -> dict[str, Any]:
    """Score photographs with the float model, the quantized one here, and the same on a board.

    Args:
        real: the float model; runs in LiteRT.
        integers: the quantized model; runs as C on this machine.
        photographs: what is scored.
        board: run the quantized model there too, and compare every byte with this machine's.

    Returns:
        `photos`, `said`, `where` (a row each: `average_precision` and `accuracy` where labels are
        known, `delta` of both to float with the 95 % interval of whole groups resampled, and
        `agreement`: the share with the same likeliest label as float), and with a board
        `mismatches`.
    """
    scores = {_FLOAT: _score(LiteRtClassifier(real), photographs.paths, _FLOAT)[0]}
    result: dict[str, Any] = {"photos": len(photographs.paths), "said": photographs.said}
    with open_classifier(integers) as here:
        title = "int16" if here.input.dtype == np.int16 else "int8"
        scores[title], outputs = _score(here, photographs.paths, title)
    if board:
        with open_classifier(integers, board) as there:
            if not isinstance(there, BoardClassifier):
                raise TypeError("a board was asked for")
            scores[board], found = _score(there, photographs.paths, board)
        result["mismatches"] = sum(a != b for a, b in zip(outputs, found, strict=True))
    base = scores[_FLOAT]
    result["where"] = {name: _row(each, base, photographs) for name, each in scores.items()}
    return result


def _score(classifier: Classifier, paths: Sequence[Path], title: str) -> tuple[Scores, list[bytes]]:
    scores, outputs = [], []
    with Progress(title, len(paths), "photographs") as progress:
        for path in paths:
            output = classifier.infer(classifier.input.tensor(read_image(path)))
            scores.append(classifier.probabilities(output))
            outputs.append(output.tobytes())
            progress.advance()
    return np.stack(scores), outputs


def _row(scores: Scores, base: Scores, photographs: Photographs) -> dict[str, Any]:
    same = scores.argmax(axis=1) == base.argmax(axis=1)
    row: dict[str, Any] = {"agreement": rounded(float(same.mean()))}
    truth, target = photographs.truth, photographs.target
    if truth is None:
        return row

    def precision(chosen: Labels, of: Scores) -> float:
        return average_precision(of[chosen, target], truth[chosen] == target)

    def accuracy(chosen: Labels, of: Scores) -> float:
        return float((of[chosen].argmax(axis=1) == truth[chosen]).mean())

    every = np.arange(len(truth))
    measures = {"average_precision": precision, "accuracy": accuracy}
    for name, measure in measures.items():
        row[name] = rounded(measure(every, scores))
        if scores is not base:
            row.setdefault("delta", {})[name] = [
                rounded(v) for v in difference(measure, scores, base, photographs.groups)
            ]
    return row


def difference(
    measure: Callable[[Labels, Scores], float],
    scores: Scores,
    base: Scores,
    groups: Sequence[str],
    rounds: int = ROUNDS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return what a measure gains over a base, and the 95 % interval of that gain.

    Both are measured on the same photographs each time whole groups are resampled ("paired"), so
    that what is hard for both does not widen it.

    Args:
        measure: of chosen photographs (indices) and all scores.
        scores: [n, labels].
        base: what they are compared with, [n, labels].
        groups: of each, [n].
        rounds: of resampling.
        seed: of it.
    """
    every = np.arange(len(scores))
    gain = measure(every, scores) - measure(every, base)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        chosen = np.concatenate([rows[i] for i in rng.integers(len(names), size=len(names))])
        found.append(measure(chosen, scores) - measure(chosen, base))
    kept = np.array(found)[np.isfinite(found)]  # the target may be in none of them
    low, high = np.percentile(kept, [2.5, 97.5]) if kept.size else (np.nan, np.nan)
    return gain, float(low), float(high)


def compare_files(
    model: ModelFile, out: Path, photographs: Photographs, board: str | None = None
) -> dict[str, Any]:
    """Compare a model's float file with what it was quantized to.

    Args:
        model: its float file lies beside it, or it is that.
        out: the quantized file.
        photographs: what is scored; see `find_photographs`.
        board: see `side_by_side`.
    """
    beside = model.path.with_name(f"{model.name}_float.tflite")
    real = replace(model, path=beside if beside.is_file() else model.path)
    integers = replace(model, name=out.stem, path=out)
    return side_by_side(real, integers, photographs, board)


def as_text(result: dict[str, Any]) -> str:
    """Return a row a place where the model ran."""
    lines = [f"{result['photos']} {result['said']}:"]
    width = max(len(name) for name in result["where"])
    for name, row in result["where"].items():
        parts = []
        for key, title in (("average_precision", "average precision"), ("accuracy", "right label")):
            if row.get(key) is not None:
                parts.append(f"{title} {row[key]:.3f}{_change(row, key)}")
        if name != _FLOAT:
            parts.append(f"same label as float {row['agreement']:.1%}")
        lines.append(
            f"  {name:<{width}}  {', '.join(parts) or 'what the others are compared with'}"
        )
    if "mismatches" in result:
        lines.append(
            f"  {result['mismatches']} of {result['photos']} outputs of the board differ from this "
            "machine's"
        )
    return "\n".join(lines)


def _change(row: dict[str, Any], key: str) -> str:
    gain, low, high = row.get("delta", {}).get(key, (None, None, None))
    if gain is None or low is None or high is None:
        return ""
    return f" ({gain:+.3f} [{low:+.3f}, {high:+.3f}])"
