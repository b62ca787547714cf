"""How unlike everything known an image is: scores that a device can compute, higher = more unlike.

Cheap ones need what a classifier puts out anyway; those of features need what is before its last
layer. `benchmarks/ood.py` compares them; a model gets the best of those as a second output, see
`train/finish.py`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_ALIVE = 1e-4  # of the mean variance

ACCEPTED = 0.95
"""Share of the known photographs (val) that a threshold takes for known."""


def least_sure(scores: Values) -> Values:
    """Return 1 less the largest probability (Hendrycks and Gimpel, arXiv:1610.02136).

    Args:
        scores: probabilities [..., labels].

    Returns:
        0..1, of the shape before the last axis.
    """
    return np.asarray(1.0 - scores.max(axis=-1), np.float64)


def energy(logits: Values, temperature: float = 1.0) -> Values:
    """Return the free energy of logits [..., labels] (Liu et al., arXiv:2010.03759)."""
    scaled = logits / temperature
    top = scaled.max(axis=-1)
    total = np.exp(scaled - top[..., None]).sum(axis=-1)
    return np.asarray(-temperature * (top + np.log(total)), np.float64)


def small_logit(logits: Values) -> Values:
    """Return the negative of the largest of logits [..., labels] (arXiv:1911.11132)."""
    return np.asarray(-logits.max(axis=-1), np.float64)


def small_norm(features: Values) -> Values:
    """Return the negative length of features [..., channels]."""
    return np.asarray(-np.sqrt(np.square(features).sum(axis=-1)), np.float64)


@dataclass(frozen=True)
class Distance:
    """Squared Mahalanobis distance to the nearest label's mean (Lee et al., arXiv:1807.03888).

    Attributes:
        means: of every label, [labels, channels].
        precision: inverse of the covariance that all labels share, [channels, channels].
    """

    means: Values
    precision: Values

    @staticmethod
    def of(features: Values, truth: npt.NDArray[np.int64], diagonal: bool = False) -> "Distance":
        """Return the one for known features.

        Args:
            features: [n, channels].
            truth: label of each, [n].
            diagonal: take channels as independent: a number a channel instead of a table.
        """
        labels = np.unique(truth)
        means = np.stack([features[truth == label].mean(axis=0) for label in labels])
        rest = features - means[np.searchsorted(labels, truth)]
        covariance = rest.T @ rest / len(rest)
        # A channel that is always 0 has no variance; a little of the mean one stands for it.
        covariance += np.eye(len(covariance)) * 1e-3 * np.trace(covariance) / len(covariance)
        if diagonal:
            covariance = np.diag(np.diag(covariance))
        return Distance(means, np.linalg.inv(covariance))

    def __call__(self, features: Values) -> Values:
        """Return the distance of features [n, channels], [n]."""
        apart = features[:, None] - self.means
        return np.asarray(
            np.einsum("nlc,cd,nld->nl", apart, self.precision, apart, optimize=True).min(axis=1)
        )


def still_directions(known: Values, count: int) -> tuple[Values, Values]:
    """Return weights [count, channels] and bias [count] of features, whitened where they lie still.

    Those directions in which known features vary least, but do: all of them would give the
    Mahalanobis distance to one mean for all labels (arXiv:2003.00402), and the last ones give
    nearly as much. Over what is known each has mean 0 and variance 1; where there are fewer than
    `count`, the last ones are always 0.

    Args:
        known: features [n, channels].
        count: of directions.
    """
    mean = known.mean(axis=0)
    apart = known - mean
    values, vectors = np.linalg.eigh(apart.T @ apart / len(known))  # ascending
    # Nothing is told by channels that are always 0, nor by more directions than photographs.
    alive = np.flatnonzero(values > _ALIVE * values.mean())
    chosen = alive[:count]
    weights = np.zeros((count, known.shape[1]))
    weights[: len(chosen)] = (vectors[:, chosen] / np.sqrt(values[chosen])).T
    return weights, -(weights @ mean)


def threshold(known: Values, accepted: float = ACCEPTED) -> float:
    """Return the least score that at least this share of known ones [n] does not exceed."""
    ordered = np.sort(known)
    return float(ordered[max(0, int(np.ceil(accepted * len(ordered))) - 1)])


def steps_within(threshold: float, count: int, scale: float) -> int:
    """Return the largest sum of squares of a second output, in steps, that a threshold accepts.

    It is -1 for a threshold below 0, which accepts none.

    Args:
        threshold: of the mean square.
        count: of values in that output.
        scale: of a step.
    """
    steps = math.floor(threshold * count / scale**2) + 1
    while steps >= 0 and steps * scale**2 / count > threshold:  # as the mean is rounded
        steps -= 1
    return steps


def choose(known: Values) -> dict[str, Any]:
    """Return the threshold of a model's second output that accepts 95 % of known photographs.

    Args:
        known: its mean square for each of them, [n].

    Returns:
        `threshold`, `accepted` (of `known`), `median`.
    """
    limit = threshold(known)
    return {
        "threshold": limit,
        "accepted": round(float((known <= limit).mean()), 6),
        "median": round(float(np.median(known)), 6),
    }
