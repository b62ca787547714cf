"""A benchmark drawn: precision and recall, confusion, scores and how far they can be believed."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lotor.benchmark.metrics import calibration_bins, precision_curve
from lotor.benchmark.run import MAIN, Run
from lotor.evaluate import confusion
from lotor.pictures import rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#3d7ebf", "#c8102e", "#8ac17e", "#f2b950", "#7d5fb2", "#8c6d46")
_GREY = "#777777"
_FONT = 8.5  # points
_BANDED = (MAIN, f"{MAIN}-views")  # more bands would hide each other


def draw(run: Run, files: Mapping[str, Path]) -> dict[Path, bytes]:
    """Draw all pictures as SVG; return the content of their files.

    Args:
        run: what to draw.
        files: one for each of `FIGURES`.

    Raises:
        LotorError: matplotlib is not installed.
    """
    return {path: rendered(partial(FIGURES[name], run), path) for name, path in files.items()}


def precision_recall(run: Run) -> "Figure":
    """Return the curves of all variants and baselines, the 95 % interval shaded for int8."""
    from matplotlib.figure import Figure

    drawn = Figure((6.4, 4.4), layout="constrained")
    axes = drawn.add_subplot()
    recalls = np.linspace(0.01, 1, 100)
    for colour, (name, variant) in zip(_COLOURS, run.variants.items(), strict=False):
        scores = variant.scored.scores[:, run.target]
        positive = variant.scored.truth == run.target
        curve = precision_curve(scores, positive, recalls)
        axes.step(recalls, curve, where="pre", color=colour, label=variant.where, linewidth=1.4)
        if name in _BANDED and "all" in run.draws:
            draws = [
                precision_curve(scores[rows], positive[rows], recalls) for rows in run.draws["all"]
            ]
            known = np.stack(draws)[~np.isnan(np.stack(draws)).any(axis=1)]
            low, high = np.percentile(known, [2.5, 97.5], axis=0)
            axes.fill_between(recalls, low, high, step="pre", color=colour, alpha=0.15, linewidth=0)
    for style, (name, baseline) in zip(("--", ":", "-."), run.baselines.items(), strict=False):
        curve = precision_curve(baseline, run.positive, recalls)
        axes.step(recalls, curve, where="pre", color=_GREY, linestyle=style, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=f"recall of {run.labels[run.target]}")
    axes.set_ylabel("precision")
    drawn.legend(fontsize=_FONT, frameon=False, loc="outside lower center", ncols=2)
    _plain(axes)
    return drawn


def confusions(run: Run) -> "Figure":
    """Return the confusion matrices of int8, and of int8 with views where that was measured."""
    from matplotlib.figure import Figure

    shown = [run.variants[name] for name in _BANDED if name in run.variants]
    size, labels = 1.4 + 0.62 * len(run.labels), [name.replace("_", " ") for name in run.labels]
    drawn = Figure(((size + 0.9) * len(shown), size + 0.5), layout="constrained")
    for index, variant in enumerate(shown):
        axes = drawn.add_subplot(1, len(shown), index + 1)
        said = variant.scored.scores.argmax(axis=1)
        table = np.array(confusion(variant.scored.truth, said, len(labels)))
        share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(table.shape):
            text = f"{table[row, column]}\n{share[row, column]:.0%}"
            ink = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=_FONT)
        axes.set_xticks(range(len(labels)), labels, fontsize=_FONT, rotation=30, ha="right")
        axes.set_yticks(range(len(labels)), labels, fontsize=_FONT)
        axes.set(xlabel="said", ylabel="true")
        axes.set_title(variant.where, fontsize=_FONT + 1, loc="left")
        axes.tick_params(length=0)
    return drawn


def scores(run: Run) -> "Figure":
    """Return the histogram of int8's scores, and how often they are right."""
    from matplotlib.figure import Figure

    drawn = Figure((8.4, 3.6), layout="constrained")
    left, right = drawn.subplots(1, 2)
    target, found = run.labels[run.target], run.variants[MAIN].scored.scores[:, run.target]
    edges = np.linspace(0, 1, 21)
    for chosen, colour, name in (
        (~run.positive, _GREY, f"not {target}"),
        (run.positive, _COLOURS[0], target),
    ):
        left.hist(found[chosen], edges, color=colour, alpha=0.65, label=name)
    left.set(xlabel=f"score of {target}", ylabel="photographs", yscale="log", xlim=(0, 1))
    left.yaxis.set_major_formatter("{x:g}")
    left.legend(fontsize=_FONT, frameon=False)
    bins = calibration_bins(found, run.positive)
    right.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    right.plot(bins.said, bins.true, color=_COLOURS[0], marker="o", markersize=4)
    right.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=f"mean score, {len(bins.count)} equal bins")
    right.set_ylabel(f"share of {target}")
    _plain(left)
    _plain(right)
    return drawn


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_FONT)


FIGURES: Mapping[str, Callable[[Run], "Figure"]] = {
    "precision-recall": precision_recall,
    "confusion": confusions,
    "scores": scores,
}
"""By the end of their file's name."""
