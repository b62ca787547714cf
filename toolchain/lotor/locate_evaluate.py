"""How well a heat map finds where the target is, on photographs it has not seen.

What counts is the peak: it must lie inside one of the target's boxes. Since a data set's animals
are large, the same animals are also pasted small into photographs without one.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor import geometry
from lotor.classifier import Classifier, HostClassifier, LiteRtClassifier
from lotor.data.manifest import Box, DataSet, Photo
from lotor.data.paste import Cutout, cut_out, paste
from lotor.decision import read_chosen
from lotor.errors import LotorError
from lotor.evaluate import (
    FALSE_ALARMS,
    Flags,
    Scores,
    average_precision,
    bootstrap,
    threshold_at,
)
from lotor.locate import heat_maps, peak_of, regions
from lotor.preprocess import Image, ImageInput, read_image
from lotor.progress import Progress
from lotor.zoo import ModelFile

PASTED_AREAS = (0.03, 0.1, 0.3)
"""Shares of the frame's area that pasted animals have."""

_PASTED = 200  # photographs at each of them; no more than there are without pasting
_SEED = 20
_BANDS = (0.0, 0.1, 0.3, 0.6, 1.0)  # limits of a target's share of the frame's area

HeatOf = Callable[[Image], npt.NDArray[np.float64]]
"""BGR image -> the target's probabilities, [rows, columns]."""


@dataclass(frozen=True)
class Peaks:
    """What a heat map said about photographs, all [n].

    Attributes:
        scores: the highest probability of the target.
        inside: whether that cell's middle is inside one of the target's boxes.
        areas: share of the frame that the largest of those boxes has; 0 without the target.
        heats: the heat maps.
    """

    scores: Scores
    inside: Flags
    areas: Scores
    heats: list[npt.NDArray[np.float64]]

    @property
    def positive(self) -> Flags:
        """Whether a photograph has the target."""
        return self.areas > 0


def watch(
    heat_of: HeatOf, shape: ImageInput, scenes: Iterator[tuple[Image, Sequence[Box]]], count: int
) -> Peaks:
    """Look at photographs, given with the boxes of the target on them."""
    scores, inside, areas, heats = [], [], [], []
    with Progress("locating", count, "photographs") as progress:
        for image, boxes in scenes:
            heat = heat_of(image)
            height, width = image.shape[:2]
            row, column = peak_of(heat)
            to = geometry.of_view((0, 0, width, height), shape.height, shape.width, shape.aspect)
            there = ((column + 0.5) * shape.width / heat.shape[1],
                     (row + 0.5) * shape.height / heat.shape[0], 1.0)  # fmt: skip
            x, y, _ = np.linalg.inv(to) @ there
            scores.append(float(heat.max()))
            inside.append(any(b.x0 <= x < b.x1 and b.y0 <= y < b.y1 for b in boxes))
            sizes = [(b.x1 - b.x0) * (b.y1 - b.y0) / (height * width) for b in boxes]
            areas.append(max(sizes, default=0.0))
            heats.append(heat)
            progress.advance()
    return Peaks(np.array(scores), np.array(inside, np.bool_), np.array(areas), heats)


def photos_with_boxes(
    photos: Sequence[Photo], is_target: Callable[[str], bool]
) -> Iterator[tuple[Image, list[Box]]]:
    """Yield photographs with the boxes of the target on them."""
    for photo in photos:
        yield read_image(photo.path), [box for box in photo.boxes if is_target(box.kind)]


