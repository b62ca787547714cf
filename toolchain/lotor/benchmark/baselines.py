"""What a model must beat to be worth its flash: scorers that hardly look at a photograph."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.evaluate import Flags, Scores
from lotor.preprocess import Image, read_image
from lotor.progress import Progress

_LEVELS = 4  # of each channel
_SIDE = 96  # pixels
_RIDGE = 1.0
_MOST_STEPS = 100


def always_background(photos: Sequence[Photo]) -> Scores:
    """Return the scores of who never sees the target: 0 for each photograph, [n]."""
    return np.zeros(len(photos))


def colour_histogram(
    train: Sequence[Photo], photos: Sequence[Photo], is_target: Callable[[str], bool]
) -> Scores:
    """Return the probabilities of a logistic regression on colours alone, [n].

    Args:
        train: photographs to learn from.
        photos: photographs to score.
        is_target: whether a class is the target.

    Raises:
        LotorError: the target, or anything else, is not among those to learn from.
    """
    truth = np.array([is_target(photo.kind) for photo in train], np.bool_)
    if truth.all() or not truth.any():
        raise LotorError(
            "the baseline colour-histogram learns from the train split, which needs photographs "
            f"with the target and without: {int(truth.sum())} of {len(truth)} have it; or leave "
            "it out of benchmark.toml"
        )
    weights = fit_logistic(_histograms(train), truth)
    return predict_logistic(weights, _histograms(photos))


def histogram(image: Image) -> npt.NDArray[np.float64]:
    """Return the square root of a BGR image's joint colour histogram, [64]; its length is 1.

    The photograph is shrunk to 96x96 pixels and every channel is divided into 4 levels. With the
    root, distances are Hellinger's (Arandjelovic and Zisserman 2012, section 2).
    """
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    levels = np.asarray(small, np.int64) * _LEVELS // 256
    joint = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    counts = np.bincount(joint.reshape(-1), minlength=_LEVELS**3)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float64)


def _histograms(photos: Sequence[Photo]) -> npt.NDArray[np.float64]:
    rows = []
    with Progress("colours of", len(photos), "photographs") as progress:
        for photo in photos:
            rows.append(histogram(read_image(photo.path)))
            progress.advance()
    return np.stack(rows)


def fit_logistic(
    features: npt.NDArray[np.float64], truth: Flags, ridge: float = _RIDGE
) -> npt.NDArray[np.float64]:
    """Return the weights of a logistic regression, the constant last: [features + 1].

    Newton's method (iteratively reweighted least squares: Bishop, Pattern Recognition and Machine
    Learning, section 4.3.3) on the log loss plus `ridge` / 2 times the squared weights, without
    the constant. A step that does not lower that is halved, so it always arrives.

    Args:
        features: [n, features].
        truth: bool [n].
        ridge: how strongly weights are held small.
    """
    rows = np.column_stack([features, np.ones(len(features))])
    held = np.full(rows.shape[1], ridge)
    held[-1] = 0.0
    weights = np.zeros(rows.shape[1])

    def loss(w: npt.NDArray[np.float64]) -> float:
        said = rows @ w
        return float(np.sum(np.logaddexp(0, said) - truth * said) + (held * w**2).sum() / 2)

    for _ in range(_MOST_STEPS):
        chance = _sigmoid(rows @ weights)
        slope = rows.T @ (chance - truth) + held * weights
        curve = (rows.T * (chance * (1 - chance))) @ rows + np.diag(held)
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(curve)), slope)
        now, size = loss(weights), 1.0
        while loss(weights - size * step) > now and size > 1e-6:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return weights


def predict_logistic(weights: npt.NDArray[np.float64], features: npt.NDArray[np.float64]) -> Scores:
    """Return the probability of the target for each row of features, [n]."""
    return _sigmoid(features @ weights[:-1] + weights[-1])


def _sigmoid(value: npt.NDArray[np.float64]) -> Scores:
    return np.asarray(np.exp(-np.logaddexp(0, -value)), np.float64)
