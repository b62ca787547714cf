"""The memory map: which bytes of the arena belong to which tensor, while which layers run.

Drawn from what `inspect` says of a model: layers from left to right in the order in which they run,
addresses upward, a box for every tensor (for one that is needed in parts, a box for every part). A
picture in a file takes matplotlib, one in the terminal takes nothing.
"""

import itertools
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotor.graph import short_name
from lotor.pictures import draw, in_terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Inspection = Mapping[str, Any]
"""What `lotor.inspection.inspect` returns for a model that can be compiled."""


@dataclass(frozen=True)
class Box:
    """Bytes that a tensor has for one time.

    Attributes:
        tensor: its index in the inspection's `memory`.
        name: for people.
        kind: what it is for, see `lotor.report.KINDS`.
        low: the first byte, from the start of the arena.
        high: the byte after the last.
        first: the layer that writes it; -1 if it is there before the first layer.
        last: the last layer that needs it; the number of layers if it is needed after the last.
    """

    tensor: int
    name: str
    kind: str
    low: int
    high: int
    first: int
    last: int

    @property
    def nbytes(self) -> int:
        """Its height."""
        return self.high - self.low

    def covers(self, layer: int) -> bool:
        """Whether it is there while a layer runs."""
        return self.first <= layer <= self.last


@dataclass(frozen=True)
class Shared:
    """Bytes that two boxes have at the same time; as in `Box`."""

    low: int
    high: int
    first: int
    last: int


def boxes(data: Inspection) -> list[Box]:
    """Return the boxes of a map, those of a tensor after each other."""
    names = _names([entry["tensor"] for entry in data["memory"]])
    return [
        Box(
            index,
            name,
            entry["kind"],
            entry["offset"] + segment["offset"],
            entry["offset"] + segment["offset"] + segment["bytes"],
            segment["first"],
            segment["last"],
        )
        for index, (entry, name) in enumerate(zip(data["memory"], names, strict=True))
        for segment in entry["segments"]
    ]


def shared(found: Sequence[Box]) -> list[Shared]:
    """Return where boxes lie over each other: an output over an input that is used up."""
    overlaps = (
        Shared(max(a.low, b.low), min(a.high, b.high), max(a.first, b.first), min(a.last, b.last))
        for a, b in itertools.combinations(found, 2)
    )
    return [s for s in overlaps if s.low < s.high and s.first <= s.last]


def _names(tensors: Sequence[str]) -> list[str]:
    """Return short names: without the aliases of a tensor and the scope that all are in."""
    paths = [short_name(name.split(" = ")[0]).split("/") for name in tensors]
    scoped = [path for path in paths if len(path) > 1]
    while scoped and len({path[0] for path in scoped}) == 1 and min(map(len, scoped)) > 1:
        for path in scoped:
            del path[0]
    return ["/".join(path) for path in paths]


def _limit(data: Inspection) -> int | None:
    """Return how large the arena may be on the inspection's board."""
    if "board" not in data:
        return None
    return int(data["arena_bytes"] + data["ram_limit"] - data["ram_needed"])


# The picture in the terminal.

_AXIS = 12  # letters left of the map
_ROWS = 24
_WIDEST = 10  # letters that a layer takes at most
_LETTERS = string.ascii_uppercase  # of the largest tensors
_EMPTY, _LINE, _SMALL, _TWICE = ".", "-", "+", "#"
_ENTRY = 38  # letters of an entry of the legend
_TWICE_TEXT = "shared: an output over a used-up input"
# Of the 256 colours of a terminal, some of each kind to tell neighbours.
_TINTS = {
    "input": (75, 69, 111),
    "output": (114, 71, 157),
    "state": (176, 133, 183),
    "activation": (222, 179, 229),
    "scratch": (250, 246, 253),
}
_TINT_EMPTY, _TINT_LINE, _TINT_TWICE, _INK = 236, 240, 203, 16


