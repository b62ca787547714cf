"""How well a heat map or a detector finds where the target is, on photographs it has not seen.

What counts is what scores highest: a heat map's peak must lie inside one of the target's boxes, a
detector's box must overlap one by half. Since a data set's animals are large, the same animals are
also pasted small into photographs without one.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lotor import geometry
from lotor.box_evaluate import LEAST_OVERLAP, by_label
from lotor.box_evaluate import as_lines as box_lines
from lotor.boxes import Found, boxes_of, overlap
from lotor.classifier import Classifier, HostClassifier, LiteRtClassifier
from lotor.data.manifest import Box, Photo
from lotor.data.paste import Cutout, cut_out, paste
from lotor.decision import read_chosen
from lotor.errors import LotorError
from lotor.evaluate import (
    FALSE_ALARMS,
    Flags,
    Scores,
    as_figure,
    average_precision,
    bootstrap,
    rounded,
    threshold_at,
)
from lotor.locate import Heat, background_of, heat_maps, peak_of, regions
from lotor.preprocess import Image, ImageInput, read_image
from lotor.progress import Progress
from lotor.zoo import ModelFile

PASTED_AREAS = (0.03, 0.1, 0.3)
"""Shares of the frame's area that pasted animals have."""

_PASTED = 200  # photographs at each of them; no more than there are without pasting
_SEED = 20
_BANDS = (0.0, 0.1, 0.3, 0.6, 1.0)  # limits of a target's share of the frame's area

HIT = {"locate": "peak_inside", "detect": "best_box_hits"}
"""What a figure is called, by task: the share of photographs whose best place is right."""

COUNTED = {"locate": "false_peaks_each", "detect": "false_boxes_each"}
"""What a figure is called, by task: places found on a photograph without the target."""


@dataclass(frozen=True)
class Look:
    """What a model says of the target on one photograph.

    Attributes:
        score: the highest probability of it.
        hit: whether the place of that is right.
        count: how many places it finds from a score on.
    """

    score: float
    hit: bool
    count: Callable[[float], int]


Looker = Callable[[Image, Sequence[Box]], Look]
"""BGR image and the boxes of the target on it -> what a model says."""


@dataclass(frozen=True)
class Looks:
    """What a model said of photographs, all [n].

    Attributes:
        each: of every photograph.
        areas: share of the frame that the largest of the target's boxes has; 0 without it.
    """

    each: list[Look]
    areas: Scores

    @property
    def scores(self) -> Scores:
        """The highest probability of the target."""
        return np.array([look.score for look in self.each])

    @property
    def hits(self) -> Flags:
        """Whether the place of that is right."""
        return np.array([look.hit for look in self.each], np.bool_)

    @property
    def positive(self) -> Flags:
        """Whether a photograph has the target."""
        return self.areas > 0


def peaks(heat_of: Callable[[Image], Heat], shape: ImageInput) -> Looker:
    """Return how a heat map looks for the target: its peak must lie inside a box.

    Args:
        heat_of: BGR image -> the target's probabilities, [rows, columns].
        shape: how photographs enter the model.
    """

    def look(image: Image, boxes: Sequence[Box]) -> Look:
        heat = heat_of(image)
        height, width = image.shape[:2]
        row, column = peak_of(heat)
        to = geometry.of_view((0, 0, width, height), shape.height, shape.width, shape.aspect)
        there = ((column + 0.5) * shape.width / heat.shape[1],
                 (row + 0.5) * shape.height / heat.shape[0], 1.0)  # fmt: skip
        x, y, _ = np.linalg.inv(to) @ there
        inside = any(b.x0 <= x < b.x1 and b.y0 <= y < b.y1 for b in boxes)
        return Look(float(heat.max()), inside, lambda threshold: len(regions(heat, threshold)))

    return look


