"""What an image takes of a board's memories, as bars, and its files under clear names."""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lotor.board import Board
from lotor.build import Image
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.pictures import in_terminal
from lotor.stack_usage import StackUse

# What a bar is made of, in order: sign in letters, colour of a terminal.
_SIGNS = (("#", 75), ("+", 222), ("=", 114), ("*", 203))
_FREE = "."
_SHORTEST = 8  # letters


@dataclass(frozen=True)
class Use:
    """What an image takes of one memory.

    Attributes:
        region: "flash", "RAM" or "stack", which lies in RAM.
        used: bytes.
        limit: bytes it may take.
        memory: bytes the board has; 0 where an operating system gives them.
        budgeted: whether the board's budget limits it, not its memory.
        parts: bytes by purpose; they add up to `used`.
    """

    region: str
    used: int
    limit: int
    memory: int
    budgeted: bool
    parts: dict[str, int]


def uses(board: Board, image: Image) -> list[Use]:
    """Return what an image takes of its board's flash, RAM and, where computed, stack."""
    stack, most = board.build.stack_bytes, image.stack
    ram = {"arena": image.arena_bytes, "stack": stack}
    ram["other"] = image.ram_bytes - sum(ram.values())
    memory, budget = board.memory, board.budget
    return [
        _use("flash", image.flash_bytes, board.flash_room, budget.flash_bytes, image.breakdown),
        _use("RAM", image.ram_bytes, memory.ram.bytes, budget.ram_bytes, ram),
        *(
            [_use("stack", most.bytes, stack, budget.stack_bytes, _stack_parts(most))]
            if most
            else []
        ),
    ]


def _stack_parts(stack: StackUse) -> dict[str, int]:
    return {"calls": stack.bytes - stack.exception_bytes, "interrupt": stack.exception_bytes}


def _use(region: str, used: int, memory: int, budget: int | None, parts: dict[str, int]) -> Use:
    if budget and (not memory or budget < memory):
        return Use(region, used, budget, memory, True, parts)
    return Use(region, used, memory, memory, False, parts)


def bars(found: Sequence[Use], columns: int = 80, colour: bool = False) -> str:
    """Return memories as bars, two lines each.

    Args:
        found: the memories.
        columns: letters in a line at most.
        colour: blocks in the colours of a terminal; else a sign for every part.
    """
    lines = []
    for use in found:
        kind = "of the budget of" if use.budgeted else "of"
        lines.append(
            f"{use.region:<5} {use.used:,} {kind} {use.limit:,} bytes ({use.used / use.limit:.1%})"
        )
        room = max(_SHORTEST, columns - 8)
        lines.append(f"      [{_bar(use, room, colour)}]")
        named = zip(use.parts.items(), _SIGNS, strict=False)
        legend = "  ".join(
            f"{_painted('█', tint) if colour else sign} {name} {size:,}"
            for (name, size), (sign, tint) in named
        )
        lines.append(f"      {legend}")
    return "\n".join(lines)


def _bar(use: Use, room: int, colour: bool) -> str:
    """Return a bar as long as the limit; where every part ends is rounded."""
    text, reached, drawn = "", 0, 0
    for size, (sign, tint) in zip(use.parts.values(), _SIGNS, strict=False):
        reached += size
        length = max(0, min(room, round(reached * room / use.limit)) - drawn)
        drawn += length
        text += _painted("█" * length, tint) if colour and length else sign * length
    return text + _FREE * (room - drawn)


def _painted(text: str, tint: int) -> str:
    return f"\x1b[38;5;{tint}m{text}\x1b[0m"


def as_dict(board: Board, image: Image) -> dict[str, Any]:
    """Return what `lotor build --json` and `lotor flash --json` say of an image."""
    return {
        "board": board.name,
        "models": image.models,
        "build_id": image.build_id.hex(),
        "elf": str(image.elf),
        "bin": str(image.bin),
        "uf2": str(image.uf2) if image.uf2 else None,
        "flash_bytes": image.flash_bytes,
        "flash_limit": board.flash_limit,
        "ram_bytes": image.ram_bytes,
        "ram_limit": board.ram_limit,
        "arena_bytes": image.arena_bytes,
        "breakdown": image.breakdown,
        "stack_bytes": image.stack and image.stack.bytes,
        "stack_limit": board.stack_limit,
        "stack": image.stack and asdict(image.stack),
    }


def as_text(board: Board, image: Image) -> str:
    """Return what `lotor build` prints: bars as wide as the terminal, then the files."""
    names = ", ".join(model["name"] for model in image.models)
    files = {"ELF": image.elf, "BIN": image.bin, "UF2": image.uf2}
    return "\n".join(
        [
            f"{board.name}: {names}, build {image.build_id.hex()[:12]}",
            in_terminal(partial(bars, uses(board, image))),
            *_stack_lines(image),
            *(f"{kind}   {path}" for kind, path in files.items() if path),
        ]
    )


def _stack_lines(image: Image) -> list[str]:
    if image.stack is None:
        return []
    unseen = [f"      may be more: {text}" for text in image.stack.unseen]
    return [f"      deepest: {' > '.join(image.stack.path)}", *unseen]


def copied(image: Image, folder: Path) -> Image:
    """Return an image whose files lie in a folder, as BOARD-MODELS.elf, .bin and .uf2.

    Raises:
        LotorError: the folder cannot be written.
    """
    models = "-".join(model["name"] for model in image.models)
    # Cut, because a file's name has a limit.
    name = re.sub(r"[^\w.-]+", "_", f"{image.board}-{models}")[:150]
    copy = {
        path: folder / f"{name}{path.suffix}" for path in (image.elf, image.bin, image.uf2) if path
    }
    try:
        write_files({copy[path]: path.read_bytes() for path in copy})
    except OSError as error:
        raise LotorError(
            f"cannot write to {folder}: {os.strerror(error.errno or 0)}; give another folder "
            "with -o"
        ) from error
    uf2 = copy[image.uf2] if image.uf2 else None
    return replace(image, elf=copy[image.elf], bin=copy[image.bin], uf2=uf2)