def pasted(
    photos: Sequence[Photo], is_target: Callable[[str], bool], area: float, count: int
) -> Iterator[tuple[Image, list[Box]]]:
    """Yield scenes with one animal of the target pasted in; the same ones every time.

    Args:
        photos: of one split; those of the class background are the scenes.
        is_target: whether a class is looked for.
        area: share of the frame's area that the animal's box gets.
        count: how many.
    """
    animals = [(p, b) for p in photos for b in p.boxes if is_target(b.kind)]
    grounds = [p for p in photos if p.kind == "background"]
    if not animals or not grounds:
        return
    rng = np.random.default_rng(_SEED)
    cutouts: dict[int, Cutout] = {}
    for number in range(count):
        index = number % len(animals)
        if index not in cutouts:
            photo, box = animals[index]
            cutouts[index] = cut_out(read_image(photo.path), box)
        ground = read_image(grounds[int(rng.integers(len(grounds)))].path)
        scene, where = paste(ground, cutouts[index], area, rng, animals[index][1].kind)
        yield scene, [where]


def measure(
    heat_of: HeatOf,
    shape: ImageInput,
    photos: Sequence[Photo],
    is_target: Callable[[str], bool],
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the figures on photographs and on pasted animals.

    Args:
        heat_of: the model.
        shape: how photographs enter it.
        photos: of one split.
        is_target: whether a class is looked for.
        thresholds: chosen before, by the share of false alarms; chosen here when None, which is
            for val only.

    Returns:
        `photos`, `positives`, `peak_inside` (share of the target's photographs, with its 95 %
        interval when whole groups are resampled), `by_area`, `average_precision` (is there one?),
        `thresholds`, `at_threshold`, `pasted`.
    """
    photos = [p for p in photos if not is_target(p.kind) or any(is_target(b.kind) for b in p.boxes)]
    peaks = watch(heat_of, shape, photos_with_boxes(photos, is_target), len(photos))
    positive = peaks.positive
    if not positive.any():
        raise LotorError("no photograph with a box around the target: nothing to locate")
    if thresholds is None:
        thresholds = {
            f"{share:.0%}": threshold_at(peaks.scores, positive, share) for share in FALSE_ALARMS
        }
    groups = [photo.group or photo.path.name for photo in photos]
    return {
        "photos": len(photos),
        "positives": int(positive.sum()),
        "peak_inside": rounded(float(peaks.inside[positive].mean())),
        "by_area": _by_area(peaks),
        "average_precision": rounded(average_precision(peaks.scores, positive)),
        "average_precision_95": [rounded(v) for v in bootstrap(peaks.scores, positive, groups)],
        "thresholds": dict(thresholds),
        "at_threshold": {
            name: _at(peaks, positive, threshold) for name, threshold in thresholds.items()
        },
        "pasted": [
            _pasted(heat_of, shape, photos, is_target, area, thresholds) for area in PASTED_AREAS
        ],
    }


def _by_area(peaks: Peaks) -> list[dict[str, Any]]:
    rows = []
    for low, high in itertools.pairwise(_BANDS):
        band = (peaks.areas > low) & (peaks.areas <= high)
        if band.any():
            share = rounded(float(peaks.inside[band].mean()))
            rows.append({"area": [low, high], "photos": int(band.sum()), "peak_inside": share})
    return rows


def _at(peaks: Peaks, positive: Flags, threshold: float) -> dict[str, Any]:
    alarms = [len(regions(heat, threshold)) for heat, yes in zip(peaks.heats, positive, strict=True)
              if not yes]  # fmt: skip
    over = peaks.scores >= threshold
    return {
        "threshold": rounded(threshold),
        "found": rounded(float((over & peaks.inside)[positive].mean())),
        "false_alarms": rounded(float(over[~positive].mean()) if alarms else float("nan")),
        "false_peaks_each": rounded(float(np.mean(alarms)) if alarms else float("nan")),
    }


def _pasted(
    heat_of: HeatOf,
    shape: ImageInput,
    photos: Sequence[Photo],
    is_target: Callable[[str], bool],
    area: float,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    count = min(_PASTED, len(photos))
    peaks = watch(heat_of, shape, pasted(photos, is_target, area, count), count)
    if not peaks.scores.size:
        return {"area": area, "count": 0}
    return {
        "area": area,
        "count": len(peaks.scores),
        "peak_inside": rounded(float(peaks.inside.mean())),
        "found": {
            name: rounded(float((peaks.inside & (peaks.scores >= threshold)).mean()))
            for name, threshold in thresholds.items()
        },
    }


def judge(
    classifier: Classifier,
    recipe: Mapping[str, Any],
    photos: Sequence[Photo],
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the figures of a model with a heat map; `recipe` as its file holds it."""
    table, target = recipe["data"], str(recipe["target"])
    if target not in classifier.labels:
        raise LotorError(f"the recipe's target '{target}' is none of the model's labels")
    index = classifier.labels.index(target)

    def is_target(kind: str) -> bool:
        return bool(table["classes"].get(kind, table["other"]) == target)

    return measure(
        lambda image: heat_maps(classifier, image)[:, :, index],
        classifier.input, photos, is_target, thresholds,
    )  # fmt: skip


def judge_places(
    classifier: Classifier, model: ModelFile, photos: Sequence[Photo], views: bool
) -> dict[str, Any]:
    """Return what `lotor evaluate` tells of a model that locates."""
    if views:
        raise LotorError(f"{model.name} locates, on the whole frame: leave out --views")
    found = judge(classifier, model.recipe, photos, read_chosen(model).thresholds)
    return {"labels": classifier.labels, "target": model.recipe["target"], "located": found}


def figures_of_training(model: ModelFile, real: Path, photos: DataSet) -> dict[str, Any]:
    """Return the figures on val and test, and the thresholds that val gives.

    Args:
        model: int8.
        real: the float model's file.
        photos: the data set.
    """
    int8 = HostClassifier(model)  # the generated C says what LiteRT says, sooner
    val = judge(int8, model.recipe, photos.split("val"))
    figures = {"thresholds": val["thresholds"], "val": val}
    if test := photos.split("test"):
        figures["test"] = judge(int8, model.recipe, test, val["thresholds"])
        floats = LiteRtClassifier(replace(model, path=real))
        figures["test_float"] = judge(floats, model.recipe, test, val["thresholds"])
    return figures


def places_text(result: Mapping[str, Any]) -> str:
    """Return what `judge_places` found as a report for people."""
    lines = [f"{result['model']} ({result['where']}), split {result['split']}"]
    if "mismatches" in result:
        lines.append(f"{result['mismatches']} of {result['runs']} outputs differ from the host's")
    return "\n".join([*lines, *as_lines(result["located"], result["target"])])


def as_lines(found: Mapping[str, Any], target: str) -> list[str]:
    """Return the figures for people."""
    lines = [
        f"  {found['photos']} photographs, {found['positives']} of them with {target}",
        f"  peak inside the box {_text(found['peak_inside'])}",
    ]
    for row in found["by_area"]:
        low, high = row["area"]
        lines.append(
            f"    {low:.0%} to {high:.0%} of the frame: {_text(row['peak_inside'])} of "
            f"{row['photos']}"
        )
    low, high = found["average_precision_95"]
    lines.append(
        f"  average precision of the peak {_text(found['average_precision'])} "
        f"[{_text(low)}, {_text(high)}]"
    )
    for name, row in found["at_threshold"].items():
        lines.append(
            f"  at the threshold for {name} on val, {_text(row['threshold'])}: found "
            f"{_text(row['found'])}, false alarms {_text(row['false_alarms'])}, "
            f"{_text(row['false_peaks_each'])} peaks a photograph without {target}"
        )
    for row in found["pasted"]:
        if row["count"]:
            over = ", ".join(f"{_text(v)} over that of {k}" for k, v in row["found"].items())
            lines.append(
                f"  pasted at {row['area']:.0%} of the frame ({row['count']}): peak inside the box "
                f"{_text(row['peak_inside'])}; {over}"
            )
    return lines


def rounded(value: float) -> float | None:
    """Return a figure with four digits; None where it is no number."""
    return None if np.isnan(value) else round(float(value), 4)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