def watch(look: Looker, scenes: Iterator[tuple[Image, Sequence[Box]]], count: int) -> Looks:
    """Look at photographs, given with the boxes of the target on them."""
    each, areas = [], []
    with Progress("locating", count, "photographs") as progress:
        for image, boxes in scenes:
            each.append(look(image, boxes))
            frame = image.shape[0] * image.shape[1]
            sizes = [(b.x1 - b.x0) * (b.y1 - b.y0) / frame for b in boxes]
            areas.append(max(sizes, default=0.0))
            progress.advance()
    return Looks(each, np.array(areas))


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
    look: Looker,
    photos: Sequence[Photo],
    is_target: Callable[[str], bool],
    thresholds: Mapping[str, float] | None = None,
    task: str = "locate",
) -> dict[str, Any]:
    """Return the figures on photographs and on pasted animals.

    Args:
        look: the model.
        photos: of one split; those of the target without a box are left out, see `boxed`.
        is_target: whether a class is looked for.
        thresholds: chosen before, by the share of false alarms; chosen here when None, which is
            for val only.
        task: names the figures, see `HIT` and `COUNTED`.

    Returns:
        `photos`, `positives`, `peak_inside` (share of the target's photographs; called as the task
        has it), `by_area`, `average_precision` (is there one?) and its 95 % interval when whole
        groups are resampled, `thresholds`, `at_threshold`, `pasted`.
    """
    photos = boxed(photos, is_target)
    looks = watch(look, photos_with_boxes(photos, is_target), len(photos))
    scores, positive, hit = looks.scores, looks.positive, HIT[task]
    if not positive.any():
        raise LotorError("no photograph with a box around the target: nothing to locate")
    if thresholds is None:
        thresholds = {
            f"{share:.0%}": threshold_at(scores, positive, share) for share in FALSE_ALARMS
        }
    groups = [photo.group or photo.path.name for photo in photos]
    return {
        "photos": len(photos),
        "positives": int(positive.sum()),
        hit: rounded(float(looks.hits[positive].mean())),
        "by_area": _by_area(looks, hit),
        "average_precision": rounded(average_precision(scores, positive)),
        "average_precision_95": [rounded(v) for v in bootstrap(scores, positive, groups)],
        "thresholds": dict(thresholds),
        "at_threshold": {
            name: _at(looks, threshold, COUNTED[task]) for name, threshold in thresholds.items()
        },
        "pasted": [
            _pasted(look, photos, is_target, area, thresholds, hit) for area in PASTED_AREAS
        ],
    }


def boxed(photos: Sequence[Photo], is_target: Callable[[str], bool]) -> list[Photo]:
    """Return photographs without those of the target that have no box."""
    return [p for p in photos if not is_target(p.kind) or any(is_target(b.kind) for b in p.boxes)]


def _by_area(looks: Looks, hit: str) -> list[dict[str, Any]]:
    rows = []
    for low, high in itertools.pairwise(_BANDS):
        band = (looks.areas > low) & (looks.areas <= high)
        if band.any():
            share = rounded(float(looks.hits[band].mean()))
            rows.append({"area": [low, high], "photos": int(band.sum()), hit: share})
    return rows


def _at(looks: Looks, threshold: float, counted: str) -> dict[str, Any]:
    positive, over = looks.positive, looks.scores >= threshold
    pairs = zip(looks.each, positive, strict=True)
    alarms = [look.count(threshold) for look, yes in pairs if not yes]
    return {
        "threshold": rounded(threshold),
        "found": rounded(float((over & looks.hits)[positive].mean())),
        "false_alarms": rounded(float(over[~positive].mean()) if alarms else float("nan")),
        counted: rounded(float(np.mean(alarms)) if alarms else float("nan")),
    }


def _pasted(
    look: Looker,
    photos: Sequence[Photo],
    is_target: Callable[[str], bool],
    area: float,
    thresholds: Mapping[str, float],
    hit: str,
) -> dict[str, Any]:
    count = min(_PASTED, len(photos))
    looks = watch(look, pasted(photos, is_target, area, count), count)
    if not looks.each:
        return {"area": area, "count": 0}
    return {
        "area": area,
        "count": len(looks.each),
        hit: rounded(float(looks.hits.mean())),
        "found": {
            name: rounded(float((looks.hits & (looks.scores >= threshold)).mean()))
            for name, threshold in thresholds.items()
        },
    }


