"""A profile as bars: what every layer took."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lotor.graph import short_name
from lotor.pictures import draw, in_terminal
from lotor.profiling import LayerTime, Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a bar is made of: name, sign in letters, colour of a terminal, colour in a file. The colours
# differ in lightness, too, for who sees none.
_PARTS = (
    ("instructions", "#", 75, "#3d7ebf"),
    ("loads and stores", "+", 222, "#f2b950"),
    ("taken branches", "=", 114, "#8ac17e"),
    ("stalls and others", "*", 203, "#c8102e"),
)


def parts(layer: LayerTime, unit: str) -> list[tuple[str, int]]:
    """Return what a layer's bar is made of: estimated cycles, else the board's ticks."""
    if layer.cycles_parts is None:
        return [(unit, layer.ticks)]
    found = layer.cycles_parts
    sizes = (found.instructions, found.memory, found.branches, found.stalls + found.other)
    return [(name, size) for (name, *_), size in zip(_PARTS, sizes, strict=True)]


def for_terminal(found: Profile) -> str:
    """Return the bars for standard output: in colour, as wide as it is, if it is a terminal."""
    return in_terminal(partial(as_text, found))


def as_text(found: Profile, columns: int = 80, colour: bool = False) -> str:
    """Return the bars for a terminal.

    Args:
        found: the profile.
        columns: letters in a line at most.
        colour: blocks in the colours of a terminal; else a letter for every part.
    """
    names = [_label(layer) for layer in found.layers]
    sizes = [f"{_size(layer):,}" for layer in found.layers]
    left = max([4, *map(len, names)])
    right = max([4, *map(len, sizes)])
    room = max(8, columns - left - right - 2)
    longest = max([1, *map(_size, found.layers)])
    lines = []
    for layer, name, size in zip(found.layers, names, sizes, strict=True):
        bar = _bar([part for _, part in parts(layer, found.tick_unit)], longest, room, colour)
        lines.append(f"{name:<{left}} {size:>{right}} {bar}".rstrip())
    if found.cycles_estimate is not None:
        lines.append(
            "  ".join(
                f"\x1b[38;5;{tint}m█\x1b[0m {name}" if colour else f"{sign} {name}"
                for name, sign, tint, _ in _PARTS
            )
        )
    return "\n".join(lines)


def _label(layer: LayerTime) -> str:
    return f"{layer.index:3} {layer.kernel}"


def _size(layer: LayerTime) -> int:
    return layer.ticks if layer.cycles_estimate is None else layer.cycles_estimate


def _bar(sizes: Sequence[int], longest: int, room: int, colour: bool) -> str:
    """Return a bar; where every part ends is rounded, so that its length is right."""
    text, reached, drawn = "", 0, 0
    for size, (_, sign, tint, _) in zip(sizes, _PARTS, strict=False):
        reached += size
        end = round(reached * room / longest)
        length = max(0, end - drawn)
        drawn += length
        if length:
            text += f"\x1b[38;5;{tint}m{'█' * length}\x1b[0m" if colour else sign * length
    return text


def save(found: Profile, path: Path) -> None:
    """Draw the bars to a file; the same profile gives the same bytes.

    Raises:
        LotorError: see `lotor.pictures.draw`.
    """
    draw(lambda: figure(found), path)


_ROW, _MOST, _WIDTH = 0.22, 60.0, 10.5  # inches
_FONT = 8.0  # points


def figure(found: Profile) -> "Figure":
    """Return the bars as a figure of matplotlib.

    Part P (counted from 0) of the bar of layer L has the id `layer-L-P`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    layers = found.layers
    drawn = Figure((_WIDTH, min(_MOST, 1.5 + _ROW * len(layers))), layout="constrained")
    axes = drawn.add_subplot()
    longest = max([1, *map(_size, layers)])
    shown = 1
    for row, layer in enumerate(layers):
        start, pieces = 0, parts(layer, found.tick_unit)
        shown = max(shown, len(pieces))
        for index, (_, size) in enumerate(pieces):
            (bar,) = axes.barh(row, size, left=start, height=0.78, color=_PARTS[index][3])
            bar.set_gid(f"layer-{layer.index}-{index}")
            start += size
        axes.text(start + 0.006 * longest, row, _note(found, layer), fontsize=_FONT, va="center")
    names = [f"{_label(layer).strip()}  {_tail(short_name(layer.name))}" for layer in layers]
    axes.set_yticks(range(len(layers)), names, fontsize=_FONT)
    axes.set(ylim=(len(layers) - 0.4, -0.6), xlim=(0, 1.42 * longest))
    unit = found.tick_unit if found.cycles_estimate is None else "estimated cycles"
    axes.set_xlabel(unit, fontsize=_FONT + 1)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="x", labelsize=_FONT)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    if shown > 1:
        axes.legend(
            handles=[Patch(color=colour, label=name) for name, _, _, colour in _PARTS],
            loc="lower right",
            frameon=False,
            fontsize=_FONT,
        )
    cycles = f", {found.cycles_estimate:,} estimated cycles" if found.cycles_estimate else ""
    axes.set_title(
        f"{found.model} on {found.board}: {found.ticks:,} {found.tick_unit}{cycles}",
        loc="left",
        fontsize=11,
    )
    return drawn


def _note(found: Profile, layer: LayerTime) -> str:
    """Return what stands behind a bar."""
    per_mac = "" if layer.ticks_per_mac is None else f", {layer.ticks_per_mac:.2f} a MAC"
    return f"{layer.ticks:,} {found.tick_unit}{per_mac}"


def _tail(name: str, room: int = 28) -> str:
    """Return at most so many letters; a name's end tells more than its start."""
    return name if len(name) <= room else f"…{name[1 - room :]}"
