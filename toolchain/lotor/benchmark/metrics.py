"""The figures of a benchmark, each with the interval that resampling whole groups gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lotor.evaluate import DIGITS, Flags, Scores, average_precision, recall_at

RECALL = 0.8
"""The share of positives found, at which precision is told."""
BINS = 15
"""Bins of the calibration error."""

_LEAST, _LEAST_GROUPS = 10, 5


def roc_auc(scores: Scores, positive: Flags) -> float:
    """Return how often a positive scores higher than a negative, equal scores counting half.

    That is the area under the ROC curve (Hanley and McNeil 1982); nan without one of both.

    Args:
        scores: [n], higher means more likely the target.
        positive: bool [n], whether it is the target.
    """
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses:
        return float("nan")
    _, value, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[value]  # from 1; equal scores share their mean
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def precision_curve(
    scores: Scores, positive: Flags, recalls: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the precision where at least these shares (0..1) of the positives are found.

    The threshold is the highest score that finds so many; a photograph alarms when its score >=
    the threshold. Nothing is interpolated; nan without positives.
    """
    found = np.sort(scores[positive])
    if not len(found):
        return np.full(len(recalls), np.nan)
    needed = np.clip(np.ceil(recalls * len(found) - 1e-9).astype(np.int64), 1, len(found))
    thresholds = found[len(found) - needed]
    hits = len(found) - np.searchsorted(found, thresholds)
    return hits / (len(scores) - np.searchsorted(np.sort(scores), thresholds))


def precision_at(scores: Scores, positive: Flags, recall: float = RECALL) -> float:
    """Return the precision where at least this share of the positives is found."""
    return float(precision_curve(scores, positive, np.array([recall]))[0])


@dataclass(frozen=True)
class Bins:
    """Photographs in order of their scores, in bins of equally many.

    Attributes:
        said: mean score of each bin, [bins].
        true: share of positives in it, [bins].
        count: photographs in it, [bins].
    """

    said: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]


def calibration_bins(scores: Scores, positive: Flags, bins: int = BINS) -> Bins:
    """Return bins of equal mass (Nixon et al. 2019, arXiv:1904.01685).

    Photographs with equal scores share their outcomes evenly, so that the order in which they come
    cannot matter where a bin ends between them.
    """
    value, member, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean = np.bincount(member, weights=positive, minlength=len(value)) / count
    order = np.sort(member)  # equal scores are next to each other already
    said, true = value[order], mean[order]
    edges = [len(scores) * index // bins for index in range(bins + 1)]
    parts = [slice(a, b) for a, b in pairwise(edges) if b > a]
    return Bins(
        np.array([said[part].mean() for part in parts]),
        np.array([true[part].mean() for part in parts]),
        np.array([part.stop - part.start for part in parts], np.int64),
    )


def calibration_error(scores: Scores, positive: Flags) -> float:
    """Return the expected calibration error: mean distance of score and truth over the bins.

    Scores are taken for probabilities of the target. Chance alone keeps it above 0, and more so in
    the samples of a bootstrap: its interval leans upwards.
    """
    if not len(scores):
        return float("nan")
    found = calibration_bins(scores, positive)
    return float(np.average(np.abs(found.said - found.true), weights=found.count))


@dataclass(frozen=True)
class Metric:
    """One figure: its title, how it is worked out, and what it takes to mean something.

    Attributes:
        title: in tables.
        of: takes scores and whether each is a positive.
        higher: whether more is better.
        negatives: photographs without the target that it needs at least.
        whole: it means nothing on photographs that were chosen by what is on them.
    """

    title: str
    of: Callable[[Scores, Flags], float]
    higher: bool = True
    negatives: int = 1
    whole: bool = False


METRICS: Mapping[str, Metric] = {
    "average_precision": Metric("average precision", average_precision),
    "roc_auc": Metric("ROC AUC", roc_auc),
    "recall_1": Metric("recall at 1 %", lambda s, p: recall_at(s, p, 0.01), negatives=100),
    "recall_5": Metric("recall at 5 %", lambda s, p: recall_at(s, p, 0.05), negatives=20),
    "precision_80": Metric("precision at 80 % recall", precision_at),
    "calibration_error": Metric("calibration error", calibration_error, higher=False, whole=True),
}
"""By name, in the order of the tables."""


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Return it for JSON."""
        return {
            name: round(float(getattr(self, name)), DIGITS) for name in ("value", "low", "high")
        }


@dataclass(frozen=True)
class Figures:
    """What a scorer got on some photographs.

    Attributes:
        values: by metric.
        samples: by metric, the same on every bootstrap sample, [rounds]; nan where undefined.
    """

    values: dict[str, float]
    samples: dict[str, npt.NDArray[np.float64]]

    def interval(self, metric: str) -> Interval:
        """Return a figure with its 95 % interval: percentiles of the samples."""
        return _interval(self.values[metric], self.samples[metric])

    def minus(self, other: "Figures", metric: str) -> Interval:
        """Return the difference of two scorers on the same samples (the paired bootstrap)."""
        value = self.values[metric] - other.values[metric]
        return _interval(value, self.samples[metric] - other.samples[metric])

    def as_dict(self) -> dict[str, dict[str, float]]:
        """Return all figures for JSON."""
        return {name: self.interval(name).as_dict() for name in self.values}


def _interval(value: float, samples: npt.NDArray[np.float64]) -> Interval:
    known = samples[~np.isnan(samples)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high))


def measure(
    scores: Scores, positive: Flags, draws: Sequence[npt.NDArray[np.int64]], whole: bool = True
) -> Figures:
    """Work out every metric that means something here, on the photographs and on each sample.

    Args:
        scores: of the target, [n].
        positive: bool [n].
        draws: samples as row indices; those of a paired comparison must be the same.
        whole: whether the photographs were not chosen by what is on them.
    """
    negatives = int((~positive).sum())
    chosen = {
        name: metric
        for name, metric in METRICS.items()
        if negatives >= metric.negatives and (whole or not metric.whole)
    }
    values = {name: metric.of(scores, positive) for name, metric in chosen.items()}
    samples = {name: np.full(len(draws), np.nan) for name in chosen}
    for index, rows in enumerate(draws):
        drawn, truth = scores[rows], positive[rows]
        for name, metric in chosen.items():
            samples[name][index] = metric.of(drawn, truth)
    return Figures(values, samples)


def lacking(positive: Flags, groups: Sequence[str], target: str) -> str:
    """Say what is too few for figures that could be trusted; empty where there is enough.

    An interval from a handful of photographs, or of groups, is itself a guess: 10 of each kind
    from 5 groups are asked for.
    """
    for flags, name in ((positive, target), (~positive, f"not {target}")):
        count = int(flags.sum())
        kinds = len({group for group, flag in zip(groups, flags, strict=True) if flag})
        if count < _LEAST or kinds < _LEAST_GROUPS:
            return (
                f"too few: {count} {name} in {kinds} groups; figures take {_LEAST} in "
                f"{_LEAST_GROUPS}"
            )
    return ""
