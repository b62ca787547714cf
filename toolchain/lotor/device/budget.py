"""What only a run can tell: whether the models of an image keep to a board's time and stack.

Every model runs once, with inputs of zeros: the kernels' time does not depend on the data but for
clamping.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lotor.board import Board
from lotor.build import Image
from lotor.device.emulator import private
from lotor.device.session import Session
from lotor.errors import LotorError

# Instructions that a core can begin in a cycle at most; of others nothing is said.
_ISSUE = {
    **dict.fromkeys(("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33"), 1),
    "cortex-m7": 2,
    "cortex-m55": 2,
}


@dataclass(frozen=True)
class Took:
    """What an inference took of a board.

    Attributes:
        model: its name.
        ms: milliseconds at the board's clock; None where ticks do not tell.
        least: whether it takes at least that, perhaps more.
        ticks: what was counted.
        unit: of the ticks.
    """

    model: str
    ms: float | None
    least: bool
    ticks: int
    unit: str


def milliseconds(board: Board, ticks: int) -> tuple[float | None, bool]:
    """Return how long so many ticks of a board are, and whether that is a lower bound only.

    Instructions say how long it takes at least, where it is known how many a core can begin in a
    cycle.
    """
    if board.ticks.unit == "nanoseconds":
        return ticks / 1e6, False
    if board.ticks.unit == "cycles":
        return 1e3 * ticks / board.clock_hz, False
    issue = _ISSUE.get(board.target)
    return (1e3 * ticks / board.clock_hz / issue, True) if issue else (None, True)


def check_image(board: Board, image: Image) -> None:
    """Run the models of an image in an emulator of its own, where the board has a budget for it.

    Raises:
        LotorError: a model takes longer, or more stack, than the budget of the emulated board.
    """
    if _nothing_to_check(board):
        return
    with (
        tempfile.TemporaryDirectory(prefix="lotor-") as folder,
        private(board, image.elf, Path(folder)) as url,
    ):
        check_port(board, url)


def check_port(board: Board, url: str) -> None:
    """Run the models of the image that a board runs, where the board has a budget for it.

    Raises:
        LotorError: a model takes longer, or more stack, than the budget.
    """
    if _nothing_to_check(board):
        return
    with Session.open(url) as session:
        for model in session.hello().models:
            session.select(model.index)
            for index, size in enumerate(model.inputs):
                session.load(index, bytes(size))
            ticks = session.run().ticks
            took = Took(model.name, *milliseconds(board, ticks), ticks, board.ticks.unit)
            for line in missed(board, took, session.statistics().stack_bytes):
                raise LotorError(line)


def _nothing_to_check(board: Board) -> bool:
    return board.budget.inference_ms is None and board.budget.stack_bytes is None


def missed(board: Board, took: Took, stack: int | None) -> list[str]:
    """Return a line for each part of a board's budget that an inference needs more of.

    Args:
        board: whose budget.
        took: the inference.
        stack: bytes of stack that were used; None where that is not known.
    """
    budget, lines = board.budget, []
    if budget.inference_ms is not None and took.ms is not None and took.ms > budget.inference_ms:
        lines.append(
            f"{took.model} is too slow for {board.name}: an inference takes "
            f"{'at least ' if took.least else ''}{took.ms:,.1f} ms ({took.ticks:,} {took.unit} at "
            f"{board.clock_hz / 1e6:g} MHz), the budget is {budget.inference_ms} ms; take a "
            "smaller model or raise 'budget.inference_ms' in the board file"
        )
    if budget.stack_bytes is not None and stack is not None and stack > budget.stack_bytes:
        lines.append(
            f"{took.model} does not fit {board.name}: {stack} bytes of stack were used, the budget "
            f"is {budget.stack_bytes}; take a smaller model or raise 'budget.stack_bytes' in the "
            "board file"
        )
    return lines
