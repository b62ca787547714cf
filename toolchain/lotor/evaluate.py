"""How good a classifier is on photographs it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lotor.calibration import calibration_error
from lotor.classifier import BoardClassifier, Classifier, LiteRtClassifier, open_classifier
from lotor.data.manifest import SHARP_SHORT_SIDE, Photo, data_folder, read_manifest
from lotor.data.uses import TEST, count_use
from lotor.decision import read_chosen
from lotor.detect import score_image, target_index
from lotor.errors import LotorError
from lotor.preprocess import read_image
from lotor.progress import Progress
from lotor.suggest import did_you_mean
from lotor.zoo import ModelFile

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
T = TypeVar("T")

FALSE_ALARMS = (0.01, 0.05)
"""Shares of the photographs without the target that may alarm, at which recall is told."""

DIGITS = 6
"""Of figures in files. People read three; from four kept, one in twenty would round wrongly."""


def average_precision(scores: Scores, positive: Flags) -> float:
    """Return the area under the precision-recall steps, 0..1; nan without positives.

    Precision is summed at every distinct score, weighted by the recall gained there, without
    interpolation (Manning et al., Introduction to Information Retrieval, section 8.4). Equal
    scores count together, so that the order of the photographs cannot matter.

    Args:
        scores: [n], higher means more likely the target.
        positive: bool [n], whether it is the target.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, seen = hits[last], np.flatnonzero(last) + 1
    gained = np.diff(hits, prepend=0) / positive.sum()
    return float(np.sum(gained * hits / seen))


def threshold_at(scores: Scores, positive: Flags, false_alarms: float) -> float:
    """Return the lowest score at which at most this share (0..1) of the negatives alarm.

    A photograph alarms when its score >= the threshold. The result is a score that occurred, or
    just above the highest negative one; without negatives it is 0.
    """
    negatives = np.sort(scores[~positive])[::-1]
    allowed = int(np.floor(false_alarms * len(negatives)))
    if allowed >= len(negatives):
        return 0.0
    return float(np.nextafter(negatives[allowed], np.inf))


def recall_at(scores: Scores, positive: Flags, false_alarms: float) -> float:
    """Return the share of positives found where at most this share of the negatives alarms."""
    if not positive.any():
        return float("nan")
    return float((scores[positive] >= threshold_at(scores, positive, false_alarms)).mean())


def resamples(
    groups: Sequence[str], rounds: int = 1000, seed: int = 0
) -> list[npt.NDArray[np.int64]]:
    """Return `rounds` bootstrap samples as row indices; as many groups as there are, all whole.

    Photographs of a group are no independent witnesses, so they are drawn together (the cluster
    bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, section 3.8).

    Args:
        groups: of each row, [n].
        rounds: number of samples.
        seed: decides the draws; the same groups and seed give the same samples.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([rows[i] for i in rng.integers(len(names), size=len(names))])
        for _ in range(rounds)
    ]


def bootstrap(
    scores: Scores, positive: Flags, groups: Sequence[str], rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the average precision, whole groups resampled."""
    values = [
        average_precision(scores[chosen], positive[chosen])
        for chosen in resamples(groups, rounds, seed)
        if positive[chosen].any()
    ]
    low, high = np.percentile(values, [2.5, 97.5]) if values else (np.nan, np.nan)
    return float(low), float(high)


def confusion(
    truth: npt.NDArray[np.int64], said: npt.NDArray[np.int64], labels: int
) -> list[list[int]]:
    """Return counts [true label][label said]."""
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (truth, said), 1)
    return [[int(count) for count in row] for row in table]


@dataclass(frozen=True)
class Scored:
    """Photographs with their true label indices [n] and scores [n, labels].

    Attributes:
        unlike: how unlike all that is known each is, [n]; None where the model cannot tell.
    """

    photos: list[Photo]
    truth: npt.NDArray[np.int64]
    scores: Scores
    unlike: Scores | None = None

    def where(self, chosen: Flags) -> "Scored":
        """Return the chosen ones, bool [n]."""
        photos = [photo for photo, keep in zip(self.photos, chosen, strict=True) if keep]
        unlike = None if self.unlike is None else self.unlike[chosen]
        return Scored(photos, self.truth[chosen], self.scores[chosen], unlike)


