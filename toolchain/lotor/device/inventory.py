"""All boards, and what runs where."""

from dataclasses import dataclass
from typing import Any

from lotor.board import Board, list_boards, load_board
from lotor.device.emulator import Running, running


@dataclass(frozen=True)
class Entry:
    """A board, and the emulator that plays it now."""

    board: Board
    running: Running | None

    def as_dict(self) -> dict[str, Any]:
        """Return what `lotor boards --json` prints of it."""
        board, now = self.board, self.running
        return {
            "name": board.name,
            "description": board.description,
            "chip": board.chip,
            "target": board.target,
            "clock_hz": board.clock_hz,
            "flash_bytes": board.flash_limit,
            "ram_bytes": board.ram_limit,
            "tick_unit": board.ticks.unit,
            "flash_method": board.flash.method,
            "emulated": board.emulated,
            "default": board.default,
            "hardware": self.hardware,
            "running": now
            and {
                "url": now.url,
                "pid": now.pid,
                "models": [model["name"] for model in now.models],
                "build_id": now.build_id,
                "started": now.started,
            },
        }

    @property
    def hardware(self) -> str:
        """Say on what the board's file was tried."""
        tested = self.board.tested or ("emulated" if self.board.emulated else "built")
        return {
            "unbuilt": "not built here, not yet run on hardware",
            "built": "not yet run on hardware",
            "hardware": "run on hardware",
        }.get(tested, tested)

    @property
    def state(self) -> str:
        """Say what runs, in words."""
        if not self.running:
            return "stopped" if self.board.emulated else ""
        names = ", ".join(model["name"] for model in self.running.models)
        return f"{names} on {self.running.url} (process {self.running.pid})"


def inventory() -> list[Entry]:
    """Return all boards.

    Raises:
        LotorError: a board file is wrong.
    """
    boards = [load_board(name) for name in list_boards()]
    return [Entry(board, running(board.name) if board.emulated else None) for board in boards]


def as_text(entries: list[Entry]) -> str:
    """Return a table of boards."""
    rows = [("board", "chip", "target", "flash", "RAM", "flashed by", "hardware", "state")]
    for entry in entries:
        board = entry.board
        rows.append(
            (
                board.name + (" (default)" if board.default else ""),
                board.chip,
                board.target,
                f"{board.flash_limit // 1024} KiB",
                f"{board.ram_limit // 1024} KiB",
                board.emulator.program if board.emulator else board.flash.method,
                entry.hardware,
                entry.state,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