def for_terminal(data: Inspection) -> str:
    """Return the map for standard output: in colour, as wide as it is, if it is a terminal."""
    return in_terminal(partial(as_text, data))


def as_text(data: Inspection, columns: int = 80, colour: bool = False) -> str:
    """Return the map for a terminal.

    Args:
        data: the inspection.
        columns: letters in a line at most.
        colour: blocks in the colours of a terminal; else a letter for every tensor.
    """
    found, columns = boxes(data), max(columns, _ENTRY + 2)
    raster = _Raster(data, found, columns - _AXIS, 2 * _ROWS if colour else _ROWS)
    rows = _coloured(raster, data) if colour else _lettered(raster, found)
    labels = _row_labels(data)
    edge = "▕" if colour else "|"
    lines = [f"{labels.get(row, ''):>{_AXIS - 1}}{edge}{text}" for row, text in enumerate(rows)]
    lines += [" " * _AXIS + text for text in raster.layer_numbers()]
    lines += _colour_legend(found) if colour else _letter_legend(data, found, columns)
    lines += [f"line at {byte:,}: {what}" for byte, what in _marks(data).items()]
    return "\n".join(lines)


class _Raster:
    """Which boxes lie in which cell: `cells[row from the top][column]`."""

    def __init__(self, data: Inspection, found: Sequence[Box], width: int, rows: int) -> None:
        layers = range(-1, len(data["ops"]) + 1)
        self.wide = min(_WIDEST, max(1, width // len(layers)))  # columns of a layer
        columns = max(1, min(len(layers), width))  # before each is repeated
        edges = [column * len(layers) // columns for column in range(columns + 1)]
        self.columns = [
            layers[start:end] for start, end in itertools.pairwise(edges) for _ in range(self.wide)
        ]
        self._last, self._peak = layers[-1], data["peak"]["layers"]
        self._byte = data["arena_bytes"] / rows  # bytes of a row
        here = [[b for b in found if b.first <= c[-1] and c[0] <= b.last] for c in self.columns]
        self.cells = [[self._cell(row, boxes) for boxes in here] for row in reversed(range(rows))]
        self.lines = {
            rows - 1 - int(byte / self._byte) for byte in _marks(data) if self._byte
        }  # rows that a line crosses

    def _cell(self, row: int, here: Iterable[Box]) -> list[Box]:
        """Return the boxes in the middle of a cell; of one without, the first that touches it."""
        low, middle, high = (int((row + part) * self._byte) for part in (0, 0.5, 1))
        exact = [box for box in here if box.low <= middle < box.high]
        return exact or [box for box in here if box.low < high and low < box.high][:1]

    def twice(self, row: int, column: int) -> bool:
        """Whether two tensors have the bytes of a cell at once."""
        here = self.cells[row][column]
        return len(here) > 1 and bool(shared(here))

    def layer_numbers(self) -> list[str]:
        """Return what stands below the map: the layers' numbers, and where the peak is."""
        numbers, marks = [" "] * len(self.columns), [" "] * len(self.columns)
        for column in range(0, len(self.columns), self.wide):
            layers = self.columns[column]
            if any(layer in self._peak for layer in layers):
                marks[column] = "^"
            name = {-1: "in", self._last: "out"}.get(layers[0], str(layers[0]))
            if (
                column + len(name) <= len(numbers)
                and not "".join(numbers[max(0, column - 1) : column + len(name)]).strip()
            ):
                numbers[column : column + len(name)] = name
        return ["".join(numbers).rstrip(), "".join(marks).rstrip() + " peak"]


def _marks(data: Inspection) -> dict[int, str]:
    """Return the bytes at which a line crosses the map, well below its upper edge."""
    limit, marks = _limit(data), {data["ram_lower_bound"]: "lower bound"}
    if limit is not None:
        marks[limit] = f"all that {data['board']} has for the arena"
    top = data["arena_bytes"] * (_ROWS - 1) / _ROWS
    return {byte: what for byte, what in marks.items() if 0 <= byte < top}


def _row_labels(data: Inspection) -> dict[int, str]:
    """Return the address of the upper end of some rows."""
    arena = data["arena_bytes"]
    marks = {_ROWS - 1 - mark * _ROWS // arena: mark for mark in _marks(data)}
    ticks = {row: arena * (_ROWS - row) // _ROWS for row in range(0, _ROWS, _ROWS // 4)}
    labels = {row: byte for row, byte in ticks.items() if row - 1 not in marks} | marks
    return {row: f"{byte:,}" for row, byte in labels.items()} | {0: f"{arena:,}"}


def _lettered(raster: _Raster, found: Sequence[Box]) -> list[str]:
    letters = _letters(found)

    def letter(row: int, column: int) -> str:
        here = raster.cells[row][column]
        if not here:
            return _LINE if row in raster.lines else _EMPTY
        return _TWICE if raster.twice(row, column) else letters.get(here[0].tensor, _SMALL)

    return [
        "".join(letter(row, column) for column in range(len(raster.columns)))
        for row in range(len(raster.cells))
    ]


def _letters(found: Iterable[Box]) -> dict[int, str]:
    """Return the letters of the largest tensors, in order of their first layer."""
    sizes = Counter[int]()
    for box in found:
        sizes[box.tensor] += box.nbytes
    largest = sorted(tensor for tensor, _ in sizes.most_common(len(_LETTERS)))
    return dict(zip(largest, _LETTERS, strict=False))


def _letter_legend(data: Inspection, found: Sequence[Box], columns: int) -> list[str]:
    """Return the tensors with their letters, in as many columns as there is room for."""
    letters = _letters(found)
    about = {box.tensor: (box.name, box.kind) for box in found}
    entries = []
    for tensor, letter in letters.items():
        name, kind = about[tensor]
        named = name if kind == "activation" else f"{kind} {name}"
        entries.append(f"{letter} {data['memory'][tensor]['bytes']:>9,} {named}")
    across = max(1, columns // (_ENTRY + 2))
    down = -(-len(entries) // across)
    lines = [
        "  ".join(f"{_shortened(entry, _ENTRY):<{_ENTRY}}" for entry in entries[row::down]).rstrip()
        for row in range(down)
    ]
    if len(about) > len(letters):
        lines.append(f"{_SMALL} {len(about) - len(letters)} smaller ones")
    return [*lines, *([f"{_TWICE} {_TWICE_TEXT}"] if shared(found) else [])]


def _coloured(raster: _Raster, data: Inspection) -> list[str]:
    """Return lines of half blocks, two cells in each letter, with names where there is room."""
    tints = _tints(raster)

    def tint(row: int, column: int) -> int:
        here = raster.cells[row][column]
        if not here:
            return _TINT_LINE if row in raster.lines else _TINT_EMPTY
        return _TINT_TWICE if raster.twice(row, column) else tints[here[0].tensor]

    names = _names_in_colour(raster, data)
    lines = []
    for row in range(0, len(raster.cells), 2):
        line, last = "", None
        for column in range(len(raster.columns)):
            upper, lower = tint(row, column), tint(row + 1, column)
            name = names.get((row, column))
            ink, text = (_INK, name) if name else (upper, "▀")
            if (ink, lower) != last:
                line += f"\x1b[38;5;{ink};48;5;{lower}m"
                last = ink, lower
            line += text
        lines.append(line + "\x1b[0m")
    return lines


def _tints(raster: _Raster) -> dict[int, int]:
    """Return a tint for every tensor, if possible none that a neighbour has."""
    rows = [[here[:1] for here in row] for row in raster.cells]
    beside: dict[int, set[int]] = {}
    for line in (*rows, *zip(*rows, strict=True)):
        for one, other in itertools.pairwise(itertools.chain(*line)):
            beside.setdefault(one.tensor, set()).add(other.tensor)
            beside.setdefault(other.tensor, set()).add(one.tensor)
    tints: dict[int, int] = {}
    kinds = {box.tensor: box.kind for row in rows for here in row for box in here}
    for tensor, kind in sorted(kinds.items()):
        taken = {tints.get(other) for other in beside.get(tensor, ())}
        free = [tint for tint in _TINTS[kind] if tint not in taken]
        tints[tensor] = (free or _TINTS[kind])[0]
    return tints


def _names_in_colour(raster: _Raster, data: Inspection) -> dict[tuple[int, int], str]:
    """Return the letters of names or sizes, and the cells that they stand in."""
    runs: dict[int, list[tuple[int, int, int]]] = {}  # of a tensor alone: length, row, column
    names = {}
    for row in range(0, len(raster.cells), 2):
        cells = zip(
            raster.cells[row], raster.cells[row + 1], range(len(raster.columns)), strict=True
        )
        for (alone, box), run in itertools.groupby(
            cells, lambda cell: (cell[0] == cell[1] and len(cell[0]) == 1, cell[0][:1])
        ):
            if alone:
                columns = [column for _, _, column in run]
                runs.setdefault(box[0].tensor, []).append((len(columns), row, columns[0]))
                names[box[0].tensor] = box[0].name
    letters = {}
    for tensor, places in runs.items():
        room = max(length for length, _, _ in places)
        widest = [place for place in places if place[0] == room]
        _, row, column = widest[len(widest) // 2]
        name, size = names[tensor], f"{data['memory'][tensor]['bytes']:,}"
        fitting = [text for text in (name, name.split("/")[0], size) if len(text) < room]
        for at, letter in enumerate(fitting[0] if fitting else ""):
            letters[row, column + at] = letter
    return letters


def _colour_legend(found: Sequence[Box]) -> list[str]:
    kinds = {box.kind for box in found}
    lines = [[(tints[0], kind) for kind, tints in _TINTS.items() if kind in kinds]]
    lines += [[(_TINT_TWICE, _TWICE_TEXT)]] if shared(found) else []
    return ["  ".join(f"\x1b[38;5;{tint}m█\x1b[0m {text}" for tint, text in line) for line in lines]


def _shortened(text: str, room: int) -> str:
    """Return at most so many letters; a name's end tells more than its middle."""
    if len(text) <= room:
        return text
    if room < 4:
        return text[: max(0, room)]
    head = (room - 1) // 2
    return f"{text[:head]}…{text[head + 1 - room :]}"


# The picture in a file.

# Fill and edge of a box, and the ink on it; apart in lightness, too, for who sees no colours.
_FILLS = {
    "input": "#8ec1ee",
    "output": "#96d38c",
    "state": "#d3b4e8",
    "activation": "#f7dc94",
    "scratch": "#d5d5d5",
}
_EDGE, _INK_COLOUR, _PEAK, _HATCH, _OVER = "#4d4d4d", "#222222", "#7a1fa2", "#b5452c", "#c8102e"
_LAYER_WIDTH, _LEAST_LAYER_WIDTH = 0.30, 0.15  # inches
_NARROWEST, _BROAD, _BROADEST, _HEIGHT = 9.5, 14.0, 30.0, 5.8  # inches
_FONT = 7.0  # points
_FAR = 1.35  # a limit so many times the arena would press the map flat: it is named, not drawn


def save(data: Inspection, path: Path, title: str) -> None:
    """Draw the map to a file; the same inspection gives the same bytes.

    Raises:
        LotorError: see `lotor.pictures.draw`.
    """
    draw(lambda: figure(data, title), path)


def figure(data: Inspection, title: str) -> "Figure":
    """Return the map as a figure of matplotlib.

    The rectangle of segment S of tensor T (both counted from 0, as in the inspection) has the id
    `tensor-T-S`; layer L lies between L and L + 1 on the x axis, the y axis is in bytes.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    found, count = boxes(data), len(data["ops"])
    arena, limit = data["arena_bytes"], _limit(data)
    wanted = max(min(_BROAD, _LAYER_WIDTH * (count + 2)), _LEAST_LAYER_WIDTH * (count + 2))
    width = min(_BROADEST, max(_NARROWEST, 1.8 + wanted))
    near = limit is not None and 0 <= limit <= _FAR * arena
    top = 1.06 * max(arena, limit if limit is not None and near else 0, 1)
    drawn = Figure((width, _HEIGHT), layout="constrained")
    axes = drawn.add_subplot()
    axes.set(xlim=(-1, count + 1), ylim=(0, top), ylabel="address in the arena, bytes")
    for tensor, own in itertools.groupby(found, key=lambda box: box.tensor):
        for segment, box in enumerate(own):
            axes.add_patch(
                Rectangle(
                    (box.first, box.low),
                    box.last + 1 - box.first,
                    box.nbytes,
                    facecolor=_FILLS[box.kind],
                    edgecolor=_EDGE,
                    linewidth=0.6,
                    alpha=0.85,
                    zorder=2,
                    gid=f"tensor-{tensor}-{segment}",
                )
            )
    for index, both in enumerate(shared(found)):
        axes.add_patch(
            Rectangle(
                (both.first, both.low),
                both.last + 1 - both.first,
                both.high - both.low,
                fill=False,
                edgecolor=_HATCH,
                linewidth=0,
                hatch="/////",
                zorder=3,
                gid=f"shared-{index}",
            )
        )
    _mark_peak(axes, data, top)
    _name_layers(axes, data, width)
    _name_boxes(axes, data, found, width)
    _draw_lines(axes, data, limit if near else None)
    _explain(axes, data, found, title)
    return drawn


def _mark_peak(axes: "Axes", data: Inspection, top: float) -> None:
    for layer in data["peak"]["layers"]:
        axes.axvspan(
            layer, layer + 1, color=_PEAK, alpha=0.13, lw=0, zorder=3.5, gid=f"peak-{layer}"
        )
        axes.text(
            layer + 0.5, top, "▼", color=_PEAK, fontsize=_FONT + 2, ha="center", va="top", zorder=6
        )


def _name_layers(axes: "Axes", data: Inspection, width: float) -> None:
    """Write number and operator below every layer, or below every so many."""
    ops = data["ops"]
    every = max(1, round(0.13 * (len(ops) + 2) / width))
    names = ["input", *(f"{i} {op['kind'].lower()}" for i, op in enumerate(ops)), "output"]
    shown = range(0, len(names), every)
    axes.set_xticks(
        [at - 0.5 for at in shown], [names[at] for at in shown], rotation=270, fontsize=_FONT
    )
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=_FONT + 1)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)


def _name_boxes(axes: "Axes", data: Inspection, found: Sequence[Box], width: float) -> None:
    """Write name and size into the largest box of every tensor that has the room."""
    across = 72 * (width - 1.8) / (len(data["ops"]) + 2)  # points of a layer
    upward = 72 * (_HEIGHT - 1.9) / axes.get_ylim()[1]  # points of a byte
    overlaps = shared(found)
    for tensor, own in itertools.groupby(found, key=lambda box: box.tensor):
        box = max(own, key=lambda box: box.nbytes * (box.last + 1 - box.first))
        first, last, low, high = _free(box, overlaps)
        room = across * (last + 1 - first), upward * (high - low)
        text, rotation = _fitting(box.name, data["memory"][tensor]["bytes"], room)
        if text:
            axes.text(
                (first + last + 1) / 2,
                (low + high) / 2,
                text,
                fontsize=_FONT,
                color=_INK_COLOUR,
                rotation=rotation,
                ha="center",
                va="center",
                linespacing=1.1,
                zorder=4,
                clip_on=True,
            )


def _free(box: Box, overlaps: Iterable[Shared]) -> tuple[int, int, int, int]:
    """Return the largest part of a box that it shares with nobody: first, last, low, high."""
    own = [s for s in overlaps if s.low < box.high and box.low < s.high]
    best, size = (box.first, box.last, box.low, box.low), 0
    for first in {box.first, *(s.last + 1 for s in own)}:
        for last in {box.last, *(s.first - 1 for s in own)}:
            low, high = _widest_gap(box, [s for s in own if s.first <= last and first <= s.last])
            if box.first <= first <= last <= box.last and (last + 1 - first) * (high - low) > size:
                best, size = (first, last, low, high), (last + 1 - first) * (high - low)
    return best


def _widest_gap(box: Box, taken: Sequence[Shared]) -> tuple[int, int]:
    edges = [box.low]
    for s in sorted(taken, key=lambda s: s.low):
        edges += [max(edges[-1], min(s.low, box.high)), max(edges[-1], min(s.high, box.high))]
    edges.append(max(edges[-1], box.high))
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return max(gaps, key=lambda gap: gap[1] - gap[0])


def _fitting(name: str, nbytes: int, room: tuple[float, float]) -> tuple[str, int]:
    """Return the longest label that fits into so many points, and its angle."""
    size, scope = f"{nbytes:,}", name.split("/")[0]
    for text in (f"{name}\n{size}", name, f"{scope}\n{size}", scope, size):
        rows = text.split("\n")
        length, height = 0.66 * _FONT * max(map(len, rows)) + 2, 1.25 * _FONT * len(rows)
        if length <= room[0] and height <= room[1]:
            return text, 0
        if height <= room[0] and length <= room[1]:
            return text, 90
    return "", 0


def _draw_lines(axes: "Axes", data: Inspection, limit: int | None) -> None:
    """Draw the arena's size, the lower bound and the board's limit, named at the right."""
    lines = [(data["arena_bytes"], "arena", _INK_COLOUR, "-")]
    lines.append((data["ram_lower_bound"], "lower bound", "#1f5fa8", "--"))
    if limit is not None:
        lines.append((limit, f"{data['board']} has", _OVER, "-."))
    top = axes.get_ylim()[1]
    at = 2 * top
    for size, name, colour, style in sorted(lines, key=lambda line: -line[0]):
        axes.axhline(size, color=colour, ls=style, lw=1.1, zorder=5, gid=name.replace(" ", "-"))
        at = min(at - 0.04 * top, size)
        axes.text(
            1.005,
            at,
            f"{name} {size:,}",
            transform=axes.get_yaxis_transform(),
            color=colour,
            fontsize=_FONT + 1,
            va="center",
        )


def _explain(axes: "Axes", data: Inspection, found: Sequence[Box], title: str) -> None:
    """Draw the legend and the title."""
    from matplotlib.patches import Patch

    kinds = {box.kind for box in found}
    patches = [
        Patch(facecolor=fill, edgecolor=_EDGE, lw=0.6, label=kind)
        for kind, fill in _FILLS.items()
        if kind in kinds
    ]
    if shared(found):
        patches.append(Patch(fill=False, edgecolor=_HATCH, lw=0, hatch="/////", label=_TWICE_TEXT))
    if data["peak"]["layers"]:
        patches.append(Patch(color=_PEAK, alpha=0.3, lw=0, label="▼ peak: most bytes in use"))
    axes.legend(
        handles=patches,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(patches),
        frameon=False,
        fontsize=_FONT + 1,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    limit = _limit(data)
    board = "" if limit is None else f"; {data['board']} has {max(0, limit):,} bytes for it"
    axes.set_title(
        f"{title}: arena {data['arena_bytes']:,} bytes{board}", loc="left", pad=22, fontsize=11
    )
