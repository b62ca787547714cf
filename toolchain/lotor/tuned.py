"""What was measured on boards: the table by which variants of kernels are chosen there.

`lotor tune` writes `boards/tuned/BOARD.toml`: for calls of one size, what each variant that can run
them took. Tables of the boards in the repository come with it.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from lotor.board import Board, board_files
from lotor.build import firmware_flash, firmware_ram
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import resource
from lotor.targets.preference import Optimize, Preference

Costs = dict[str, dict[str, float]]
_CODE = 16_384  # about what a model's kernels take
_BLOCK = re.compile(r"\w+ \w+=\d+")  # as `Block.label` writes it
_SHARE = 2  # so that another model fits beside it


def preference(board: Board, optimize: Optimize = "speed") -> Preference:
    """Return what variants are chosen by on a board: its memories, and what was measured there."""
    spare = (board.flash_limit - firmware_flash(board) - _CODE) // _SHARE
    ram = max(0, board.ram_limit - board.build.stack_bytes - firmware_ram(board))
    return Preference(optimize, max(0, spare), ram, load_costs(board.name))


def table(board: str) -> Path:
    """Return the file of a board's table, which may be missing: beside the board's own file."""
    file = board_files().get(board) or resource("boards", board)
    return file.parent / "tuned" / f"{board}.toml"


def load_costs(board: str) -> Costs:
    """Return what was measured on a board, by signature and variant; nothing without a table.

    Raises:
        LotorError: the table is damaged.
    """
    path = table(board)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return {str(call["signature"]): _costs(call) for call in content.get("call", [])}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LotorError(
            f"{path} is no table of `lotor tune` ({error}): remove it, or tune again"
        ) from error


def save_costs(board: str, costs: Costs) -> Path:
    """Write a board's table; return its file.

    Raises:
        LotorError: it cannot be written.
    """
    lines = [
        "# What each variant took for calls of one size, in cycles or else instructions: written",
        f"# by `lotor tune MODEL --board {board}`, read by whatever compiles for the board.",
        "# `blocks`: the same with blocks of some size (`turn`: steps in a turn of the loop;",
        "# `rows`: of outputs for which inputs are gathered at once; `filters`: int4 ones that are",
        "# unpacked at once).",
    ]
    for name, values in sorted(costs.items()):
        variants = [f"{k} = {v:.0f}" for k, v in sorted(values.items()) if " " not in k]
        blocks = sorted((_ordered(k), f'"{k}" = {v:.0f}') for k, v in values.items() if " " in k)
        lines += ["", "[[call]]", f'signature = "{name}"', f"costs = {{ {', '.join(variants)} }}"]
        if blocks:
            lines.append(f"blocks = {{ {', '.join(text for _, text in blocks)} }}")
    path = table(board)
    try:
        path.parent.mkdir(exist_ok=True)
        write_files({path: ("\n".join(lines) + "\n").encode()})
    except OSError as error:
        raise LotorError(f"cannot write {path}: {error.strerror}") from error
    return path


def _ordered(label: str) -> tuple[str, int]:
    """Return what labels of block sizes are sorted by."""
    name, _, value = label.partition("=")
    return name, int(value)


def _costs(call: dict[str, Any]) -> dict[str, float]:
    found = {name: float(value) for name, value in call["costs"].items()}
    for name, value in call.get("blocks", {}).items():
        if not _BLOCK.fullmatch(name):
            raise ValueError(f"no block size: {name}")
        found[name] = float(value)
    return found
