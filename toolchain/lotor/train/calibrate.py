"""The ranges of a network's tensors, from what they are on photographs.

An estimator makes a range of values that were seen. Clipping a little can lose less than the
coarser steps of a range that holds every value; which one is best differs by model, so measure.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lotor.errors import LotorError
from lotor.suggest import did_you_mean
from lotor.train.layers import Array, Network

_LEVELS = 255  # steps of int8 from its least to its greatest number
_KEPT = 4096  # values of a tensor that are kept of each batch
_CLIPS = [part / 100 for part in range(100, 9, -1)]
_PERCENTILE = 99.99
_BINS = 2048
_LEAST_BINS = 128

Values = npt.NDArray[np.float32]


@dataclass
class Seen:
    """What was seen of one tensor.

    Attributes:
        lows: least value of each batch.
        highs: greatest value of each batch.
        values: some values of each batch, drawn evenly.
    """

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)

    def add(self, batch: Array, rng: np.random.Generator) -> None:
        """Take a batch of the tensor's values into account."""
        flat = batch.reshape(-1)
        self.lows.append(float(flat.min()))
        self.highs.append(float(flat.max()))
        self.values.append(flat[rng.integers(0, flat.size, _KEPT)] if flat.size > _KEPT else flat)

    @property
    def all_values(self) -> Values:
        """All values that were kept."""
        return np.concatenate(self.values)


def min_max(seen: Seen) -> tuple[float, float]:
    """Return a range that holds all that was seen."""
    return min(seen.lows), max(seen.highs)


def average(seen: Seen) -> tuple[float, float]:
    """Return the mean least and mean greatest value of the batches."""
    return float(np.mean(seen.lows)), float(np.mean(seen.highs))


def percentile(seen: Seen) -> tuple[float, float]:
    """Return a range that leaves out one value of ten thousand at either end."""
    low, high = np.percentile(seen.all_values, (100 - _PERCENTILE, _PERCENTILE))
    return float(low), float(high)


def mse(seen: Seen) -> tuple[float, float]:
    """Return the part of the whole range with the least mean squared error of int8.

    One end is moved at a time, twice each.
    """
    values = seen.all_values.astype(np.float64)
    low, high = min(0.0, min(seen.lows)), max(0.0, max(seen.highs))
    if high <= low:
        return low, high

    def error(low: float, high: float) -> float:
        scale = (high - low) / _LEVELS
        zero = np.rint(-low / scale)
        steps = np.clip(np.rint(values / scale) + zero, 0, _LEVELS)
        return float(np.square((steps - zero) * scale - values).mean())

    best_low, best_high = low, high
    for _ in range(2):
        if high > 0:
            best_high = min((clip * high for clip in _CLIPS), key=lambda h: error(best_low, h))
        if low < 0:
            best_low = min((clip * low for clip in _CLIPS), key=lambda b: error(b, best_high))
    return float(best_low), float(best_high)


def entropy(seen: Seen) -> tuple[float, float]:
    """Return the range whose int8 distribution differs least from what was seen.

    By the Kullback-Leibler divergence, over symmetric limits (Migacz, "8-bit Inference with
    TensorRT", 2017); a tensor without negative numbers keeps 0 as its lower limit.
    """
    values = np.abs(seen.all_values)
    low, high = min(0.0, min(seen.lows)), max(0.0, max(seen.highs))
    most = max(-low, high)
    if most <= 0:
        return low, high
    counts = np.histogram(values, _BINS, (0, most))[0].astype(np.float64)
    counts[0] = counts[1]  # a spike at zero, as ReLU makes it, would outweigh all the rest
    best, limit = np.inf, most
    levels = 128 if low < 0 else 256
    for bins in range(max(_LEAST_BINS, levels), _BINS + 1, 16):
        p = counts[:bins].copy()
        p[-1] += counts[bins:].sum()
        edges = np.linspace(0, bins, levels + 1).astype(int)
        q = np.zeros(bins)
        for first, last in itertools.pairwise(edges):
            used = counts[first:last] > 0
            if used.any():
                q[first:last][used] = counts[first:last].sum() / used.sum()
        there = p > 0
        if not q.any() or (q[there] == 0).any():
            continue
        p, q = p / p.sum(), q / q.sum()
        divergence = float((p[there] * np.log(p[there] / q[there])).sum())
        if divergence < best:
            best, limit = divergence, bins * most / _BINS
    return max(low, -limit), min(high, limit)


ESTIMATORS: Mapping[str, Callable[[Seen], tuple[float, float]]] = {
    "min-max": min_max,
    "average": average,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def find_estimator(name: str) -> Callable[[Seen], tuple[float, float]]:
    """Return an estimator by its name."""
    if name not in ESTIMATORS:
        raise LotorError(
            f"no range estimator '{name}'{did_you_mean(name, ESTIMATORS)}: {', '.join(ESTIMATORS)}"
        )
    return ESTIMATORS[name]


def watch(
    network: Network,
    run: Callable[[Array], Mapping[str, Array]],
    batches: Iterable[Array],
    seed: int = 0,
) -> dict[str, Seen]:
    """Run batches through a network and note what its tensors are.

    Args:
        network: whose tensors.
        run: returns all tensors by name for a batch; see `run.FloatNetwork`.
        batches: float32 [n, *input].
        seed: of which values are kept.
    """
    rng = np.random.default_rng(seed)
    seen: dict[str, Seen] = {}
    for batch in batches:
        for name, values in run(batch).items():
            seen.setdefault(name, Seen()).add(values, rng)
    if not seen:
        raise LotorError(f"{network.name}: no photograph to calibrate with")
    return seen


def ranges(
    network: Network,
    seen: Mapping[str, Seen],
    estimator: str = "min-max",
    input_range: tuple[float, float] | None = None,
) -> dict[str, tuple[float, float]]:
    """Return the range of every tensor.

    Args:
        network: the network.
        seen: what `watch` returned.
        estimator: name in `ESTIMATORS`.
        input_range: of the input, which pixels give; estimated like all others when None.
    """
    estimate = find_estimator(estimator)
    found = {name: estimate(of) for name, of in seen.items()}
    # Scores decide by their order, and the greatest are what matters: nothing of them is clipped.
    for name in _scores(network):
        if name in seen:
            found[name] = min_max(seen[name])
    if input_range:
        found[network.input] = input_range
    return found


def _scores(network: Network) -> set[str]:
    """Return the tensors that come out, or that probabilities are made of."""
    return {*network.outputs, *network.heads}
