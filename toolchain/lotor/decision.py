"""From which score on to alarm: where mistakes cost least, by what each is said to cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.zoo import ModelFile

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_COST = "least cost"
"""What the chosen threshold is called among others."""


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, in any unit, and how common the target is.

    Attributes:
        false_alarm: of an alarm at a frame without the target.
        miss: of none at a frame with it.
        prior: share of the frames with the target, 0..1.
    """

    false_alarm: float
    miss: float
    prior: float

    def expected(self, recall: Scores | float, false_alarms: Scores | float) -> Any:
        """Return the cost of a frame on average, for shares 0..1."""
        missed = self.prior * self.miss * (1 - recall)
        return missed + (1 - self.prior) * self.false_alarm * false_alarms


def cheapest(scores: Scores, positive: Flags, costs: Costs) -> float:
    """Return the threshold of the least expected cost; what has it as its score alarms.

    It lies in the middle between two scores that occurred; the highest of equally good ones. It is
    0 where everything ought to alarm, and above all scores (and 1) where nothing ought to.

    Args:
        scores: of the target, [n].
        positive: bool [n], whether it is the target; there must be both.
        costs: what a mistake costs.
    """
    values, place = np.unique(scores, return_inverse=True)
    hits = np.bincount(place, positive, minlength=len(values))
    alarms = np.bincount(place, ~positive, minlength=len(values))
    # From each value on upwards, and from above all of them.
    recall = np.append(np.cumsum(hits[::-1])[::-1], 0) / positive.sum()
    false_alarms = np.append(np.cumsum(alarms[::-1])[::-1], 0) / (~positive).sum()
    middles = (values[:-1] + values[1:]) / 2
    above = np.nextafter(max(1.0, values[-1]), np.inf)
    thresholds = np.concatenate([[0.0], middles, [above]])
    cost = costs.expected(recall, false_alarms)
    best = np.flatnonzero(cost <= cost.min() + 1e-12)[-1]
    return float(thresholds[best])


def choose(
    scores: Scores,
    positive: Flags,
    groups: Sequence[str],
    costs: Costs,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return the cheapest threshold, with what it does and how sure it is; call it on val.

    Args:
        scores: of the target, [n].
        positive: bool [n].
        groups: of each; whole groups are resampled for the 95 % intervals.
        costs: what a mistake costs.
        rounds: of resampling.
        seed: of it.

    Returns:
        `threshold`, `cost` (of a frame on average), `recall`, `false_alarms`, `threshold_95` (of
        the cheapest in each resample), `cost_95` (of this threshold), `cost_silent` (of no alarm
        at all). None where val lacks the target, or anything else.
    """
    if positive.all() or not positive.any():
        return None
    threshold = cheapest(scores, positive, costs)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        chosen = np.concatenate([rows[i] for i in rng.integers(len(names), size=len(names))])
        s, p = scores[chosen], positive[chosen]
        if p.any() and not p.all():
            found.append((cheapest(s, p, costs), _cost(s, p, threshold, costs)))
    low, high = np.percentile(found, [2.5, 97.5], axis=0) if found else np.full((2, 2), np.nan)
    return {
        "threshold": threshold,
        "cost": round(_cost(scores, positive, threshold, costs), 6),
        "recall": round(float((scores[positive] >= threshold).mean()), 6),
        "false_alarms": round(float((scores[~positive] >= threshold).mean()), 6),
        "threshold_95": [round(float(v[0]), 6) for v in (low, high)],
        "cost_95": [round(float(v[1]), 6) for v in (low, high)],
        "cost_silent": round(float(costs.expected(0.0, 0.0)), 6),
    }


def _cost(scores: Scores, positive: Flags, threshold: float, costs: Costs) -> float:
    alarms = scores >= threshold
    return float(costs.expected(float(alarms[positive].mean()), float(alarms[~positive].mean())))


def stated(recipe: Mapping[str, Any]) -> Costs | None:
    """Return the costs that a recipe's `[decision]` states; None where it states none."""
    table = recipe.get("decision", {})
    if not table.get("prior"):
        return None
    return Costs(
        float(table.get("false_alarm_cost", 1.0)),
        float(table.get("miss_cost", 1.0)),
        float(table["prior"]),
    )


@dataclass(frozen=True)
class Chosen:
    """What training chose on val for a model, as its metrics.json has it.

    Attributes:
        thresholds: of the target's score, by what they are for; empty where nothing was chosen.
        unknown: the score of `ood.py` beyond which an image is unlike all known ones; else None.
    """

    thresholds: Mapping[str, float]
    unknown: float | None = None

    @property
    def alarm(self) -> float | None:
        """The target's score from which on to alarm; None where costs were not stated."""
        return self.thresholds.get(LEAST_COST)

    def is_unknown(self, unlike: float | None) -> bool:
        """Return whether an input with this score of `ood.py` is unlike all known ones."""
        return unlike is not None and self.unknown is not None and unlike > self.unknown


NOTHING = Chosen({})
"""Of a model that came without."""


def read_chosen(model: ModelFile, views: bool = False) -> Chosen:
    """Return what training chose for a model, for the full frame or for views of it.

    Ten views alarm more often than one, so that they have thresholds of their own.
    """
    try:
        metrics = json.loads(model.path.with_name("metrics.json").read_text("utf-8"))
        part = "views" if views else "full"
        table = metrics.get("thresholds_views" if views else "thresholds", {})
        thresholds = {str(name): float(value) for name, value in table.items()}
        if found := metrics.get("decision", {}).get(part):
            thresholds[LEAST_COST] = float(found["threshold"])
        limit = metrics.get("ood", {}).get("threshold")
        return Chosen(thresholds, None if limit is None else float(limit))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return NOTHING
