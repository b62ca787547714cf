"""What a model is and what it will cost, before a board is touched."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lotor.board import Board, list_boards, load_board
from lotor.build import firmware_flash, firmware_ram, in_stripes
from lotor.compiler import (
    Compiled,
    RamError,
    UnsupportedModelError,
    compile_model,
    find_problems,
    memory_saved,
    read_content,
)
from lotor.frontend.tflite import read_model
from lotor.graph import Op, short_name
from lotor.ops import model_operators, operators
from lotor.optimize import optimize
from lotor.optimize.report import report_passes
from lotor.sizes import code_bytes
from lotor.stripes import Striped
from lotor.targets.preference import Optimize, Preference
from lotor.tuned import preference
from lotor.zoo import find_model


def inspect(
    model: str,
    target: str | None = None,
    board: str | None = None,
    passes: bool = False,
    ram: int | None = None,
    optimize: Optimize = "speed",
) -> dict[str, Any]:
    """Return layers, cost and memory of a model, and all that cannot be compiled.

    Args:
        model: name or path.
        target: what it would be compiled for; the board's target, else portable.
        board: also say whether it fits there.
        passes: also say what every rewrite has done, under the key `passes`.
        ram: bytes that the arena may take: layers run in stripes where it would take more.
        optimize: what kernels are chosen for.

    Raises:
        LotorError: no usable model, a wrong name of target or board, or too small a `ram`.
    """
    found = find_model(model)
    chosen = load_board(board) if board else None
    data = _cost(found.path, target, chosen, ram, optimize)
    if passes:
        content, stem = read_content(found.path)
        data["passes"] = report_passes(read_model(content, stem))
    return data


def _cost(
    path: Path, target: str | None, board: Board | None, ram: int | None, optimize: Optimize
) -> dict[str, Any]:
    try:
        compiled = compile_model(
            path,
            target or (board.target if board else "portable"),
            ram=ram,
            preference=preference(board, optimize) if board else Preference(optimize),
        )
    except UnsupportedModelError:
        return _unsupported(read_content(path)[0])
    data = {
        "ops": [
            {key: layer[key] for key in ("name", "kind", "shape", "macs", "kernel", "live_bytes")}
            for layer in compiled.report["layers"]
        ],
        **{
            key: compiled.report[key]
            for key in (
                "macs",
                "ram_bytes",
                "arena_bytes",
                "ram_lower_bound",
                "ram_order_bound",
                "peak_layer",
                "peak",
                "weights_bytes",
                "unpacked_bytes",
                "inputs",
                "outputs",
                "memory",
            )
        },
        "ram_saved": memory_saved(path, compiled),
        "stripes": [asdict(part) for part in compiled.striped],
        "extra_macs": sum(part.extra_macs for part in compiled.striped),
        "unsupported": [],
    }
    if board is not None:
        data |= _fit(path, compiled, board, target)
    return data


def _fit(path: Path, compiled: Compiled, board: Board, target: str | None) -> dict[str, Any]:
    """Say whether an image of this one model fits a board, by how much, and else what would."""
    sizes = _sizes(compiled)
    ram, flash = _ram(sizes, board), _flash(sizes, board)
    fits = ram <= board.ram_limit and flash <= board.flash_limit
    return {
        "board": board.name,
        "fits": fits,
        "ram_needed": ram,
        "ram_limit": board.ram_limit,
        "ram_free": board.ram_limit - ram,
        "flash_needed": flash,
        "flash_limit": board.flash_limit,
        "flash_free": board.flash_limit - flash,
        "way_out": None
        if fits
        else {
            **(_stripes(path, compiled, board) if flash <= board.flash_limit else _NO_STRIPES),
            "boards": _larger_boards(path, {compiled.target.name: sizes}, target),
        },
    }


_NO_STRIPES = {"stripes": None, "least_arena_bytes": None}
_SHOWN_BOARDS = 3


class _Sizes(NamedTuple):
    """What a model takes of RAM and flash in bytes, without the firmware, and its layers."""

    ram: int
    flash: int
    layers: int


def _sizes(compiled: Compiled) -> _Sizes:
    flash = compiled.report["weights_bytes"] + (code_bytes(compiled) or 0)
    return _Sizes(compiled.plan.arena_bytes, flash, len(compiled.report["layers"]))


def _ram(sizes: _Sizes, board: Board) -> int:
    """Return about how many bytes of a board's RAM an image takes."""
    return sizes.ram + firmware_ram(board, sizes.layers) + board.build.stack_bytes


def _flash(sizes: _Sizes, board: Board) -> int:
    """Return about how many bytes of a board's flash an image takes."""
    return sizes.flash + firmware_flash(board)


