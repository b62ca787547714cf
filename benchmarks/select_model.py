"""What changing between the models of one image takes: ticks of the board, time at its clock.

Each board is flashed with both models. Ticks of a request come from the board's own clock in its
statistics; an echo of as many bytes is taken off, so that what the link costs is not counted. Bytes
arrive at any moment and cost interrupts, so that it is the mean of many requests, and the median of
some such means: within some dozen instructions.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from lotor.board import load_board
from lotor.device import emulator
from lotor.device.budget import milliseconds
from lotor.device.flash import flash
from lotor.device.session import Session
from lotor.errors import LotorError

_TRIES = 9
_REQUESTS = 40


@dataclass(frozen=True)
class Row:
    """What selecting a model takes on a board.

    Attributes:
        quick: ticks of a quick select.
        painting: ticks of one that paints the arena.
    """

    board: str
    model: str
    arena_bytes: int
    quick: int
    painting: int
    unit: str
    microseconds: float | None

    def __str__(self) -> str:
        time = "" if self.microseconds is None else f"{self.microseconds:.1f}"
        return (
            f"| `{self.board}` | {self.model} | {self.arena_bytes:,} | {self.quick:,} | {time} | "
            f"{self.painting:,} | {self.unit} |"
        )


def measure(board: str, models: list[str]) -> list[Row]:
    """Flash a board with models and select each after the one before it."""
    chosen = load_board(board)
    done = flash(board, models)
    unit, rows = done.hello.tick_unit, []
    with Session.open(board) as session:
        for model in done.hello.models:
            quick, painting = ticks(session, model.index, len(done.hello.models))
            ms, _ = milliseconds(chosen, quick)
            time = None if ms is None else 1e3 * ms
            rows.append(Row(board, model.name, done.hello.arena_bytes, quick, painting, unit, time))
    return rows


def ticks(session: Session, index: int, models: int) -> tuple[int, int]:
    """Return the ticks of a quick select and of one that paints the arena."""

    def quick() -> None:
        session.select(index, quick=True)

    def typical(*requests: Callable[[], object]) -> int:
        found = []
        for _ in range(_TRIES):
            # A quick select is the last before statistics, which else look through the arena.
            session.select((index or models) - 1, quick=True)
            start = session.statistics().ticks
            for request in _REQUESTS * requests:
                request()
            end = session.statistics().ticks
            if start is None or end is None:
                raise LotorError(f"{session.where} does not tell its ticks")
            found.append(end - start)
        return round(median(found) / _REQUESTS)

    painting = typical(lambda: session.select(index), quick)
    return (
        typical(quick) - typical(lambda: session.echo(bytes(2))),
        painting - typical(lambda: session.echo(bytes(1)), quick),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", default=["netduinoplus2", "mps2-an386"])
    parser.add_argument("--model", action="append", help="default: raccoon and person")
    args = parser.parse_args()
    head = "| board | selects | arena | quick | µs | painting | unit |"
    sys.stdout.write(f"{head}\n| --- | --- | --- | --- | --- | --- | --- |\n")
    for board in args.boards:
        for row in measure(board, args.model or ["raccoon", "person"]):
            sys.stdout.write(f"{row}\n")
        if load_board(board).emulated:
            emulator.stop(board)


if __name__ == "__main__":
    main()
