"""How far apart a camera's pictures are, whatever drops out."""

import pytest

from lotor.sentinel.pace import SLOWEST_S, Pace


@pytest.mark.parametrize(
    ("times", "apart"),
    [
        ([], 0.0),
        ([5.0], 0.0),
        ([5.0, 7.0], 2.0),
        ([0.0, 0.2, 0.4, 300.0], 0.2),  # it dropped out
        ([0.0, 0.2, 300.0, 300.2], 0.2),
        ([0.0, 0.2, 60.0, 120.0, 181.0], 60.0),
        ([0.0, 3600.0, 7200.0], SLOWEST_S),
    ],
)
def test_a_drop_out_is_no_pace(times: list[float], apart: float) -> None:
    pace = Pace()
    for time in times:
        pace.see(time)
    assert pace.seconds == pytest.approx(apart)
