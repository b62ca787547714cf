"""A board refuses what is no update for it, says why, and runs what it ran."""

import struct

import pytest

from lotor.device.bench import Bench
from lotor.device.link import ErrorCode, Request
from lotor.device.session import DeviceError, Session

pytestmark = pytest.mark.core


def code_of(session: Session, kind: int, payload: bytes) -> int:
    with pytest.raises(DeviceError) as error:
        session.request(kind, payload)
    return error.value.code


def test_what_is_no_update_is_refused(bench: Bench) -> None:
    takes = bench.board.update is not None

    def expected(code: ErrorCode) -> ErrorCode:
        return code if takes else ErrorCode.UNKNOWN_REQUEST

    def action(session: Session) -> None:
        state = session.hello().update
        assert (state is not None) == takes
        for header in (bytes(512), b"\xff" * 512):
            found = code_of(session, Request.UPDATE_BEGIN, header)
            assert found == expected(ErrorCode.UPDATE_HEADER)
        short = code_of(session, Request.UPDATE_BEGIN, bytes(511))
        assert short == expected(ErrorCode.BAD_PAYLOAD)
        piece = code_of(session, Request.UPDATE_DATA, struct.pack("<I", 0) + bytes(256))
        assert piece == expected(ErrorCode.UPDATE_NOT_BEGUN)
        end = code_of(session, Request.UPDATE_FINISH, b"")
        assert end == expected(ErrorCode.UPDATE_NOT_BEGUN)
        assert session.hello().update == state

    bench.undisturbed(action)
