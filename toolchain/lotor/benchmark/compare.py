"""Whether one scorer is better than another: paired differences, and what became worse."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lotor.benchmark.metrics import METRICS, Figures, Interval
from lotor.evaluate import DIGITS

BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"


@dataclass(frozen=True)
class Difference:
    """How a figure of one scorer differs from another's on the same photographs.

    Attributes:
        metric: its name.
        before: the other's figure.
        now: this one's.
        change: `now` - `before`, with the paired bootstrap's interval.
    """

    metric: str
    before: float
    now: float
    change: Interval

    @property
    def verdict(self) -> str:
        """`better` or `worse` where all of the interval lies on one side of 0."""
        low, high = self.change.low, self.change.high
        if not METRICS[self.metric].higher:
            low, high = -high, -low
        if low > 0:
            return BETTER
        return WORSE if high < 0 else UNCLEAR

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        numbers = {"before": round(self.before, DIGITS), "now": round(self.now, DIGITS)}
        return numbers | {"change": self.change.as_dict(), "verdict": self.verdict}


def differences(now: Figures, before: Figures) -> dict[str, Difference]:
    """Return how each figure that both have differs."""
    return {
        name: Difference(name, before.values[name], now.values[name], now.minus(before, name))
        for name in now.values
        if name in before.values
    }


@dataclass(frozen=True)
class Regression:
    """A watched figure that became worse beyond its interval."""

    variant: str
    subset: str
    metric: str
    before: float
    now: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            name: round(value, DIGITS) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return (
            f"{self.variant}, {self.subset}: {METRICS[self.metric].title} {self.before:.3f} -> "
            f"{self.now:.3f} (change {self.now - self.before:+.3f} [{self.low:+.3f}, "
            f"{self.high:+.3f}])"
        )


def regressions(
    found: Mapping[str, Mapping[str, Mapping[str, Difference]]], watched: Sequence[str]
) -> list[Regression]:
    """Return what became worse: by variant, subset and metric, of the metrics that are watched."""
    worse = []
    for variant, parts in found.items():
        for subset, table in parts.items():
            for name in watched:
                if name in table and table[name].verdict == WORSE:
                    one = table[name]
                    numbers = (one.before, one.now, one.change.low, one.change.high)
                    worse.append(Regression(variant, subset, name, *numbers))
    return worse
