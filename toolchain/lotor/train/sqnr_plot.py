"""What quantization costs each layer, as bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lotor.pictures import draw
from lotor.train.sqnr import WORST, LayerNoise, worst

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _MOST, _WIDTH = 0.22, 60.0, 10.5  # inches
_FONT = 8.0  # points
# Lightness differs, too, for who sees no colours.
_TOTAL, _OWN, _BAD = "#3d7ebf", "#f2b950", "#c8102e"


def save(found: Sequence[LayerNoise], title: str, path: Path) -> None:
    """Draw the ratios of all layers to a file.

    Raises:
        LotorError: see `lotor.pictures.draw`.
    """
    draw(lambda: figure(found, title), path)


def figure(found: Sequence[LayerNoise], title: str) -> "Figure":
    """Return the bars as a figure of matplotlib: of layer L `layer-L-total` and `layer-L-own`."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    drawn = Figure((_WIDTH, min(_MOST, 1.5 + _ROW * len(found))), layout="constrained")
    axes = drawn.add_subplot()
    bad = {layer.name for layer in worst(found)}
    for row, layer in enumerate(found):
        own = _BAD if layer.name in bad else _OWN
        for part, size, offset, colour in (
            ("own", layer.own, -0.2, own),
            ("total", layer.total, 0.2, _TOTAL),
        ):
            (bar,) = axes.barh(row + offset, max(0.0, size), height=0.38, color=colour)
            bar.set_gid(f"layer-{row}-{part}")
    axes.set_yticks(range(len(found)), [layer.name for layer in found], fontsize=_FONT)
    longest = max([1.0, *(max(layer.total, layer.own) for layer in found)])
    axes.set(ylim=(len(found) - 0.4, -0.6), xlim=(0, 1.35 * longest))  # room for the legend
    axes.set_xlabel("signal over noise, dB", fontsize=_FONT + 1)
    axes.tick_params(axis="x", labelsize=_FONT)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        handles=[
            Patch(color=_OWN, label="the layer's own noise"),
            Patch(color=_BAD, label=f"the same, the worst {WORST}"),
            Patch(color=_TOTAL, label="all noise"),
        ],
        loc="lower right",
        frameon=False,
        fontsize=_FONT,
    )
    axes.set_title(title, loc="left", fontsize=11)
    return drawn
