"""The image of every bare-metal board with its test model: what it takes of the board's memories.

Prints a table in Markdown; with names of boards, theirs only. Sizes are those of this machine's
compiler. Nothing is flashed.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lotor.board import Board, list_boards, load_board
from lotor.build import Image
from lotor.device.hil import default_model
from lotor.device.ready import image_for
from lotor.image_report import Use, uses


@dataclass(frozen=True)
class Row:
    """One board with its image."""

    board: Board
    image: Image

    def __str__(self) -> str:
        models = ", ".join(model["name"] for model in self.image.models)
        cells = [f"`{self.board.name}`", models, *map(_cell, uses(self.board, self.image))]
        return f"| {' | '.join(cells)} |"


def _cell(use: Use) -> str:
    return f"{use.used:,} of {use.limit:,} ({use.used / use.limit:.0%})"


def bare_metal() -> list[str]:
    """Return the boards whose images are all ours: no operating system, no framework."""
    boards = [load_board(name) for name in list_boards()]
    return [board.name for board in boards if not board.linux and not board.framework]


def measure(names: Iterable[str]) -> list[Row]:
    """Build the image of each board with its test model."""
    return [Row(load_board(name), image_for(name, [default_model(name)])) for name in names]


def as_markdown(rows: Sequence[Row]) -> str:
    head = "| board | model | flash, bytes | RAM, bytes | stack at most, bytes |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *map(str, rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="default: all bare-metal boards")
    args = parser.parse_args()
    table = as_markdown(measure(args.boards or bare_metal()))
    sys.stdout.write(table + "\n")


if __name__ == "__main__":
    main()
