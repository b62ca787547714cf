"""A fault resets the board, is reported afterwards, and harms nothing that comes later."""

import pytest

from lotor.device.bench import Bench
from lotor.device.link import ErrorCode
from lotor.device.messages import FaultReason, ResetReason
from lotor.device.session import DeviceError, Session

pytestmark = pytest.mark.core


@pytest.mark.parametrize("reason", list(FaultReason), ids=lambda reason: reason.name.lower())
def test_a_fault_is_kept_across_the_reset(
    bench: Bench, board: Session, reason: FaultReason
) -> None:
    if not bench.board.test_faults:
        pytest.skip(f"board {bench.board.name} is not built to provoke faults")
    before = board.hello()
    try:
        after = board.provoke(reason)
    except DeviceError as error:
        assert error.code == ErrorCode.OUT_OF_RANGE
        assert reason == FaultReason.WATCHDOG and not bench.board.hal.watchdog
        pytest.skip(f"{bench.board.chip} has no way to provoke a {reason.name.lower()}")
    assert after.resets == before.resets + 1
    bitten = reason == FaultReason.WATCHDOG
    assert after.reset_reason == (ResetReason.WATCHDOG if bitten else ResetReason.FAULT)
    assert after.fault is not None
    assert after.fault.reason == reason.seen_by(bench.board.target), after.fault
    assert after.fault.layer == -1
    # Where the stack is full only the caller is known, and a watchdog may reset without a word.
    if reason == FaultReason.STACK_OVERFLOW:
        assert after.fault.registers["lr"]
    elif reason != FaultReason.WATCHDOG:
        assert after.fault.registers["pc"]
    assert board.fault() == after.fault
    bench.check()
    assert board.reset().fault is None


def test_an_unknown_fault_is_refused(bench: Bench, board: Session) -> None:
    for reason in (0, 9, 255):
        with pytest.raises(DeviceError):
            board.provoke(reason)
    assert board.hello().fault is None
    bench.check()
