"""Probabilities that mean what they say: how far they are from it, and the temperature that mends.

Temperature scaling and the calibration error are those of Guo et al., "On Calibration of Modern
Neural Networks" (arXiv:1706.04599), with bins of equal mass in place of equal width.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

BINS = 15
_COLDEST, _HOTTEST = 0.05, 20.0
_HALVINGS = 60


def softmax(logits: Values, temperature: float = 1.0) -> Values:
    """Return the probabilities of logits [n, labels] that a temperature divides."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def prior_weights(truth: Labels, prior: Sequence[float] | None) -> Values:
    """Return what each photograph counts, [n], so that labels have the shares of `prior`.

    Args:
        truth: label of each, [n].
        prior: share of each label, [labels]; None: those that the photographs have.
    """
    if prior is None:
        return np.ones(len(truth))
    counts = np.bincount(truth, minlength=len(prior))
    each = np.asarray(prior, np.float64) / np.maximum(counts, 1)
    weights = each[truth]
    return np.asarray(weights * len(truth) / weights.sum())


def calibration_error(
    scores: Values, truth: Labels, weights: Values | None = None, bins: int = BINS
) -> float:
    """Return the expected calibration error of the likeliest label, 0..1; nan without photographs.

    Photographs are put into bins of equal mass by their largest probability, equal ones together;
    in each the mean probability is compared with the share that is right.

    Args:
        scores: probabilities [n, labels].
        truth: label of each, [n].
        weights: what each counts, [n]; all alike when None.
        bins: at most so many.
    """
    if not len(truth):
        return float("nan")
    weights = np.ones(len(truth)) if weights is None else weights
    sure, right = scores.max(axis=1), (scores.argmax(axis=1) == truth).astype(np.float64)
    values, place = np.unique(sure, return_inverse=True)
    mass = np.bincount(place, weights, minlength=len(values))
    below = np.cumsum(mass) - mass
    # A hair more than rounding, so that a boundary falls to the bin above it.
    which = np.floor(bins * below / mass.sum() + 1e-9).astype(int)[place]
    difference = np.bincount(which, weights * (sure - right), minlength=bins)
    return float(np.abs(difference).sum() / weights.sum())


def log_loss(
    logits: Values, truth: Labels, temperature: float = 1.0, weights: Values | None = None
) -> float:
    """Return the mean negative log likelihood of the labels, in nats."""
    weights = np.ones(len(truth)) if weights is None else weights
    scaled = logits / temperature
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    found = total - scaled[np.arange(len(truth)), truth]
    return float((weights * found).sum() / weights.sum())


def fit_temperature(logits: Values, truth: Labels, weights: Values | None = None) -> float:
    """Return the temperature, 0.05..20, with the least negative log likelihood.

    The likelihood is concave in 1 / temperature: its slope is halved down to zero.

    Args:
        logits: [n, labels].
        truth: label of each, [n].
        weights: what each counts, [n]; all alike when None.
    """
    weights = np.ones(len(truth)) if weights is None else weights
    true = logits[np.arange(len(truth)), truth]

    def slope(inverse: float) -> float:
        expected = (softmax(logits * inverse) * logits).sum(axis=1)
        return float((weights * (expected - true)).sum())

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / float(np.sqrt(low * high))