def _stripes(path: Path, compiled: Compiled, board: Board) -> dict[str, Any]:
    """Say what it costs to get the arena into the board's RAM in stripes, or how far they go."""
    try:
        striped = in_stripes(
            board,
            compiled,
            lambda room: compile_model(
                path, compiled.target.name, ram=room, preference=compiled.preference
            ),
        )
    except RamError as error:
        return {"stripes": None, "least_arena_bytes": error.least}
    sizes = _sizes(striped)
    if _ram(sizes, board) > board.ram_limit or _flash(sizes, board) > board.flash_limit:
        return _NO_STRIPES  # every stripe has code of its own, too
    found = {
        "ram": striped.ram,
        "arena_bytes": striped.plan.arena_bytes,
        "ram_needed": _ram(sizes, board),
        "flash_needed": _flash(sizes, board),
        "layers": sum(part.layers for part in striped.striped),
        "stripes": max(part.stripes for part in striped.striped),
        "extra_macs": sum(part.extra_macs for part in striped.striped),
    }
    return {"stripes": found, "least_arena_bytes": None}


def _larger_boards(
    path: Path, sizes: dict[str, _Sizes], target: str | None
) -> list[dict[str, Any]]:
    """Return the boards that a model fits as it is, those with the least memory first.

    Args:
        path: the model.
        sizes: what is known of it, by target; it grows.
        target: what it is compiled for; None for each board's own.
    """
    boards = sorted(map(load_board, list_boards()), key=lambda b: (b.ram_limit, b.flash_limit))
    found: list[dict[str, Any]] = []
    for board in boards:
        if len(found) == _SHOWN_BOARDS:
            break
        name = target or board.target
        if name not in sizes:
            sizes[name] = _sizes(compile_model(path, name))
        fits = _ram(sizes[name], board) <= board.ram_limit
        if fits and _flash(sizes[name], board) <= board.flash_limit:
            limits = {"ram_limit": board.ram_limit, "flash_limit": board.flash_limit}
            found.append({"board": board.name, **limits})
    return found


def as_text(data: dict[str, Any]) -> str:
    """Return an inspection for people: a row for every layer, then what they need together."""
    lines = [_table(data["ops"], data["peak"])]
    if data["unsupported"]:
        lines.append("cannot be compiled:")
        lines += [f"  {p['layer']} ({p['kind']}): {p['reason']}" for p in data["unsupported"]]
        lines.append(f"supported operators: {', '.join(model_operators())}")
        return "\n".join(lines)
    return "\n".join([*lines, summary(data)])


def _packing(data: dict[str, Any]) -> str:
    """Return what it costs in flash that weights are packed for the kernels."""
    more = data["weights_bytes"] - data["unpacked_bytes"]
    return f" ({more:+,} by packing)" if more else ""


def summary(data: dict[str, Any]) -> str:
    """Return what the layers of an inspection need together, for people."""
    peak = f", set by {short_name(data['peak_layer'])}" if data["peak_layer"] else ""
    other = data["ram_order_bound"]
    if other is not None and other < data["ram_lower_bound"]:
        peak += f"; {other:,} for any order of layers"
    lines = [
        f"{data['macs']:,} MACs, weights {data['weights_bytes']:,} bytes{_packing(data)}, RAM "
        f"{data['ram_bytes']:,} bytes (lower bound {data['ram_lower_bound']:,}{peak})",
        *_peak_lines(data),
    ]
    if data["ram_saved"]:
        saved = ", ".join(f"{name} {count:,}" for name, count in data["ram_saved"].items() if count)
        lines.append(f"bytes of RAM saved by each: {saved or 'nothing'}")
    lines += [str(Striped(**part)) for part in data["stripes"]]
    if "board" in data:
        lines += _fit_lines(data)
    return "\n".join(lines)


def _table(ops: Sequence[dict[str, Any]], peak: dict[str, Any] | None) -> str:
    """Return a row for every layer, with a bar for the bytes of the arena that it has in use."""
    most = peak["live_bytes"] if peak else 0
    rows = [("#", "operator", "output", "MACs", "kernel", "in use", "", "layer")]
    for index, op in enumerate(ops):
        live = op["live_bytes"]
        mark = " ◄ peak" if peak and index in peak["layers"] else ""
        rows.append(
            (
                str(index),
                op["kind"],
                str(op["shape"]),
                f"{op['macs']:,}",
                (op["kernel"] or "-").replace(f"{op['kind'].lower()}/", ""),
                "-" if live is None else f"{live:,}",
                "" if live is None else _bar(live / most if most else 0),
                f"{short_name(op['name'])}{mark}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join(
            [
                f"{text:{'>' if column in _NUMBERS else '<'}{width}}"
                for column, (text, width) in enumerate(zip(row, widths, strict=False))
            ]
            + [row[-1]]
        )
        for row in rows
    )


