"""Instructions, RAM and flash of one inference on every emulated core, beside other engines.

`make bench-mcu` writes the tables between the markers of docs/performance.md; two runs give the
same page. Without the MLPerf Tiny models there are our own model's rows only.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bare
import peers
from lotor.board import Board, list_boards, load_board
from lotor.build import read_image
from lotor.device import emulator
from lotor.device.ready import compile_for
from lotor.errors import LotorError
from lotor.profiling import profile_compiled
from lotor.targets import TARGETS
from lotor.targets.preference import Optimize
from models import measured_models

BEGIN = "<!-- The tables from here on are written by `make bench-mcu`. -->"
END = "<!-- End of what `make bench-mcu` writes. -->"
# The model whose constant channels the compiler removes: also measured with all of them.
_CONSTANT = "vww_96_int8"
_PASS = "remove_constant_channels"
# The core that is also measured with kernels chosen for size and for RAM.
_CHOICES = "cortex-m4"


@dataclass(frozen=True)
class Row:
    """One model on one board.

    Attributes:
        skipped: whether its constant channels were kept.
        bare: bytes of code of an image without the link's server.
        flash: bytes of the product's firmware.
        optimize: what its kernels were chosen for.
    """

    core: str
    model: str
    skipped: bool
    macs: int
    instructions: int
    cycles_estimate: int | None
    ram: int
    weights: int
    code: int
    bare: int = 0
    flash: int = 0
    optimize: Optimize = "speed"

    @property
    def label(self) -> str:
        """The model, as the tables call it."""
        short = peers.MODELS.get(self.model)
        name = f"{short} `{self.model}`" if short else f"`{self.model}`"
        return name + (", constant channels kept" if self.skipped else "")


def boards() -> list[Board]:
    """Return one emulated board for each core, the default one or else that with the most RAM."""
    found: dict[str, Board] = {}
    every = map(load_board, list_boards())
    for board in sorted(every, key=lambda b: (not b.default, -b.ram_limit)):
        if board.emulated and not board.linux and board.ticks.unit == "instructions":
            found.setdefault(board.target, board)
    return [found[target] for target in TARGETS if target in found]


def measure(
    board: Board, model: str, skip: Sequence[str] = (), optimize: Optimize = "speed"
) -> Row:
    """Run one inference.

    Raises:
        LotorError: the model does not compile or does not fit.
    """
    compiled = compile_for(board.name, model, optimize=optimize, skip=skip)
    found = profile_compiled(compiled, model, board.name)
    state = emulator.running(board.name)
    assert state is not None
    image = read_image(state.elf.parent)
    sizes = image.breakdown
    return Row(
        board.target,
        Path(model).stem,
        bool(skip),
        sum(layer.macs for layer in found.layers),
        found.ticks,
        found.cycles_estimate,
        found.ram_bytes,
        sizes["weights"],
        sizes["code"],
        bare.code_bytes(compiled, board),
        image.flash_bytes,
        optimize,
    )


def measure_all(chosen: Iterable[Board]) -> list[Row]:
    """Run all models on some boards; what does not fit is said on stderr."""
    rows = []
    for board in chosen:
        for model in measured_models():
            ways: list[tuple[tuple[str, ...], Optimize]] = [((), "speed")]
            ways += [((_PASS,), "speed")] if Path(model).stem == _CONSTANT else []
            ways += [((), "size"), ((), "ram")] if board.target == _CHOICES else []
            for skip, optimize in ways:
                try:
                    rows.append(measure(board, model, skip, optimize))
                except LotorError as error:
                    print(f"{model} on {board.name}: {error}", file=sys.stderr)
        emulator.stop(board.name)
    return rows


def page(rows: Sequence[Row], chosen: Sequence[Board]) -> str:
    """Return the tables."""
    parts = []
    for board in chosen:
        mine = [row for row in rows if row.core == board.target]
        if mine:
            parts.append(_core(board, [row for row in mine if row.optimize == "speed"]))
        if any(row.optimize != "speed" for row in mine):
            parts.append(_choices(board, [row for row in mine if not row.skipped]))
    rows = [row for row in rows if row.optimize == "speed"]
    if any(row.model in peers.MODELS for row in rows):
        parts += [_published(rows), _sizes(rows)]
    return "\n\n".join(parts)


def _core(board: Board, rows: Sequence[Row]) -> str:
    """Return what one core takes, beside TFLite Micro."""
    name = board.target.replace("cortex-m", "Cortex-M").replace("plus", "+")
    estimated = any(row.cycles_estimate for row in rows)
    heads = ["model", "MACs", "instructions", "per MAC"]
    heads += ["est. cycles", "per MAC"] if estimated else []
    heads += ["RAM", "weights", "code"]
    lines = [f"### {name} (`{board.name}`)", "", *_head(heads)]
    for row in rows:
        cells = [row.label, f"{row.macs:,}", *_counted(row.instructions, row.macs)]
        cells += _counted(row.cycles_estimate, row.macs) if estimated else []
        lines.append(_line([*cells, f"{row.ram:,}", f"{row.weights:,}", f"{row.code:,}"]))
    compared = [row for row in rows if row.model in peers.MODELS]
    for unit, table in (("instructions", peers.INSTRUCTIONS), ("est. cycles", peers.ESTIMATES)):
        others = [peer for peer in table if peer.core == board.target]
        if compared and others and (estimated or unit == "instructions"):
            lines += ["", *_comparison(unit, compared, others)]
    return "\n".join(lines)


def _choices(board: Board, rows: Sequence[Row]) -> str:
    """Return what the models take by what their kernels are chosen for."""
    heads = ["model", "`--optimize`", "instructions", "est. cycles", "RAM", "weights", "code"]
    lines = [
        f"### Speed, size or RAM (`{board.name}`)",
        "",
        *_head([*heads, "code of a bare image", "firmware's flash"]),
    ]
    for row in rows:
        cycles = "" if row.cycles_estimate is None else f"{row.cycles_estimate:,}"
        figures = (row.ram, row.weights, row.code, row.bare, row.flash)
        cells = [row.label, row.optimize, f"{row.instructions:,}", cycles]
        lines.append(_line([*cells, *(f"{figure:,}" for figure in figures)]))
    return "\n".join(lines)


def _comparison(unit: str, rows: Sequence[Row], others: Sequence[peers.Peer]) -> list[str]:
    """Return the table of other engines, and how many times ours they take."""
    lines = _head([f"millions of {unit} (times ours)", *(row.label for row in rows)])
    ours = [row.instructions if unit == "instructions" else row.cycles_estimate for row in rows]
    lines.append(_line(["Lotor", *map(_millions, ours)]))
    for peer in others:
        cells = []
        for row, count in zip(rows, ours, strict=True):
            figure = None if row.skipped and peer.pruned else peer.of(row.model)
            times = f" ({figure * 1e6 / count:.2f})" if figure and count else ""
            cells.append(f"{figure:g}{times}" if figure else "")
        notes = ", constant channels removed from the file" if peer.pruned else ""
        notes += "" if peer.exact else " (not exact)"
        lines.append(_line([peer.engine + notes, *cells]))
    return lines


def _published(rows: Sequence[Row]) -> str:
    """Return the results of MLPerf Tiny, beside our estimates."""
    lines = [
        "### Published on silicon",
        "",
        *_head(["millions of cycles", "core", *peers.MODELS.values()]),
    ]
    for core in dict.fromkeys(row.core for row in rows):
        ours = {r.model: r.cycles_estimate for r in rows if r.core == core and not r.skipped}
        if any(ours.get(model) for model in peers.MODELS):
            cells = (_millions(ours.get(model)) for model in peers.MODELS)
            lines.append(_line(["Lotor, estimated", core, *cells]))
    for peer in peers.PUBLISHED:
        cells = (f"{figure:g}" if figure else "" for figure in peer.figures)
        lines.append(_line([peer.engine, peer.core, *cells]))
    return "\n".join(lines)


def _sizes(rows: Sequence[Row]) -> str:
    """Return RAM and code of other engines on a Cortex-M4, beside ours."""
    ours = {row.model: row for row in rows if row.core == "cortex-m4" and not row.skipped}
    cells = (f"{ours[model].ram:,}" if model in ours else "" for model in peers.MODELS)
    lines = [
        "### RAM and code beside other engines, Cortex-M4",
        "",
        *_head(["bytes of RAM", *peers.MODELS.values()]),
        _line(["Lotor", *cells]),
    ]
    for peer in peers.RAM:
        cells = (f"{figure:,}" if figure else "" for figure in peer.figures)
        lines.append(_line([peer.engine, *cells]))
    codes = [row.code for row in ours.values() if row.model in peers.MODELS]
    lines += ["", *_head(["bytes of code without weights", ""])]
    if codes:
        lines.append(
            f"| Lotor, the kernels of one of these models | {min(codes):,} to {max(codes):,} |"
        )
        bares = [row.bare for row in ours.values() if row.model in peers.MODELS]
        lines.append(
            f"| Lotor, a bare image: these, startup, C library | {min(bares):,} to {max(bares):,} |"
        )
    lines += [_line(item) for item in peers.CODE.items()]
    return "\n".join(lines)


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _counted(count: int | None, macs: int) -> list[str]:
    return ["", ""] if count is None else [f"{count:,}", f"{count / macs:.2f}"]


def _millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.3f}"


def replace_tables(text: str, tables: str) -> str:
    """Return a page with new tables between its markers.

    Raises:
        LotorError: it has not both markers, in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise LotorError(f"the page needs a line '{BEGIN}' and after it a line '{END}'")
    return f"{head}{BEGIN}\n\n{tables}\n\n{END}{tail}"


def main() -> None:
    """Print the tables; write them into a page with -o."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="page with the markers")
    parser.add_argument("--board", action="append", help="only this board; may be given again")
    arguments = parser.parse_args()
    if arguments.output and not arguments.output.is_file():
        parser.error(f"{arguments.output} is no file: name a page that has the markers")
    chosen = [load_board(name) for name in arguments.board] if arguments.board else boards()
    tables = page(measure_all(chosen), chosen)
    print(tables)
    if arguments.output:
        text = arguments.output.read_text(encoding="utf-8")
        arguments.output.write_text(replace_tables(text, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