def score_photos(
    classifier: Classifier,
    photos: Sequence[Photo],
    label_of: Callable[[str], int],
    target: int | None = None,
) -> Scored:
    """Score photographs; with a target, on all views of each."""
    scores, unlike = [], []
    with Progress("scoring", len(photos), "photographs") as progress:
        for photo in photos:
            image = read_image(photo.path)
            whole = classifier.infer(classifier.input.tensor(image))
            scores.append(score_image(classifier, image, target, whole)[0])
            unlike.append(classifier.unlike(whole))
            progress.advance()
    truth = np.array([label_of(photo.kind) for photo in photos], np.int64)
    told = None if None in unlike else np.array(unlike, np.float64)
    return Scored(list(photos), truth, np.stack(scores), told)


def operating_points(scored: Scored, target: int) -> dict[str, float]:
    """Return the thresholds for each share of `FALSE_ALARMS`; call it on val, never on test."""
    found = scored.scores[:, target], scored.truth == target
    return {f"{share:.0%}": threshold_at(*found, share) for share in FALSE_ALARMS}


def measure(
    scored: Scored, labels: Sequence[str], target: int, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the figures on all photographs (`all`) and on those of large originals (`sharp`)."""
    sharp = np.array([photo.sharp for photo in scored.photos], np.bool_)
    parts = {"all": scored, "sharp": scored.where(sharp)}
    return {
        name: _figures(part, labels, target, thresholds)
        for name, part in parts.items()
        if part.photos
    }


def _figures(
    scored: Scored, labels: Sequence[str], target: int, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    positive, found = scored.truth == target, scored.scores[:, target]
    said = scored.scores.argmax(axis=1)
    table = confusion(scored.truth, said, len(labels))
    groups = [photo.group or photo.path.name for photo in scored.photos]
    return {
        "photos": len(scored.photos),
        "positives": int(positive.sum()),
        "average_precision": rounded(average_precision(found, positive)),
        "average_precision_95": [rounded(v) for v in bootstrap(found, positive, groups)],
        "recall": {f"{s:.0%}": rounded(recall_at(found, positive, s)) for s in FALSE_ALARMS},
        "at_threshold": {
            name: {
                "threshold": rounded(threshold),
                "recall": rounded(_share(found[positive] >= threshold)),
                "false_alarms": rounded(_share(found[~positive] >= threshold)),
            }
            for name, threshold in thresholds.items()
        },
        "accuracy": rounded(_share(said == scored.truth)),
        "calibration_error": rounded(calibration_error(scored.scores, scored.truth)),
        "class_accuracy": {
            label: rounded(row[index] / sum(row)) if sum(row) else None
            for index, (label, row) in enumerate(zip(labels, table, strict=True))
        },
        "confusion": table,
    }


def _share(flags: Flags) -> float:
    return float(flags.mean()) if flags.size else float("nan")


def rounded(value: float) -> float | None:
    """Return a figure as files keep it, with `DIGITS`; None where it is no number."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def as_figure(value: float | None) -> str:
    """Return a figure for people, with three digits."""
    return "-" if value is None else f"{value:.3f}"


def evaluate(
    model: ModelFile,
    data: Path | None = None,
    split: str = "val",
    real: bool = False,
    views: bool = False,
    board: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Measure a model with a recipe on one split of a data set.

    Args:
        model: from the zoo, with a recipe.
        data: the folder of photographs; the recipe's when None.
        split: train, val or test. Uses of test are counted, see `lotor.data.uses`.
        real: measure the float model beside it (NAME_float.tflite) instead, in LiteRT.
        views: score nine crops of every photograph too.
        board: infer on this board, and compare every output with this machine's.
        limit: at most so many photographs, spread evenly over the split.

    Returns:
        `model`, `split`, `photos`, `where`, `labels`, `target`, `all`, `sharp` (figures; of a
        model that locates `located`, see `locate_evaluate.measure`), `unknown` where the model
        tells it (the `share` of all photographs that are beyond the `threshold`), and with a board
        `mismatches`, the number of outputs that differ from this machine's in any byte.
    """
    if not model.recipe:
        raise LotorError(f"{model.name} has no recipe.toml beside it, which says what classes mean")
    usual = model.recipe.get("data", {}).get("folder")
    if not (data or usual):
        raise LotorError(f"{model.name}'s recipe.toml names no data.folder; give one with --data")
    folder = data_folder(data, str(usual))
    found = read_manifest(folder)
    photos = spread(found.split(split), limit)
    if not photos:
        raise LotorError(f"{folder} has no photograph in split {split}")
    result: dict[str, Any] = {"model": model.name, "split": split, "data": str(folder)}
    result |= _judge_at(model, photos, real, views, board)
    if split == TEST:
        count_use(found, model.name, model.path.read_bytes())
    return result


def _judge_at(
    model: ModelFile, photos: Sequence[Photo], real: bool, views: bool, board: str | None
) -> dict[str, Any]:
    """Return what `evaluate` tells of the place where a model ran, and its figures."""
    if real:
        float_path = model.path.with_name(f"{model.name}_float.tflite")
        if board or not float_path.is_file():
            raise LotorError(
                "a float model runs on this machine only: leave out --board"
                if board
                else f"no float model {float_path}: `lotor train {model.name}` writes it"
            )
        float_model = LiteRtClassifier(replace(model, path=float_path))
        return {"where": "float, LiteRT"} | _judge(float_model, model, photos, views)
    with open_classifier(model, board) as classifier:
        if isinstance(classifier, BoardClassifier):
            counting = CountingBoard(classifier)
            figures = _judge(counting, model, photos, views)
            runs = {"mismatches": counting.mismatches, "runs": counting.runs}
            return {"where": f"int8, board {board}", **figures, **runs}
        return {"where": "int8, this machine"} | _judge(classifier, model, photos, views)


class CountingBoard:
    """A board that is compared with this machine at every run.

    Attributes:
        runs: how often it was asked.
        mismatches: how many outputs differed from this machine's in any byte.
    """

    def __init__(self, board: BoardClassifier) -> None:
        self._board, self.labels, self.input = board, board.labels, board.input
        self.runs = self.mismatches = 0

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the board's raw output, and count it if it is not this machine's."""
        output = self._board.infer(tensor)
        expected = self._board.expect(tensor)
        self.runs += 1
        self.mismatches += output.tobytes() != expected.tobytes()
        return output

    def probabilities(self, output: npt.NDArray[Any]) -> Scores:
        """Return a raw output as real numbers, [labels]."""
        return self._board.probabilities(output)

    def unlike(self, output: npt.NDArray[Any]) -> float | None:
        """Return how unlike all that is known an input is; None for a model that cannot tell."""
        return self._board.unlike(output)


def label_indices(recipe: Mapping[str, Any], labels: Sequence[str]) -> Callable[[str], int]:
    """Return what tells the index of the label that a data set's class belongs to.

    Raises:
        LotorError: the recipe does not say it, or names a label that the model has not.
    """
    table = recipe.get("data", {})
    classes, other = table.get("classes"), table.get("other")
    if not isinstance(classes, dict) or other is None:
        raise LotorError(
            "the model's recipe.toml does not say what classes mean: state [data.classes] and, "
            "for all others, data.other"
        )
    for label in (other, *classes.values()):
        if label not in labels:
            raise LotorError(
                f"recipe.toml: '{label}'{did_you_mean(label, labels)} is none of the model's "
                f"labels {', '.join(labels)}"
            )
    return lambda kind: labels.index(classes.get(kind, other))


def _judge(
    classifier: Classifier, model: ModelFile, photos: Sequence[Photo], views: bool
) -> dict[str, Any]:
    from lotor.locate import TASKS
    from lotor.locate_evaluate import judge_places

    if model.recipe.get("task") in TASKS:
        return judge_places(classifier, model, photos, views)
    labels, target = classifier.labels, target_index(classifier, model.recipe)
    label_of = label_indices(model.recipe, labels)
    scored = score_photos(classifier, photos, label_of, target if views else None)
    chosen = read_chosen(model, views)
    result = {
        "views": views,
        "photos": len(photos),
        "labels": labels,
        "target": labels[target],
        **measure(scored, labels, target, dict(chosen.thresholds)),
    }
    if scored.unlike is None or chosen.unknown is None:
        return result
    share = float(np.mean([chosen.is_unknown(unlike) for unlike in scored.unlike]))
    return result | {"unknown": {"threshold": chosen.unknown, "share": rounded(share)}}


def val_thresholds(model: ModelFile, views: bool = False) -> dict[str, float]:
    """Return the thresholds that training chose on val; none where the model came without."""
    return dict(read_chosen(model, views).thresholds)


def spread(photos: Sequence[T], limit: int | None) -> list[T]:
    """Return at most so many photographs, spread evenly over all; None is no limit."""
    if limit is None or limit >= len(photos):
        return list(photos)
    if limit < 1:
        raise LotorError(f"--limit {limit}: at least 1 photograph is needed")
    return [photos[index * len(photos) // limit] for index in range(limit)]


def as_text(result: dict[str, Any]) -> str:
    """Return the figures as a report for people."""
    from lotor.locate_evaluate import places_text

    if "located" in result:
        return places_text(result)
    views = ", nine crops too" if result["views"] else ""
    lines = [
        f"{result['model']} ({result['where']}{views}) on {result['photos']} photographs, "
        f"split {result['split']}"
    ]
    if "mismatches" in result:
        lines.append(f"{result['mismatches']} of {result['runs']} outputs differ from the host's")
    if "unknown" in result:
        unknown = result["unknown"]
        lines.append(f"unknown (beyond {unknown['threshold']:.4f}): {unknown['share']:.1%} of them")
    titles = {"all": "all", "sharp": f"originals of at least {SHARP_SHORT_SIDE} pixels"}
    for part, title in titles.items():
        if part in result:
            lines += ["", f"{title}:", *_part_lines(result[part], result["target"])]
            lines += confusion_lines(result[part]["confusion"], result["labels"])
    return "\n".join(lines)


def _part_lines(figures: dict[str, Any], target: str) -> list[str]:
    low, high = map(as_figure, figures["average_precision_95"])
    lines = [
        f"  {figures['photos']} photographs, {figures['positives']} of them {target}",
        f"  average precision {as_figure(figures['average_precision'])} [{low}, {high}]",
    ]
    for share, recall in figures["recall"].items():
        lines.append(f"  recall at {share} false alarms {as_figure(recall)}")
    for share, point in figures["at_threshold"].items():
        lines.append(
            f"  at the threshold for {share} on val, {as_figure(point['threshold'])}: recall "
            f"{as_figure(point['recall'])}, false alarms {as_figure(point['false_alarms'])}"
        )
    return [
        *lines,
        f"  right label {as_figure(figures['accuracy'])}, calibration error "
        f"{as_figure(figures['calibration_error'])}",
    ]


def confusion_lines(table: Sequence[Sequence[int]], labels: Sequence[str]) -> list[str]:
    """Return a confusion table as text: a row a true label, a column a label said."""
    width = max(len(label) for label in labels) + 2
    lines = ["  " + "true \\ said".ljust(width) + "".join(f"{name:>{width}}" for name in labels)]
    for label, row in zip(labels, table, strict=True):
        share = f"{row[labels.index(label)] / sum(row):>8.0%}" if sum(row) else ""
        lines.append("  " + label.ljust(width) + "".join(f"{n:>{width}}" for n in row) + share)
    return lines


def draw_confusion(table: Sequence[Sequence[int]], labels: Sequence[str], path: Path) -> None:
    """Draw a confusion table as a PNG: darker is a larger share of the true label."""
    cell, left, top = 110, 190, 60
    size = len(labels)
    sheet = np.full((top + size * cell + 20, left + size * cell + 20, 3), 255, np.uint8)
    font, grey = cv2.FONT_HERSHEY_SIMPLEX, (60, 60, 60)
    for row, counts in enumerate(table):
        y = top + row * cell
        cv2.putText(sheet, labels[row], (12, y + cell // 2), font, 0.55, grey, 1, cv2.LINE_AA)
        cv2.putText(sheet, labels[row], (left + row * cell + 4, top - 18), font, 0.45, grey, 1, 16)
        for column, count in enumerate(counts):
            share, x = count / max(1, sum(counts)), left + column * cell
            tint = tuple(int(255 - share * (255 - c)) for c in (120, 70, 30))
            cv2.rectangle(sheet, (x, y), (x + cell - 4, y + cell - 4), tint, -1)
            ink = (255, 255, 255) if share > 0.5 else grey
            text = f"{count} ({share:.0%})"
            cv2.putText(sheet, text, (x + 12, y + cell // 2), font, 0.5, ink, 1, cv2.LINE_AA)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), sheet)
    except (OSError, cv2.error):  # cv2.error: no known suffix
        written = False
    if not written:
        raise LotorError(f"cannot write {path}; give a .png in a folder that can be written")