def judge(
    classifier: Classifier,
    recipe: Mapping[str, Any],
    photos: Sequence[Photo],
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the figures of a model that says where something is; `recipe` as its file holds it.

    Those of a detector have `boxes` as well, see `box_evaluate.by_label`.
    """
    table, target = recipe["data"], str(recipe["target"])
    if target not in classifier.labels:
        raise LotorError(f"the recipe's target '{target}' is none of the model's labels")
    index = classifier.labels.index(target)

    def label_of(kind: str) -> str:
        return str(table["classes"].get(kind, table["other"]))

    def is_target(kind: str) -> bool:
        return label_of(kind) == target

    if recipe["task"] == "detect":
        seeing = BestBoxes(boxes_of(classifier, recipe), target)
        figures = measure(seeing, photos, is_target, thresholds, "detect")
        used = boxed(photos, is_target)  # which come before pasted ones
        labels = [label for label in classifier.labels if label != background_of(recipe)]
        return {"boxes": by_label(used, seeing.said[: len(used)], labels, label_of)} | figures
    heat = peaks(lambda image: heat_maps(classifier, image)[:, :, index], classifier.input)
    return measure(heat, photos, is_target, thresholds)


class BestBoxes:
    """How a detector looks for the target: its best box must overlap one of it by half.

    Attributes:
        said: all that was found on each photograph, in their order.
    """

    def __init__(self, find: Callable[[Image], list[Found]], target: str) -> None:
        self._find, self._target = find, target
        self.said: list[list[Found]] = []

    def __call__(self, image: Image, boxes: Sequence[Box]) -> Look:
        """Look at a photograph; see `Looker`."""
        self.said.append(self._find(image))
        found = [one for one in self.said[-1] if one.label == self._target]
        hit = bool(found) and any(overlap(found[0].box, b) >= LEAST_OVERLAP for b in boxes)
        scores = [one.score for one in found]
        return Look(max(scores, default=0.0), hit, lambda limit: sum(s >= limit for s in scores))


def judge_places(
    classifier: Classifier, model: ModelFile, photos: Sequence[Photo], views: bool
) -> dict[str, Any]:
    """Return what `lotor evaluate` tells of a model that locates."""
    if views:
        raise LotorError(f"{model.name} locates, on the whole frame: leave out --views")
    found = judge(classifier, model.recipe, photos, read_chosen(model).thresholds)
    return {"labels": classifier.labels, "target": model.recipe["target"], "located": found}


def figures_of_training(
    model: ModelFile, real: Path, val: Sequence[Photo], test: Sequence[Photo]
) -> dict[str, Any]:
    """Return the figures on val and, where there are photographs, test; and val's thresholds.

    Args:
        model: int8.
        real: the float model's file.
        val: photographs.
        test: the same, of a model that is going to ship.
    """
    int8 = HostClassifier(model)  # the generated C says what LiteRT says, sooner
    found = judge(int8, model.recipe, val)
    figures = {"thresholds": found["thresholds"], "val": found}
    if test:
        figures["test"] = judge(int8, model.recipe, test, found["thresholds"])
        floats = LiteRtClassifier(replace(model, path=real))
        figures["test_float"] = judge(floats, model.recipe, test, found["thresholds"])
    return figures


def places_text(result: Mapping[str, Any]) -> str:
    """Return what `judge_places` found as a report for people."""
    lines = [f"{result['model']} ({result['where']}), split {result['split']}"]
    if "mismatches" in result:
        lines.append(f"{result['mismatches']} of {result['runs']} outputs differ from the host's")
    return "\n".join([*lines, *as_lines(result["located"], result["target"])])


def as_lines(found: Mapping[str, Any], target: str) -> list[str]:
    """Return the figures for people."""
    task = "detect" if "boxes" in found else "locate"
    hit, counted = HIT[task], COUNTED[task]
    right = {"locate": "peak inside the box", "detect": "best box overlaps by half"}[task]
    lines = [f"  {found['photos']} photographs, {found['positives']} of them with {target}"]
    if task == "detect":
        lines += box_lines(found["boxes"])
    lines.append(f"  {right} {as_figure(found[hit])}")
    for row in found["by_area"]:
        low, high = row["area"]
        lines.append(
            f"    {low:.0%} to {high:.0%} of the frame: {as_figure(row[hit])} of {row['photos']}"
        )
    low, high = found["average_precision_95"]
    what = {"locate": "the peak", "detect": "photographs by their best box"}[task]
    lines.append(
        f"  average precision of {what} {as_figure(found['average_precision'])} "
        f"[{as_figure(low)}, {as_figure(high)}]"
    )
    places = {"locate": "peaks", "detect": "boxes"}[task]
    for name, row in found["at_threshold"].items():
        lines.append(
            f"  at the threshold for {name} on val, {as_figure(row['threshold'])}: found "
            f"{as_figure(row['found'])}, false alarms {as_figure(row['false_alarms'])}, "
            f"{as_figure(row[counted])} {places} a photograph without {target}"
        )
    for row in found["pasted"]:
        if row["count"]:
            over = ", ".join(f"{as_figure(v)} over that of {k}" for k, v in row["found"].items())
            lines.append(
                f"  pasted at {row['area']:.0%} of the frame ({row['count']}): {right} "
                f"{as_figure(row[hit])}; {over}"
            )
    return lines
