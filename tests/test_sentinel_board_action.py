"""An output of an emulated board, switched over its link."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lotor.board import load_board
from lotor.device import emulator
from lotor.device.flash import flash
from lotor.device.session import DeviceError, Session
from lotor.device.watch import Watching
from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.board import BoardOutput, Options
from watched import small_models

BOARD = "mps2-an386"
CAUSE = Cause("raccoon", "garden", 1.0)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for tool in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    (model, _) = small_models(tmp_path_factory.mktemp("models"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTOR_RUN_DIR", str(tmp_path_factory.mktemp("run")))
        flash(BOARD, [str(model.path)])
        yield BOARD
        emulator.stop(BOARD)


@pytest.fixture
def rested(board: str) -> str:
    """The board after its lamp has rested; its time goes on only while it works."""
    lamp = load_board(board).outputs["lamp"]
    with Session.open(board) as session:
        session.output(0, 0)
        begin = session.statistics().ticks or 0
        second = session.greeting.clock
        while (session.statistics().ticks or 0) - begin < lamp.rest_ms * second // 1000:
            session.self_test()
    return board


def test_on_and_off(rested: str) -> None:
    device = BoardOutput("lamp", Options(rested, "lamp"), Path())
    assert device.describe() == f"switch lamp of the board {rested} on"
    device.on(CAUSE, 0.4)
    device.off()
    device.off()
    with pytest.raises(LotorError, match=r"refused output: busy \(error 8\)"):
        device.on(CAUSE, 0.4)  # it rests
    device.off()
    device.close()


def test_it_goes_off_by_itself_when_nobody_asks(rested: str) -> None:
    device = BoardOutput("lamp", Options(rested, "lamp"), Path())
    device.on(CAUSE, 60)
    device.close()  # the host is gone
    with Session.open(rested) as session:
        begin = session.statistics().ticks or 0
        while (session.statistics().ticks or 0) - begin < session.greeting.clock:
            session.self_test()
        state = Watching(session).state()
    assert state.lit == 0 and 400 < state.longest_ms <= 520


def test_asking_again_keeps_nothing_on(rested: str) -> None:
    with Session.open(rested) as session:
        assert session.output(0, 60_000) == 500
        times: list[int] = []
        with pytest.raises(DeviceError, match="busy"):  # off by itself, and resting
            while len(times) < 2000:
                times.append(session.output(0, 60_000))
        assert times == sorted(times, reverse=True) and max(times, default=0) <= 500
        assert Watching(session).state().longest_ms <= 520


def test_no_such_output(board: str) -> None:
    device = BoardOutput("x", Options(board, "lamb"), Path())
    with pytest.raises(LotorError, match=r"no output 'lamb' \(did you mean 'lamp'\?\)"):
        device.on(CAUSE, 1)
    with Session.open(board) as session, pytest.raises(DeviceError, match="no such index"):
        session.output(1, 100)


def test_mistakes() -> None:
    with pytest.raises(LotorError, match=r"'options.output' is empty"):
        BoardOutput("x", Options("pico", ""), Path())
    device = BoardOutput("x", Options("/dev/nothing", "lamp"), Path())
    with pytest.raises(LotorError, match="/dev/nothing"):
        device.on(CAUSE, 1)
    with pytest.raises(LotorError, match="/dev/nothing"):
        device.off()