_NUMBERS = (0, 3, 5)  # columns of the table
_BAR = 10  # letters
_EIGHTHS = "▏▎▍▌▋▊▉█"


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _peak_lines(data: dict[str, Any]) -> list[str]:
    """Return where the arena is fullest, and with what."""
    peak = data["peak"]
    first, *more = peak["layers"]
    others = f" (and at {len(more)} more)" if more else ""
    twice = f", {peak['overlap_bytes']:,} of them by two" if peak["overlap_bytes"] else ""
    empty = f", {peak['unused_bytes']:,} are empty" if peak["unused_bytes"] else ""
    lines = [
        f"in use at {layer_title(data, first)}{others}: {peak['live_bytes']:,} bytes{twice}{empty}"
    ]
    for tensor in peak["tensors"][:_LISTED]:
        shared = f"  ({tensor['overlap_bytes']:,} overlap)" if tensor["overlap_bytes"] else ""
        lines.append(
            f"  {tensor['bytes']:>9,} bytes at {tensor['offset']:>9,}  {tensor['kind']:<10}  "
            f"{short_name(tensor['tensor'])}{shared}"
        )
    rest = peak["tensors"][_LISTED:]
    if rest:
        lines.append(f"  {sum(t['bytes'] for t in rest):>9,} bytes in {len(rest)} more")
    return lines


_LISTED = 6  # tensors of the peak that the text names


def layer_title(data: dict[str, Any], layer: int) -> str:
    """Return what people call a layer; -1 and the number of layers are the model's borders."""
    if layer < 0:
        return "the input"
    if layer >= len(data["ops"]):
        return "the output"
    return f"layer {layer} {data['ops'][layer]['kind']}"


def _fit_lines(data: dict[str, Any]) -> list[str]:
    def memory(name: str) -> str:
        free = data[f"{name}_free"]
        rest = f"{free:,} free" if free >= 0 else f"{-free:,} too many"
        return f"about {data[f'{name}_needed']:,} of {data[f'{name}_limit']:,} bytes ({rest})"

    verdict = "fits" if data["fits"] else "does not fit"
    lines = [
        f"{verdict} {data['board']} with the firmware: RAM {memory('ram')}, flash {memory('flash')}"
    ]
    if data["way_out"]:
        lines += [f"  {line}" for line in _ways_out(data, **data["way_out"])]
    return lines


def _ways_out(
    data: dict[str, Any],
    stripes: dict[str, Any] | None,
    least_arena_bytes: int | None,
    boards: list[dict[str, Any]],
) -> list[str]:
    """Return what makes a model fit, the cheapest first."""
    lines = []
    if stripes:
        share = stripes["extra_macs"] / data["macs"] if data["macs"] else 0
        lines.append(
            f"fits with --ram {stripes['ram']}: {stripes['layers']} layers in up to "
            f"{stripes['stripes']} stripes, arena {stripes['arena_bytes']:,} bytes, "
            f"{stripes['extra_macs']:,} MACs more ({share:.1%}); flashing does so by itself"
        )
    elif least_arena_bytes is not None:
        room = max(0, data["arena_bytes"] + data["ram_free"])
        found = f"get its arena down to {least_arena_bytes:,} bytes"
        if least_arena_bytes >= data["arena_bytes"]:
            first = layer_title(data, data["peak"]["layers"][0])
            found = f"do not help: {first} has {data['peak']['live_bytes']:,} bytes in use"
        lines.append(f"stripes {found}, the board has {room:,}; a model with a smaller input helps")
    fitting = [
        f"{b['board']} ({b['ram_limit']:,} bytes RAM, {b['flash_limit']:,} flash)" for b in boards
    ]
    lines.append(f"fits as it is: {', '.join(fitting) or 'no known board'}")
    if data["flash_free"] < 0:
        lines.append(f"weights take {data['weights_bytes']:,} bytes of flash: fewer channels help")
    return lines


def _unsupported(content: bytes) -> dict[str, Any]:
    graph = optimize(read_model(content, "model"))
    problems = find_problems(graph)
    stopped = {problem.layer for problem in problems}

    def row(op: Op) -> dict[str, Any]:
        return {
            "name": op.name,
            "kind": op.kind,
            "shape": list(op.outputs[0].shape),
            "macs": 0 if op.name in stopped else operators()[op.kind].macs(op),
            "kernel": None,
            "live_bytes": None,
        }

    return {
        "ops": [row(op) for op in graph.ops],
        "macs": None,
        "ram_bytes": None,
        "arena_bytes": None,
        "ram_lower_bound": None,
        "ram_order_bound": None,
        "peak_layer": None,
        "peak": None,
        "ram_saved": None,
        "stripes": [],
        "extra_macs": None,
        "weights_bytes": None,
        "unpacked_bytes": None,
        "inputs": [],
        "outputs": [],
        "memory": [],
        "unsupported": [{"layer": p.layer, "kind": p.kind, "reason": p.reason} for p in problems],
    }
