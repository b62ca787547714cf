"""Boards that a test is for, and whether this machine has what plays them."""

import pytest

from lotor.board import list_boards, load_board
from lotor.device.emulator_programs import missing


def skip_unless_played(request: pytest.FixtureRequest) -> None:
    """Skip a test with a board among its parameters whose emulator is not installed."""
    call = getattr(request.node, "callspec", None)
    for value in call.params.values() if call else ():
        emulator = load_board(value).emulator if value in list_boards() else None
        if emulator and (lacking := missing(emulator)):
            pytest.skip(f"{value} needs {lacking[0]}: {lacking[1]}")
