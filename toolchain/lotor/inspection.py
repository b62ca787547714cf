"""What a model is and what it will cost, before a board is touched."""

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
            {key: layer[key] for key in ("name", "kind", "shape", "macs", "kernel")}
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
                "weights_bytes",
                "inputs",
                "outputs",
                "memory",
            )
        },
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
    """Return an inspection as a table for people."""
    lines = [f"{'#':>3}  {'operator':<18} {'output':<18} {'MACs':>12}  {'kernel':<28} layer"]
    for index, op in enumerate(data["ops"]):
        kernel = op["kernel"] or "-"
        lines.append(
            f"{index:3}  {op['kind']:<18} {op['shape']!s:<18} {op['macs']:12,}  {kernel:<28} "
            f"{short_name(op['name'])}"
        )
    if data["unsupported"]:
        lines.append("cannot be compiled:")
        lines += [f"  {p['layer']} ({p['kind']}): {p['reason']}" for p in data["unsupported"]]
        lines.append(f"supported operators: {', '.join(model_operators())}")
        return "\n".join(lines)
    peak = f", peak at {short_name(data['peak_layer'])}" if data["peak_layer"] else ""
    lines.append(
        f"{data['macs']:,} MACs, weights {data['weights_bytes']:,} bytes, RAM "
        f"{data['ram_bytes']:,} bytes (lower bound {data['ram_lower_bound']:,}{peak})"
    )
    if "board" in data:
        verdict = "fits" if data["fits"] else "does not fit"
        lines.append(
            f"{verdict} {data['board']} with the firmware: about {data['ram_needed']:,} of "
            f"{data['ram_limit']:,} bytes RAM and {data['flash_needed']:,} of "
            f"{data['flash_limit']:,} bytes flash"
        )
    return "\n".join(lines)


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
        }

    return {
        "ops": [row(op) for op in graph.ops],
        "macs": None,
        "ram_bytes": None,
        "arena_bytes": None,
        "ram_lower_bound": None,
        "peak_layer": None,
        "weights_bytes": None,
        "inputs": [],
        "outputs": [],
        "memory": [],
        "unsupported": [{"layer": p.layer, "kind": p.kind, "reason": p.reason} for p in problems],
    }
