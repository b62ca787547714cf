"""How well a detector's boxes fit those of a data set: average precision of each label."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lotor.boxes import Found, overlap
from lotor.data.manifest import Box, Photo
from lotor.evaluate import Flags, Scores, as_figure, resamples, rounded

LEAST_OVERLAP = 0.5
"""Intersection over union from which on a box is right."""


def boxes_precision(scores: Scores, right: Flags, boxes: int) -> float:
    """Return the average precision of detections, 0..1; nan where there is no box to find.

    Pascal VOC's of 2010 and later (Everingham et al., "The Pascal Visual Object Classes Challenge:
    A Retrospective", IJCV 2015, section 2): the area under the curve of precision over recall, each
    precision raised to the best one at as much recall or more.

    Args:
        scores: of every detection, [n].
        right: bool [n], whether it is a box that no better detection has found.
        boxes: number of boxes to find.
    """
    if not boxes:
        return float("nan")
    if not scores.size:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    # Equal scores count together, so that their order cannot matter.
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, seen = hits[last], np.flatnonzero(last) + 1
    envelope = np.maximum.accumulate((hits / seen)[::-1])[::-1]
    return float(np.sum(np.diff(hits, prepend=0) / boxes * envelope))


def assign(found: Sequence[Found], boxes: Sequence[Box]) -> list[bool]:
    """Return whether each detection of one label is right, best first.

    It is if, of all boxes, that which it overlaps most is one that it overlaps by half and that no
    detection before it has had.
    """
    taken: set[int] = set()
    right = []
    for one in found:
        shares = [overlap(one.box, box) for box in boxes]
        best = int(np.argmax(shares)) if shares else -1
        hit = best >= 0 and shares[best] >= LEAST_OVERLAP and best not in taken
        if hit:
            taken.add(best)
        right.append(hit)
    return right


def by_label(
    photos: Sequence[Photo],
    found: Sequence[Sequence[Found]],
    labels: Sequence[str],
    label_of: Callable[[str], str],
) -> dict[str, Any]:
    """Return the figures of boxes on photographs.

    Photographs of a label without a box of it do not count for that label, as nobody knows what is
    right there; nor do labels without any box.

    Args:
        photos: of one split.
        found: what was found on each, best first.
        labels: that boxes may have.
        label_of: the label of a class.

    Returns:
        `mean_average_precision` of the labels, and for each of `labels`: `boxes` (how many there
        are), `average_precision`, `average_precision_95` (whole groups resampled), `recall` (share
        of boxes that some detection finds).
    """
    table = {}
    for label in labels:
        truth = [[box for box in p.boxes if label_of(box.kind) == label] for p in photos]
        used = [i for i, p in enumerate(photos) if truth[i] or label_of(p.kind) != label]
        if any(truth):
            table[label] = _figures(
                [[f for f in found[i] if f.label == label] for i in used],
                [truth[i] for i in used],
                [photos[i].group or photos[i].path.name for i in used],
            )
    each = [row["average_precision"] for row in table.values()]
    return {
        "mean_average_precision": rounded(float(np.mean(each))) if each else None,
        "labels": table,
    }


def _figures(
    found: Sequence[Sequence[Found]], truth: Sequence[Sequence[Box]], groups: Sequence[str]
) -> Mapping[str, Any]:
    scores = [np.array([f.score for f in each]) for each in found]
    right = [np.array(assign(f, t), np.bool_) for f, t in zip(found, truth, strict=True)]
    counts = np.array([len(boxes) for boxes in truth])

    def precision(rows: Sequence[int] | Any) -> float:
        every = [np.concatenate([values[i] for i in rows]) for values in (scores, right)]
        return boxes_precision(every[0], every[1].astype(np.bool_), int(counts[rows].sum()))

    drawn = [precision(rows) for rows in resamples(groups) if counts[rows].any()]
    return {
        "boxes": int(counts.sum()),
        "average_precision": rounded(precision(np.arange(len(found)))),
        "average_precision_95": [rounded(v) for v in np.percentile(drawn, [2.5, 97.5])],
        "recall": rounded(sum(int(each.sum()) for each in right) / int(counts.sum())),
    }


def as_lines(figures: Mapping[str, Any]) -> list[str]:
    """Return the figures for people."""
    lines = [
        f"  mean average precision of boxes at {LEAST_OVERLAP} overlap, by Pascal VOC: "
        f"{as_figure(figures['mean_average_precision'])}"
    ]
    for label, row in figures["labels"].items():
        low, high = map(as_figure, row["average_precision_95"])
        lines.append(
            f"    {label}: {as_figure(row['average_precision'])} [{low}, {high}], "
            f"{row['boxes']} boxes, {as_figure(row['recall'])} of them found at any score"
        )
    return lines
