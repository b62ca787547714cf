"""What a model is and what it will cost, before a board is touched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lotor.board import Board, load_board
from lotor.build import FIRMWARE_FLASH, FIRMWARE_RAM
from lotor.compiler import (
    Compiled,
    UnsupportedModelError,
    compile_model,
    find_problems,
    read_content,
)
from lotor.frontend.tflite import read_model
from lotor.graph import Op, short_name
from lotor.ops import model_operators, operators
from lotor.optimize import optimize
from lotor.optimize.report import report_passes
from lotor.sizes import code_bytes
from lotor.zoo import find_model

_TRICKS = ("ram_saved", "stripes", "extra_macs")


def inspect(
    model: str, target: str | None = None, board: str | None = None, passes: bool = False
) -> dict[str, Any]:
    """Return layers, cost and memory of a model, and all that cannot be compiled.

    Args:
        model: name or path.
        target: what it would be compiled for; the board's target, else portable.
        board: also say whether it fits there.
        passes: also say what every rewrite has done, under the key `passes`.

    Raises:
        LotorError: no usable model, or a wrong name of target or board.
    """
    found = find_model(model)
    chosen = load_board(board) if board else None
    data = _cost(found.path, target, chosen)
    if passes:
        content, stem = read_content(found.path)
        data["passes"] = report_passes(read_model(content, stem))
    return data


def _cost(path: Path, target: str | None, board: Board | None) -> dict[str, Any]:
    try:
        compiled = compile_model(path, target or (board.target if board else "portable"))
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
                "peak_layer",
                "peak",
                "weights_bytes",
                "inputs",
                "outputs",
                "memory",
            )
        },
        # What only some plans have.
        **{key: compiled.report.get(key) for key in _TRICKS},
        "unsupported": [],
    }
    if board is not None:
        data |= _fit(compiled, board)
    return data


def _fit(compiled: Compiled, board: Board) -> dict[str, Any]:
    """Say whether an image of this one model fits a board, with all that the firmware adds."""
    ram = compiled.plan.arena_bytes + board.build.stack_bytes + FIRMWARE_RAM
    flash = compiled.report["weights_bytes"] + (code_bytes(compiled) or 0) + FIRMWARE_FLASH
    return {
        "board": board.name,
        "fits": ram <= board.ram_limit and flash <= board.flash_limit,
        "ram_needed": ram,
        "ram_limit": board.ram_limit,
        "flash_needed": flash,
        "flash_limit": board.flash_limit,
    }


def as_text(data: dict[str, Any]) -> str:
    """Return an inspection for people: a row for every layer, then what they need together."""
    lines = [_table(data["ops"], data["peak"])]
    if data["unsupported"]:
        lines.append("cannot be compiled:")
        lines += [f"  {p['layer']} ({p['kind']}): {p['reason']}" for p in data["unsupported"]]
        lines.append(f"supported operators: {', '.join(model_operators())}")
        return "\n".join(lines)
    return "\n".join([*lines, summary(data)])


def summary(data: dict[str, Any]) -> str:
    """Return what the layers of an inspection need together, for people."""
    peak = f", peak at {short_name(data['peak_layer'])}" if data["peak_layer"] else ""
    lines = [
        f"{data['macs']:,} MACs, weights {data['weights_bytes']:,} bytes, RAM "
        f"{data['ram_bytes']:,} bytes (lower bound {data['ram_lower_bound']:,}{peak})",
        *_peak_lines(data),
    ]
    if data["ram_saved"]:
        saved = ", ".join(f"{name} {count:,}" for name, count in data["ram_saved"].items() if count)
        lines.append(f"bytes of RAM saved by each: {saved or 'nothing'}")
    if data["stripes"]:
        lines.append(f"{len(data['stripes'])} stripes cost {data['extra_macs'] or 0:,} MACs more")
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
    verdict = "fits" if data["fits"] else "does not fit"
    return [
        f"{verdict} {data['board']} with the firmware: about {data['ram_needed']:,} of "
        f"{data['ram_limit']:,} bytes RAM and {data['flash_needed']:,} of "
        f"{data['flash_limit']:,} bytes flash"
    ]


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
        "peak_layer": None,
        "peak": None,
        **dict.fromkeys(_TRICKS),
        "weights_bytes": None,
        "inputs": [],
        "outputs": [],
        "memory": [],
        "unsupported": [{"layer": p.layer, "kind": p.kind, "reason": p.reason} for p in problems],
    }
