"""Instructions per inference on every emulated board, exact and repeatable."""

from lotor.board import list_boards, load_board
from lotor.device import emulator
from lotor.errors import LotorError
from lotor.profiling import profile
from models import measured_models


def main() -> None:
    """Print one line for each model and board."""
    print(f"{'model':<24} {'board':<16} {'instructions':>14} {'per MAC':>8} {'RAM bytes':>10}")
    for board in list_boards():
        if not load_board(board).emulated:
            continue
        for model in measured_models():
            try:
                found = profile(model, board)
            except LotorError as error:
                print(f"{model:<24} {board:<16} {error}")
                continue
            macs = sum(layer.macs for layer in found.layers)
            print(
                f"{found.model:<24} {board:<16} {found.ticks:14,} {found.ticks / macs:8.2f} "
                f"{found.ram_bytes:10,}"
            )
        emulator.stop(board)


if __name__ == "__main__":
    main()
