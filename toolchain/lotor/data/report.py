"""`lotor data report`: what a data set would teach that nobody meant, and where it leaks.

A property that a camera or a collector gave the photographs (size, sharpness, brightness, colour,
shape) must not tell the classes apart: a model finds it sooner than the animal. Each is compared
between every class and all others by the area under the ROC curve: 0.5 tells nothing, 0 and 1 all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor.data.dedupe import MOST_BITS, find_duplicates
from lotor.data.manifest import DataSet, Photo, stats
from lotor.data.split import count, missing
from lotor.errors import LotorError
from lotor.pictures import draw
from lotor.preprocess import Image, read_image
from lotor.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = npt.NDArray[np.float64]

_TELLS = 0.2  # from 0.5: a property that tells this much of a class is worth a warning
_OUTSIDE = 0.3  # part of the others that lies beyond nearly all of a class: as good a tell
_NEARLY = 0.02  # of a class may lie beyond that
_LEAST = 8  # photographs that a class must have to be compared
_SIDE = 96  # pixels: how sharp a photograph is counts at the size that models see
_WORDS = {
    "size": ("smaller", "larger", "short side of the original, pixels"),
    "sharpness": ("blurrier", "sharper", "deviation of the Laplacian at 96x96"),
    "brightness": ("darker", "brighter", "mean grey, 0 to 255"),
    "contrast": ("flatter", "richer in contrast", "deviation of grey"),
    "colour": ("greyer", "more colourful", "mean saturation, 0 to 255"),
    "shape": ("taller", "wider", "width by height"),
}


@dataclass(frozen=True)
class Bias:
    """A property by which a class can be told from the others, or others from it.

    Attributes:
        kind: the class.
        name: of the property.
        auc: how often a photograph of the class has more of it than one of another class, 0..1.
        below: part of the others that have less of it than nearly every one of the class, 0..1.
        above: part that have more.
        median: of the class.
        rest: median of all others.
    """

    kind: str
    name: str
    auc: float
    below: float
    above: float
    median: float
    rest: float

    @property
    def strength(self) -> float:
        """How far it is from telling nothing, 0..0.5."""
        return max(abs(self.auc - 0.5), self.below / 2, self.above / 2)

    def __str__(self) -> str:
        less, more, unit = _WORDS[self.name]
        medians = f"{unit}: median {self.median:.4g} against {self.rest:.4g}"
        if abs(self.auc - 0.5) >= _TELLS:
            word = more if self.auc > 0.5 else less
            return (
                f"{self.kind} is {word} than the rest in {max(self.auc, 1 - self.auc):.0%} of all "
                f"pairs ({medians})"
            )
        share = max(self.below, self.above)
        word, other = (more, less) if self.below >= self.above else (less, more)
        return (
            f"nearly every {self.kind} is {word} than {share:.0%} of the rest ({medians}): what is "
            f"{other} is never one"
        )


@dataclass(frozen=True)
class Report:
    """What was found in a data set.

    Attributes:
        counts: what `stats` says.
        values: by property, [photographs].
        kinds: class of each photograph.
        biases: the strongest first.
        leaks: near duplicates in two splits, in words.
        odd: near duplicates of two classes, in words.
        lacking: classes and splits that are missing.
    """

    counts: dict[str, Any]
    values: dict[str, Values]
    kinds: list[str]
    biases: list[Bias]
    leaks: list[str]
    odd: list[str]
    lacking: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        medians = {
            kind: {
                name: round(float(np.median(v[self._of(kind)])), 3)
                for name, v in self.values.items()
            }
            for kind in sorted(set(self.kinds))
        }
        return {
            **self.counts,
            "medians": medians,
            "biases": [{**vars(bias), "says": str(bias)} for bias in self.biases],
            "leaks": self.leaks,
            "contradictions": self.odd,
            "missing": self.lacking,
        }

    def _of(self, kind: str) -> npt.NDArray[np.bool_]:
        return np.array([other == kind for other in self.kinds])

    def __str__(self) -> str:
        names = list(_WORDS)
        width = max(map(len, self.kinds)) + 2
        lines = ["medians".ljust(width) + "".join(f"{name:>11}" for name in names)]
        for kind, row in self.as_dict()["medians"].items():
            lines.append(kind.ljust(width) + "".join(f"{row[name]:>11.4g}" for name in names))
        lines += [f"({name}: {unit})" for name, (_, _, unit) in _WORDS.items()]
        for title, found in (
            ("bias", [str(bias) for bias in self.biases]),
            ("leak", self.leaks),
            ("contradiction", self.odd),
            ("warning", self.lacking),
        ):
            lines += [f"{title}: {text}" for text in found[:20]]
            if len(found) > 20:
                lines.append(f"... and {len(found) - 20} more of these")
        if self.biases:
            lines.append(
                "a model finds a bias sooner than the animal: collect photographs that lack it, or "
                "train with augmentation that hides it (softening, noise, colour)"
            )
        if not (self.biases or self.leaks or self.odd or self.lacking):
            lines.append("no bias, leak or contradiction was found")
        return "\n".join(lines)


def report(data: DataSet, bits: int = MOST_BITS) -> Report:
    """Look through a data set.

    Args:
        data: the data set; every file is read.
        bits: in which near duplicates' hashes differ at most.

    Raises:
        LotorError: a file is missing or damaged.
    """
    rows = []
    with Progress("looking", len(data.photos), "photographs") as progress:
        for photo in data.photos:
            rows.append(_properties(photo, read_image(photo.path)))
            progress.advance()
    values = {name: np.array([row[name] for row in rows]) for name in _WORDS}
    kinds = [photo.kind for photo in data.photos]
    pairs = find_duplicates(data.photos, bits)
    return Report(
        stats(data),
        values,
        kinds,
        find_biases(values, kinds),
        [_pair(p.a, p.b, "split") for p in pairs if p.leaks],
        [_pair(p.a, p.b, "kind") for p in pairs if p.contradicts],
        missing(count(data.photos)),
    )


def _pair(a: Photo, b: Photo, what: str) -> str:
    return (
        f"{a.path.name} ({getattr(a, what)}) and {b.path.name} ({getattr(b, what)}) are nearly "
        "the same"
    )


def _properties(photo: Photo, image: Image) -> dict[str, float]:
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return {
        "size": photo.native_short_side,
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_64F).std()),
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "colour": float(cv2.cvtColor(small, cv2.COLOR_BGR2HSV)[..., 1].mean()),
        "shape": image.shape[1] / image.shape[0],
    }


def find_biases(values: dict[str, Values], kinds: Sequence[str]) -> list[Bias]:
    """Return the properties that tell a class from all others, the strongest first.

    Args:
        values: by property, float64[photographs].
        kinds: the class of each.
    """
    told = np.asarray(kinds)
    found = []
    for kind in sorted(set(kinds)):
        chosen = told == kind
        if min(chosen.sum(), (~chosen).sum()) < _LEAST:
            continue
        for name, row in values.items():
            low, high = np.quantile(row[chosen], (_NEARLY, 1 - _NEARLY))
            bias = Bias(
                kind,
                name,
                round(area_under_roc(row, chosen), 4),
                round(float((row[~chosen] < low).mean()), 4),
                round(float((row[~chosen] > high).mean()), 4),
                float(np.median(row[chosen])),
                float(np.median(row[~chosen])),
            )
            if abs(bias.auc - 0.5) >= _TELLS or max(bias.below, bias.above) >= _OUTSIDE:
                found.append(bias)
    return sorted(found, key=lambda bias: -bias.strength)


def area_under_roc(values: Values, positive: npt.NDArray[np.bool_]) -> float:
    """Return how often a positive has the larger value than a negative, ties by half, 0..1.

    The Mann-Whitney statistic (Hanley and McNeil, "The meaning and use of the area under a ROC
    curve", 1982).
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def save(found: Report, file: Path) -> None:
    """Draw how each property is spread in each class."""
    if not found.kinds:
        raise LotorError("nothing to draw: no photographs")
    draw(partial(_figure, found), file)


def _figure(found: Report) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    kinds = sorted(set(found.kinds))
    figure = Figure(figsize=(13, 3 + 0.5 * len(kinds)), layout="constrained")
    axes = figure.subplots(2, 3, sharey=True).flat
    for axis, (name, row) in zip(axes, found.values.items(), strict=True):
        groups = [row[np.asarray(found.kinds) == kind] for kind in kinds]
        axis.boxplot(groups, orientation="horizontal", tick_labels=kinds, whis=(5, 95), sym="")
        axis.set_title(f"{name}: {_WORDS[name][2]}", fontsize=9)
        axis.tick_params(labelsize=8)
        if name == "size":
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(ScalarFormatter())
    return figure
