"""Boards that a test is for, and whether this machine has what plays them."""

import pytest

from lotor import libsodium
from lotor.board import list_boards, load_board
from lotor.device.emulator_programs import missing
from lotor.errors import LotorError


def _lacks_libsodium() -> str:
    try:
        libsodium.find()
    except LotorError as error:
        return str(error)
    return ""


# What boots boards with updates.
needs_libsodium = pytest.mark.skipif(bool(_lacks_libsodium()), reason=_lacks_libsodium())


def skip_unless_played(request: pytest.FixtureRequest) -> None:
    """Skip a test with a board among its parameters whose emulator is not installed."""
    call = getattr(request.node, "callspec", None)
    for value in call.params.values() if call else ():
        emulator = load_board(value).emulator if value in list_boards() else None
        if emulator and load_board(value).update and _lacks_libsodium():
            pytest.skip(f"{value}: {_lacks_libsodium()}")
        if emulator and (lacking := missing(emulator)):
            pytest.skip(f"{value} needs {lacking[0]}: {lacking[1]}")
